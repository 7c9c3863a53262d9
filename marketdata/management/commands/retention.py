"""`manage.py retention`: drops what is past its time, or says what that would be."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.maintenance import leases, retention, rollover
from marketdata.storage import storage


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Drop what is past its time (RETENTION_…_DAYS).")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--plan", action="store_true", help=_("print what would go, do nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        now = rollover.utc_now()
        with storage().long_running():
            if options["plan"]:
                for line in retention.plan_lines(now):
                    self.stdout.write(line)
                return
            try:
                with leases.hold(leases.UPKEEP):
                    retention.extend(now)
                    gone = retention.apply(now, progress=self.stdout.write)
            except leases.LeaseHeld as error:
                raise CommandError(_("other upkeep is at it: {error}").format(error=error)) from error
        self.stdout.write(_("{number} periods dropped").format(number=len(gone)))
