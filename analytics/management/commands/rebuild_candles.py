"""`manage.py rebuild_candles`: makes the minute candles of trading days what their ticks make, then the daily ones."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from analytics import consistency, repair
from analytics.management import dates
from analytics.repair import Rebuilt
from marketdata.maintenance import leases
from marketdata.storage import StorageError, storage
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = "틱에서 캔들을 다시 만듭니다. Make candles anew from the ticks; only what is wrong is written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        dates.add_arguments(parser)
        parser.add_argument(
            "--symbol", action="append", metavar="CODE", help="이 종목만, 여러 번 가능 / only this one, repeatable"
        )
        parser.add_argument("--feed", help="이 피드만 / only this feed")
        parser.add_argument(
            "--dry-run", action="store_true", help="무엇이 바뀔지만 / say what would change, write nothing"
        )
        parser.add_argument(
            "--json", action="store_true", help="기계용 출력 / one JSON object a day, progress on stderr"
        )
        parser.add_argument(
            "--most",
            type=wire.options.between(0, 10**6),
            default=consistency.MOST,
            metavar="N",
            help="종류마다 이만큼 이름을 밝히고 나머지는 셈 / of each kind so many are named, the others counted (100)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        out = self.stderr if options["json"] else self.stdout

        def progress(words: str) -> None:
            out.write(f"{time.monotonic() - began:8.2f} s  {words}")

        wrong = False
        try:
            with storage().patient():
                for date in dates.chosen(options):
                    rebuilt = repair.rebuild_candles(
                        date,
                        symbols=options["symbol"],
                        feed=options["feed"],
                        dry_run=options["dry_run"],
                        most=max(options["most"], 0),
                        progress=progress,
                    )
                    wrong |= bool(rebuilt.counts)
                    if options["json"]:
                        self.stdout.write(json.dumps(rebuilt.as_json(), ensure_ascii=False))
                    else:
                        self._print(rebuilt)
        except (consistency.UnknownDay, repair.NothingToBuildFrom) as error:
            raise CommandError(str(error)) from error
        except (leases.HeldElsewhere, leases.LeaseLost) as error:
            raise CommandError(
                f"다른 프로세스가 실행 중 / the rollover or a backup is at it: {error}. Try again in a minute"
            ) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                f"데이터베이스 오류 / the database failed: {error}. 다시 실행하십시오 / run it again, what is"
                " done stays done"
            ) from error
        if wrong and options["dry_run"]:
            raise CommandError("바뀔 캔들이 있음 / there are candles that would change; without --dry-run they do")

    def _print(self, rebuilt: Rebuilt) -> None:
        for line in dates.lines(rebuilt.findings, rebuilt.counts):
            self.stdout.write(line)
        daily = "" if rebuilt.daily is None else f", {rebuilt.daily:,} 일봉 다시 만듦 / daily candles made anew"
        what = (
            "바뀔 것만 확인 / nothing written"
            if rebuilt.dry_run
            else f"{rebuilt.changed:,} 분봉 고침 / minute candles put right"
        )
        self.stdout.write(f"{rebuilt.date}: {rebuilt.series:,} 종목/series, {what}{daily}")
