"""`manage.py verify_day`: counts trading days from the start and names each difference."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from analytics.integrity import consistency
from analytics.integrity.consistency import Report
from analytics.management import dates
from marketdata.storage import StorageError, storage


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Recount ledger, ticks and candles of trading days and name each difference.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        dates.add_arguments(parser)
        dates.add_findings(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        progress = dates.progress(self, options)
        wrong = []
        try:
            with storage().long_running():
                for date in dates.chosen(options):
                    report = consistency.verify_day(date, most=options["most"], progress=progress)
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
                _("the database failed: {error}. It was only read; run it again").format(error=error)
            ) from error
        if wrong:
            raise CommandError(
                _("differences found – {wrong}. What each means and what to do: docs/consistency.md").format(
                    wrong="; ".join(wrong)
                )
            )

    def _print(self, report: Report) -> None:
        for line in dates.lines(report.findings, report.counts):
            self.stdout.write(line)
        for note in report.notes:
            self.stdout.write(_("  note: {code}  {found}").format(code=note.code, found=note.found))
        verdict = _("consistent") if report.is_consistent else _("differs")
        self.stdout.write(
            _(
                "{date} {state}: {verdict}. {ticks:,} ticks, {series:,} series, {minutes:,} minute, "
                "{daily:,} daily candles"
            ).format(
                date=report.date,
                state=report.state or "open",
                verdict=verdict,
                ticks=report.ticks,
                series=report.series,
                minutes=report.minutes,
                daily=report.daily,
            )
        )
