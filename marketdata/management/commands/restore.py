"""`manage.py restore NAME --to FOLDER`: put a backup together in an empty folder. Needs no database."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketdata import backups
from marketdata.backups.progress import Lines
from marketdata.storage import StorageError


class Command(BaseCommand):
    help = "백업을 빈 폴더에 복원합니다. Restore a backup into an empty folder; the running database is not touched."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="백업 이름 또는 latest / the backup's name, or latest")
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="빈 폴더 / an empty folder")

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            name = backups.latest() if options["name"] == "latest" else options["name"]
            advice = backups.restore(name, options["to"].absolute(), progress=lines)
        except (StorageError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"복원됨 / restored: {name} → {options['to']} ({lines.elapsed_s:.1f} s)\n{advice}")
