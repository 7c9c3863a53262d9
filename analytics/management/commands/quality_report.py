"""`manage.py quality_report`: prints the report of quality of a trading date, or sends it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from analytics.quality import report, report_delivery
from marketdata.maintenance import rollover
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Print the report of quality that is sent by mail each morning, or send it.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "date",
            nargs="?",
            type=wire.options.date,
            metavar="DATE",
            help=_("of this trading date (YYYY-MM-DD); without it, of the one whose rollover was due last"),
        )
        parser.add_argument(
            "--send", action="store_true", help=_("send it to QUALITY_REPORT_TO, also to who has it already")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = rollover.utc_now()
        date = options["date"] or rollover.newest_due(now)
        try:
            if not options["send"]:
                self.stdout.write(report.make(date, now, origin=settings.PUBLIC_ORIGIN).text, ending="")
                return
            if not settings.QUALITY_REPORT_TO:
                raise CommandError(_("nobody is to have it: set QUALITY_REPORT_TO and EMAIL_HOST"))
            failed = report_delivery.send_now(date, now)
        except LookupError as error:
            raise CommandError(str(error)) from error
        if failed:
            raise CommandError(_("the mail server did not take it: {error}").format(error=failed))
        self.stdout.write(_("sent to {count} recipients").format(count=len(settings.QUALITY_REPORT_TO)))
