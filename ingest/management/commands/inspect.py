"""`manage.py inspect`: what the ingest servers hold in memory, asked over Redis, so also while the database is away."""

from __future__ import annotations

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

import msgspec
import redis
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.translation import gettext as _

from marketdata.realtime import inspection
from marketdata.types.units import moment_of
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _(
        "The newest rows of a connected terminal; without a client what each terminal last sent of each symbol, and "
        "who owns it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", nargs="?", metavar="CLIENT", help=_("a client's name"))
        parser.add_argument(
            "--rows", type=wire.options.between(1, inspection.MOST_ROWS), default=20, metavar="N",
            help=_("at most so many, 1 to {most:,} (20)").format(most=inspection.MOST_ROWS),
        )  # fmt: skip
        parser.add_argument("--symbol", metavar="CODE", help=_("only this symbol"))
        parser.add_argument("--json", action="store_true", help=_("JSON for programs"))

    def handle(self, *args: Any, **options: Any) -> None:
        asked = {"rows": options["rows"], "symbol": options["symbol"]}
        try:
            if options["client"]:
                self._recent(options["client"], options["json"], asked)
            else:
                self._latest(options["json"], asked)
        except inspection.NotConnected as error:
            text = _("{client} is not connected; connected are: {names}")
            raise CommandError(text.format(client=error.client, names=error.connected)) from error
        except inspection.NoAnswer as error:
            raise CommandError(_("no ingest server answers: {error}").format(error=error)) from error
        except redis.RedisError as error:
            raise CommandError(_("Redis does not answer: {error}").format(error=error)) from error

    def _recent(self, client: str, as_json: bool, asked: dict[str, Any]) -> None:
        rows = inspection.shown_rows(inspection.recent(client, **asked), _local_time)
        if as_json:
            self._write_json({"client": client, "rows": rows})
        else:
            text = _("{client}: {rows} rows, oldest first ({timezone})")
            self.stdout.write(text.format(client=client, rows=len(rows), timezone=timezone.get_default_timezone()))
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
            self.stderr.write(_("servers that do not answer: {names}").format(names=", ".join(found.silent)))
        if owners is None:
            self.stderr.write(_("the database does not answer: owners unknown"))
        text = _("{shown:,} of {total:,} series ({timezone})")
        self.stdout.write(text.format(shown=len(series), total=found.total, timezone=timezone.get_default_timezone()))
        self._write_table(series)
        if ticks:
            self.stdout.write("\n" + _("the last {ticks} ticks, newest first").format(ticks=len(ticks)))
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
        moment = moment_of(time_us)
        return moment.astimezone(timezone.get_default_timezone()).isoformat(timespec="microseconds")
    except (OverflowError, ValueError):
        return str(time_us)


def _text(value: object) -> str:
    return "-" if value is None or value == "" else f"{value:f}" if isinstance(value, Decimal) else str(value)
