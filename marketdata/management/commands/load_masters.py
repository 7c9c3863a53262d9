"""`manage.py load_masters`: takes symbols over from KIS's master files, downloaded or from files."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.maintenance import leases, rollover
from marketdata.vendors import duties, kis, masters
from marketdata.vendors.errors import VendorAway
from marketdata.vendors.masters import Taken

TOLD = 20


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Take symbols over from KIS's master files: names, base prices, halts, what is new and what is gone.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file",
            action="append",
            default=[],
            type=Path,
            metavar="PATH",
            help=_("a file that was downloaded, such as kospi_code.mst or kospi_code.mst.zip; default: download"),
        )
        parser.add_argument(
            "--accept-gone",
            action="store_true",
            help=_("switch off what a file lists no more, however much it is"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = rollover.utc_now()
        try:
            if options["file"]:
                files = [kis.read_file(path) for path in options["file"]]
            else:
                files = [kis.download(name) for name in kis.MASTERS]
            with leases.hold(duties.MASTERS_LEASE):
                taken = masters.take(files, now, accept_gone=options["accept_gone"])
        except OSError as error:
            raise CommandError(_("cannot be read: {error}").format(error=error)) from error
        except VendorAway as error:
            raise CommandError(_("nothing was taken over: {error}").format(error=error)) from error
        except leases.LeaseHeld as error:
            raise CommandError(_("another process is at it: {error}").format(error=error)) from error
        for one in taken:
            self._tell(one)
        if any(one.refused for one in taken):
            raise CommandError(_("nothing was switched off of files that may not be whole"))

    def _tell(self, taken: Taken) -> None:
        for words, found in (
            (_("new"), taken.listed),
            (_("renamed"), taken.renamed),
            (_("listed again"), taken.returned),
            (_("gone"), taken.delisted),
        ):
            for code, before, after in found[:TOLD]:
                names = " -> ".join(name for name in (before, after) if name)
                self.stdout.write(f"{words:<10} {code} {names}")
            if len(found) > TOLD:
                self.stdout.write(_("{words}: {count:,} more").format(words=words, count=len(found) - TOLD))
        if taken.refused:
            self.stderr.write(taken.refused)
        self.stdout.write(
            _(
                "{name}: {listed:,} new, {renamed:,} renamed, {returned:,} listed again, {gone:,} gone, "
                "{updated:,} with other facts"
            ).format(
                name=taken.name,
                listed=len(taken.listed),
                renamed=len(taken.renamed),
                returned=len(taken.returned),
                gone=len(taken.delisted),
                updated=taken.updated,
            )
        )
