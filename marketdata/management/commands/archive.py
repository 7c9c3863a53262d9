"""`manage.py archive`: exports finished trading days to Parquet files, or checks those that are there."""

from __future__ import annotations

import datetime
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from marketdata.archive import exports, files, manifests, parquet, verification
from marketdata.archive.manifests import Manifest
from marketdata.maintenance import leases
from marketdata.storage import StorageError, storage
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL
    help = _("Export finished trading days to Parquet files, or check them.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("date", nargs="?", type=wire.options.date, help=_("trading date (YYYY-MM-DD)"))
        which.add_argument("--due", action="store_true", help=_("every day that is due"))
        which.add_argument("--all", action="store_true", help=_("with --verify: every archive there is"))
        parser.add_argument("--to", metavar="DIR", help=_("a copy elsewhere, which marks nothing"))
        parser.add_argument("--verify", action="store_true", help=_("check what is there, write nothing"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["verify"] if options["due"] else options["all"] and not options["verify"]:
            raise CommandError(_("--verify goes with a date or --all, --all with --verify"))
        folder = Path(options["to"]) if options["to"] else None
        began = time.monotonic()

        def progress(words: str) -> None:
            self.stdout.write(f"{time.monotonic() - began:8.2f} s  {words}")

        failed = []
        try:
            with storage().long_running():
                for date in self._dates(options, folder):
                    parts = (manifests.parts_of(date, folder) or [1]) if options["verify"] else [0]
                    for part in parts:
                        try:
                            if options["verify"]:
                                manifest = verification.verify(date, folder=folder, part=part)
                            else:
                                manifest = exports.make(date, folder=folder, progress=progress)
                        except files.ArchiveError as error:
                            failed.append(str(error))
                            continue
                        self.stdout.write(_line(manifest, manifests.path_of(date, folder, manifest.part)))
                for date in manifests.without_ticks(folder) if options["all"] else ():
                    progress(f"{date}")
                    try:
                        verification.verify_beside(date, folder=folder)
                    except files.ArchiveError as error:
                        failed.append(str(error))
        except parquet.Missing as error:
            raise CommandError(str(error)) from error
        except (leases.LeaseHeld, leases.LeaseLost) as error:
            raise CommandError(_("another process is at it: {error}").format(error=error)) from error
        except (DatabaseError, StorageError) as error:
            raise CommandError(_("the database failed: {error}; try again").format(error=error)) from error
        if failed:
            raise CommandError("\n".join(failed))

    def _dates(self, options: dict[str, Any], folder: Path | None) -> list[datetime.date]:
        if options["date"]:
            return [options["date"]]
        dates = manifests.archived(folder) if options["all"] else exports.due()
        if not dates:
            self.stdout.write(_("nothing is archived") if options["all"] else _("nothing is due"))
        return dates


def _line(manifest: Manifest, path: Path) -> str:
    return _(
        "{trade_date}: {rows:,} ticks, {bytes:,} bytes ({bytes_per_tick:.2f} a tick), SHA-256 {sha256}…, {path}"
    ).format(
        trade_date=manifest.trade_date,
        rows=manifest.rows,
        bytes=manifest.bytes,
        bytes_per_tick=manifest.bytes_per_tick,
        sha256=manifest.sha256[:16],
        path=path,
    )
