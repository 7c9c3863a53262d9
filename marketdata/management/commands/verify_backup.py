"""`manage.py verify_backup NAME`: restore a backup once more and compare it, table by table and date by date."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketdata import backups
from marketdata.backups.progress import Lines
from marketdata.maintenance.leases import HeldElsewhere
from marketdata.storage import StorageError


class Command(BaseCommand):
    help = "백업을 다시 복원해서 대조합니다. Restore a backup beside the original once more and compare it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="latest", help="백업 이름 / its name; the latest if none")

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            name = backups.latest() if options["name"] == "latest" else options["name"]
            report = backups.verify(name, progress=lines)
        except (StorageError, OSError, HeldElsewhere) as error:
            raise CommandError(str(error)) from error
        for table, dates in report["tables"].items():
            for date, (rows, checksum, verdict) in dates.items():
                self.stdout.write(f"  {table:<26} {date or '-':<10} {rows:>14,}  {checksum:>10}  {verdict}")
        for table in report["unkept"]:
            self.stdout.write(f"  {table:<26} {'-':<10} {'':>14}  {'':>10}  메모리 / in memory only")
        for problem in report["problems"]:
            self.stderr.write(f"  {problem}")
        if report["problems"]:
            raise CommandError(f"{name}: 검증 실패 / is not what was backed up; docs/backups.md says what to do")
        self.stdout.write(f"검증됨 / verified: {name} ({lines.elapsed_s:.1f} s)")
