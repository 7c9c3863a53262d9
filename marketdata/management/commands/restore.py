"""`manage.py restore NAME --to FOLDER`: put a backup together in an empty folder; with `--from`, out of another place.
Needs no database."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata import backups
from marketdata.backups.offsite import restoring
from marketdata.backups.progress import Lines
from marketdata.management import place_options
from marketdata.storage import StorageError


class Command(BaseCommand):
    help = _("Restore a backup into an empty folder; the running database is not touched.")
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help=_("the backup's name, or latest"))
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help=_("an empty folder"))
        place_options.add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            name, target = options["name"], options["to"].absolute()
            if options["place"] or options["identity"]:
                place, identity, trust = place_options.read(options)
                if name == "latest":
                    name = restoring.latest(place, trust, now=datetime.datetime.now(datetime.UTC))
                advice = restoring.restore(place, name, target, identity, trust, progress=lines)
            else:
                name = backups.latest() if name == "latest" else name
                advice = backups.restore(name, target, progress=lines)
        except (StorageError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            _("restored: {name} → {to} ({elapsed_s:.1f} s)\n{advice}").format(
                name=name, to=options["to"], elapsed_s=lines.elapsed_s, advice=advice
            )
        )
