"""`manage.py copy_backups`: what was verified to the other place now; `--new-place` makes a place one for copies."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError
from django.utils.translation import gettext as _

from marketdata import alarms, backups
from marketdata.backups import offsite
from marketdata.backups.offsite import copying, places
from marketdata.backups.progress import Lines
from marketdata.maintenance.leases import LeaseHeld
from marketdata.storage import StorageError


class Command(BaseCommand):
    requires_system_checks = ()
    help = _("Copy verified backups to another place (BACKUP_OFFSITE), encrypted, and prove them from there.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--new-place",
            action="store_true",
            help=_("make the empty folder or prefix of BACKUP_OFFSITE one for copies"),
        )

        parser.add_argument(
            "--again", metavar="NAME", help=_("delete this copy, and those that build on it, there and copy them anew")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.datetime.now(datetime.UTC)
        where = offsite.offsite()
        if where is None:
            raise CommandError(_("BACKUP_OFFSITE names no other place: a mounted folder, or s3://bucket/prefix"))
        try:
            if options["new_place"]:
                place = where.place()
                found = places.begin(place, now)
                self.stdout.write(_("{place} is a place for copies now: {id}").format(place=place.shown, id=found))
                return
            if options["again"]:
                copying.forget(options["again"], backups.options(), where)
            copied = offsite.run_due(now, where=where, at_once=True, progress=Lines(self.stdout.write))
            wrong = [one for one in alarms.active() if one.code in (copying.FAILED, copying.WRONG)]
        except (StorageError, LeaseHeld) as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(_("the database cannot be reached: {error}").format(error=error)) from error
        if copied is None:
            raise CommandError(_("another process is copying"))
        for name in copied:
            self.stdout.write(_("copied: {name}").format(name=name))
        if wrong:
            raise CommandError("; ".join(alarm.shown for alarm in wrong))
        if not copied:
            self.stdout.write(_("nothing was to be copied"))
