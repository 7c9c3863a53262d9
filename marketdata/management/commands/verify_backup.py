"""`manage.py verify_backup NAME`: restore a backup once more and compare it, table by table and date by date."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata import backups
from marketdata.backups import comparison
from marketdata.backups.progress import Lines
from marketdata.maintenance.leases import LeaseHeld
from marketdata.storage import StorageError


class Command(BaseCommand):
    help = _("Restore a backup beside the original once more and compare it.")
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="latest", help=_("its name; the latest if none"))

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            name = backups.latest() if options["name"] == "latest" else options["name"]
            report = backups.verify(name, progress=lines)
        except (StorageError, OSError, LeaseHeld) as error:
            raise CommandError(str(error)) from error
        for table, dates in report["tables"].items():
            for date, (rows, checksum, verdict) in dates.items():
                self.stdout.write(f"  {table:<26} {date or '-':<10} {rows:>14,}  {checksum:>10}  {verdict}")
        verdict = _("in memory only")
        for table in comparison.excluded(report):
            self.stdout.write(f"  {table:<26} {'-':<10} {'':>14}  {'':>10}  {verdict}")
        for problem in report["problems"]:
            self.stderr.write(f"  {problem}")
        if report["problems"]:
            raise CommandError(
                _("{name}: is not what was backed up; docs/backups.md says what to do").format(name=name)
            )
        self.stdout.write(_("verified: {name} ({elapsed_s:.1f} s)").format(name=name, elapsed_s=lines.elapsed_s))
