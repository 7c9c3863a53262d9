"""`manage.py backup`: take a backup now, restore it beside the original, compare."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.utils.translation import gettext as _

from marketdata import backups
from marketdata.backups.progress import Lines
from marketdata.maintenance.leases import LeaseHeld
from marketdata.models import BackupRun
from marketdata.storage import StorageError


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Take a backup, restore it beside the original and compare.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument("--full", action="store_true", help=_("a full one, whatever is due"))
        kind.add_argument("--incremental", action="store_true", help=_("an increment, or fail"))
        kind.add_argument("--due", action="store_true", help=_("only if one is due"))

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.datetime.now(datetime.UTC)
        lines = Lines(self.stdout.write)
        kind = "full" if options["full"] else "incremental" if options["incremental"] else None
        try:
            if options["due"]:
                run = backups.run_due(now, progress=lines)
            else:
                run = backups.make(now, kind=kind, progress=lines)
        except (StorageError, LeaseHeld) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(_("the database cannot be reached: {error}").format(error=error)) from error
        if run is None:
            self.stdout.write(_("no backup is due, or one is being made"))
            return
        if run.state != BackupRun.State.VERIFIED:
            raise CommandError(f"{run.name} {run.state}: {run.shown}")
        packed, raw = run.bytes or 0, run.raw_bytes or 0
        self.stdout.write(
            _("verified: {name} ({packed:,.1f} MB, unpacked {raw:,.1f} MB, {elapsed_s:.1f} s)").format(
                name=run.name, packed=packed / 1e6, raw=raw / 1e6, elapsed_s=lines.elapsed_s
            )
        )
