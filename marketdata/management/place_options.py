"""Options of management commands that read backups from another place."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from marketdata.backups.offsite import Trust, offsite
from marketdata.backups.offsite.places import Place
from marketdata.storage.backups import BackupError


def add(parser: ArgumentParser) -> None:
    """--from, --identity, --signers, --unsigned."""
    parser.add_argument(
        "--from",
        dest="place",
        metavar="PLACE",
        default="",
        help=_("a folder or s3://bucket/prefix; BACKUP_OFFSITE if none"),
    )
    parser.add_argument("--identity", type=Path, metavar="FILE", help=_("the private key that opens the copies"))
    parser.add_argument("--signers", type=Path, metavar="FILE", help=_("who may sign, as OpenSSH lists them"))
    parser.add_argument("--unsigned", action="store_true", help=_("take what nobody signed, too"))


def read(options: Mapping[str, Any]) -> tuple[Place, Path, Trust]:
    """The place, the file of private keys and what is believed. BackupError for what is missing."""
    where = offsite(options["place"])
    if where is None:
        raise BackupError(_("--from names the place: a mounted folder, or s3://bucket/prefix"))
    if options["identity"] is None:
        raise BackupError(_("--identity names the file with the private key that belongs to BACKUP_RECIPIENTS"))
    signers = options["signers"] or (Path(settings.BACKUP_SIGNERS_FILE) if settings.BACKUP_SIGNERS_FILE else None)
    return where.place(), options["identity"], Trust(signers=signers, unsigned=options["unsigned"])
