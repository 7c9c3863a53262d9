"""`manage.py verify_day`: counts trading days from the start and names each difference."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from analytics import consistency
from analytics.consistency import Report
from analytics.management import dates
from marketdata.storage import StorageError, storage
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = (
        "원장·틱·캔들을 다시 세어 차이를 모두 밝힙니다."
        " Recount ledger, ticks and candles of trading days and name each difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        dates.add_arguments(parser)
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

        wrong = []
        try:
            with storage().patient():
                for date in dates.chosen(options):
                    report = consistency.verify_day(date, most=max(options["most"], 0), progress=progress)
                    if not report.is_consistent:
                        wrong.append(f"{date}: {sum(report.counts.values()):,}")
                    if options["json"]:
                        self.stdout.write(json.dumps(report.as_json(), ensure_ascii=False))
                    else:
                        self._print(report)
        except consistency.UnknownDay as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(
                f"데이터베이스 오류 / the database failed: {error}. 읽기만 했으니 다시 실행하십시오 / it was only read;"
                " run it again"
            ) from error
        if wrong:
            raise CommandError(
                f"차이 있음 / differences found – {'; '.join(wrong)}. What each means and what to"
                " do: docs/consistency.md"
            )

    def _print(self, report: Report) -> None:
        for line in dates.lines(report.findings, report.counts):
            self.stdout.write(line)
        for note in report.notes:
            self.stdout.write(f"  참고 / note: {note.code}  {note.found}")
        verdict = "이상 없음 / consistent" if report.is_consistent else "차이 있음 / differs"
        self.stdout.write(
            f"{report.date} {report.state or 'open'}: {verdict}. {report.ticks:,} 틱/ticks,"
            f" {report.series:,} 종목/series, {report.minutes:,} 분봉/minute, {report.daily:,} 일봉/daily candles"
        )
