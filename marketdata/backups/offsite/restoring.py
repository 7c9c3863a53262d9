"""Restores and proves backups on a machine that has the private key, from another place alone: no database, nothing of
the server's."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from marketdata.backups import restoration, verification, workspace
from marketdata.backups.offsite import fetching, manifests, sealing, signatures
from marketdata.backups.offsite.fetching import Piece, Trust
from marketdata.backups.offsite.places import Place
from marketdata.backups.progress import silent
from marketdata.backups.workspace import Options, options
from marketdata.storage.backups import Progress


def restore(
    place: Place, name: str, target: Path, identity: Path, trust: Trust, *, given: Options | None = None,
    progress: Progress = silent,
) -> str:  # fmt: skip
    """Restore a backup of another place into an empty folder; what to do next, for a person. BackupError where
    something cannot be believed, opened or restored."""
    given = given or options()
    pieces = fetching.chain(place, name, trust)
    keys = sealing.identities(identity)
    target.parent.mkdir(parents=True, exist_ok=True)
    _room(target.parent, pieces)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as beside:
        fetching.fetch(place, pieces, Path(beside), lambda copy: keys, progress=progress)
        return restoration.restore(
            name, target, given=dataclasses.replace(given, folder=Path(beside)), progress=progress
        )


def prove(
    place: Place, name: str, identities: Callable[[manifests.Copy], list[Any]], trust: Trust, *,
    given: Options | None = None, progress: Progress = silent,
) -> tuple[list[Piece], dict[str, Any]]:  # fmt: skip
    """Fetch a backup, restore it on a private server and compare it with what was found when it was made. Its pieces
    and the report; without keys the pieces are compared, and the report is empty. BackupError as `restore`."""
    given = given or options()
    pieces = fetching.chain(place, name, trust)
    workspace.make_folder(given.work)
    _room(given.work, pieces)
    with workspace.working(given) as work:
        folder = work / "fetched"
        folder.mkdir(mode=0o700)
        fetching.fetch(place, pieces, folder, identities, progress=progress)
        if not all(identities(piece.copy) for piece in pieces):
            return pieces, {}
        inner = dataclasses.replace(given, folder=folder)
        return pieces, verification.check(name, given=inner, progress=progress, original=None)


def sign(place: Place, pieces: list[Piece], key: Path) -> int:
    """Sign the manifests of a chain that nobody signed; how many. BackupUnavailable if the key makes no signature."""
    unsigned = [piece for piece in pieces if not piece.signer]
    for piece in unsigned:
        signature = signatures.sign(piece.content, signatures.with_key(key))
        place.write(f"{manifests.path_of(piece.copy.name)}{signatures.SUFFIX}", signature)
    return len(unsigned)


def latest(place: Place, trust: Trust, *, now: datetime.datetime, given: Options | None = None) -> str:
    """The newest backup of a place that can be believed and is not overdue; BackupError if there is none."""
    given = given or options()
    return fetching.latest(place, trust, now=now, old=given.plan.patience)


def _room(folder: Path, pieces: list[Piece]) -> None:
    """Encrypted and plain lie there at once for the largest file, then plain ones alone."""
    sizes = [one.plain_bytes for piece in pieces for one in piece.copy.files.values()]
    workspace.need_room(folder, sum(sizes) + max(sizes), _("fetching"))
