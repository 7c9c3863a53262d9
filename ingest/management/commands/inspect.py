"""`manage.py inspect`: what the ingest servers hold in memory, asked over Redis, so also while the database is away."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

import msgspec
import redis
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from marketdata.realtime import inspection
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = (
        "터미널이 방금 보낸 행, 또는 종목마다 누가 보내는지. The newest rows of a connected terminal; without a client"
        " what each terminal last sent of each symbol, and who owns it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", nargs="?", metavar="CLIENT", help="클라이언트 이름 / a client's name")
        parser.add_argument(
            "--rows", type=wire.options.between(1, inspection.MOST_ROWS), default=20, metavar="N",
            help=f"최대 행 수 / at most so many, 1 to {inspection.MOST_ROWS:,} (20)",
        )  # fmt: skip
        parser.add_argument("--symbol", metavar="CODE", help="그 종목만 / only this symbol")
        parser.add_argument("--json", action="store_true", help="프로그램용 JSON / JSON for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = {"rows": options["rows"], "symbol": options["symbol"]}
        try:
            if options["client"]:
                self._recent(options["client"], options["json"], asked)
            else:
                self._latest(options["json"], asked)
        except inspection.NotConnected as error:
            raise CommandError(f"연결되어 있지 않습니다 / {error}") from error
        except inspection.NoAnswer as error:
            raise CommandError(f"수집 서버가 답하지 않습니다 / {error}") from error
        except redis.RedisError as error:
            raise CommandError(f"Redis가 답하지 않습니다 / Redis does not answer: {error}") from error

    def _recent(self, client: str, as_json: bool, asked: dict[str, Any]) -> None:
        rows = inspection.shown_rows(inspection.recent(client, **asked), _local_time)
        if as_json:
            self._write_json({"client": client, "rows": rows})
        else:
            self.stdout.write(
                f"{client}: {len(rows)} 행, 오래된 것부터 / rows, oldest first ({timezone.get_default_timezone()})"
            )
            self._write_table(rows)

    def _latest(self, as_json: bool, asked: dict[str, Any]) -> None:
        found = inspection.latest(**asked)
        owners = inspection.owners_of(found.series)
        series = inspection.shown_series(found.series, owners, _local_time)
        ticks = inspection.shown_ticks(found.rows, _local_time)
        if as_json:
            shown = {"series": series, "total": found.total, "owners": owners is not None, "silent": found.silent}
            self._write_json(shown | ({"ticks": ticks} if asked["symbol"] else {}))
            return
        if found.silent:
            self.stderr.write(f"답하지 않는 서버 / servers that do not answer: {', '.join(found.silent)}")
        if owners is None:
            self.stderr.write(
                "데이터베이스가 답하지 않아 소유자를 모릅니다 / the database does not answer: owners unknown"
            )
        self.stdout.write(
            f"{found.total:,} 중 {len(series):,} / {len(series):,} of {found.total:,} series"
            f" ({timezone.get_default_timezone()})"
        )
        self._write_table(series)
        if ticks:
            self.stdout.write(f"\n최근 {len(ticks)} 틱, 새것부터 / the last {len(ticks)} ticks, newest first")
            self._write_table(ticks)

    def _write_json(self, shown: dict[str, Any]) -> None:
        self.stdout.write(msgspec.json.Encoder(decimal_format="number").encode(shown).decode())

    def _write_table(self, rows: list[dict[str, Any]]) -> None:
        """A column for each name that any row has."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = [names, *([_text(row.get(name)) for name in names] for row in rows)]
        widths = [max(len(line[at]) for line in table) for at in range(len(names))]
        for line in table if rows else []:
            self.stdout.write("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _local_time(time_us: int) -> str:
    """To the microsecond in the default time zone; what is no time stays a number."""
    try:
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=time_us)
        return moment.astimezone(timezone.get_default_timezone()).isoformat(timespec="microseconds")
    except (OverflowError, ValueError):
        return str(time_us)


def _text(value: object) -> str:
    return "-" if value is None or value == "" else f"{value:f}" if isinstance(value, Decimal) else str(value)
