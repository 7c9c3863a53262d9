"""`manage.py prove_backup NAME --from PLACE --identity FILE`: on the machine with the private key, restore a backup
from another place and compare; `--sign` says so by a signature. Needs no database, and nothing of the server."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.backups import offsite
from marketdata.backups.offsite import restoring, sealing
from marketdata.backups.progress import Lines
from marketdata.management import place_options
from marketdata.storage import StorageError


class Command(BaseCommand):
    requires_system_checks = ()
    help = _("Restore a backup from another place with the private key, compare it, and sign it.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="latest", help=_("the backup's name, or latest"))
        place_options.add(parser)
        parser.add_argument("--sign", type=Path, metavar="KEY", help=_("sign what was proven with this SSH key"))
        parser.add_argument(
            "--new-identity",
            type=Path,
            metavar="FILE",
            help=_("only make a private key in FILE; prints the public one"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lines = Lines(self.stdout.write)
        try:
            if options["new_identity"]:
                self.stdout.write(sealing.new_identity(options["new_identity"]))
                return
            place, identity, trust = place_options.read(options)
            if options["sign"]:
                trust = offsite.Trust(signers=trust.signers, unsigned=True)
            name = options["name"]
            if name == "latest":
                name = restoring.latest(place, trust, now=datetime.datetime.now(datetime.UTC))
            keys = sealing.identities(identity)
            pieces, report = restoring.prove(place, name, lambda copy: keys, trust, progress=lines)
            if report["problems"]:
                for problem in report["problems"]:
                    self.stderr.write(f"  {problem}")
                raise CommandError(
                    _("{name}: is not what was backed up; docs/backups.md says what to do").format(name=name)
                )
            signed = restoring.sign(place, pieces, options["sign"]) if options["sign"] else 0
        except (StorageError, OSError) as error:
            raise CommandError(str(error)) from error
        rows = sum(verdict[0] for dates in report["tables"].values() for verdict in dates.values())
        self.stdout.write(
            _("proven from {place}: {name} ({rows:,} rows, {pieces} pieces, {elapsed_s:.1f} s)").format(
                place=place.shown, name=name, rows=rows, pieces=len(pieces), elapsed_s=lines.elapsed_s
            )
        )
        for piece in pieces:
            signer = piece.signer or (_("signed now") if signed else _("not signed"))
            self.stdout.write(f"  {piece.copy.name:<44} {piece.copy.bytes:>16,}  {signer}")
