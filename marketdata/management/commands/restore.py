"""`manage.py restore NAME --to FOLDER`: put a backup together in an empty folder. Needs no database."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata import backups
from marketdata.backups.progress import Lines
from marketdata.storage import StorageError


class Command(BaseCommand):
    help = _("Restore a backup into an empty folder; the running database is not touched.")
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help=_("the backup's name, or latest"))
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help=_("an empty folder"))

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            name = backups.latest() if options["name"] == "latest" else options["name"]
            advice = backups.restore(name, options["to"].absolute(), progress=lines)
        except (StorageError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            _("restored: {name} → {to} ({elapsed_s:.1f} s)\n{advice}").format(
                name=name, to=options["to"], elapsed_s=lines.elapsed_s, advice=advice
            )
        )
