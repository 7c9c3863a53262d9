"""Brings a backup and all it builds on from another place into a folder here, as it lay in BACKUP_DIR. Every piece is
compared with what the manifests say, and the manifests with their signatures, before anything is made of them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from marketdata.backups import container, plan
from marketdata.backups.container import Tampered
from marketdata.backups.offsite import manifests, places, sealing, signatures
from marketdata.backups.offsite.manifests import Copy
from marketdata.backups.offsite.places import Deleted, NotThere, Place
from marketdata.backups.offsite.signatures import Unsigned
from marketdata.storage.backups import BackupError, Progress

MOST_PIECES = 1_000
"""Of a chain: an hourly increment for a month and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What is believed of a place: manifests that one of `signers` signed (without a file: any), and `unsigned` ones
    only where that is said. `known` are SHA-256 of manifests that must be these."""

    signers: Path | None = None
    unsigned: bool = False
    known: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """A manifest that was found good, as bytes, with who signed it ("" for nobody)."""

    copy: Copy
    content: bytes
    signer: str


def names(place: Place) -> list[str]:
    """The backups that a place has whole, oldest first."""
    found = [name.removesuffix(manifests.SUFFIX) for name in place.names() if name.endswith(manifests.SUFFIX)]
    return [name for name in found if manifests.NAME.fullmatch(name)]


def look(place: Place, name: str, trust: Trust, *, place_id: str) -> Piece:
    """One manifest, checked. NotThere, Deleted, Unsigned or Tampered where it cannot be believed."""
    try:
        content = place.read(manifests.path_of(name))
    except Deleted:
        raise
    except NotThere as error:
        there = ", ".join(names(place)[-5:]) or _("none")
        raise NotThere(
            _("{name}: there is no such backup in {folder}. The latest: {there}"),
            name=name,
            folder=place.shown,
            there=there,
        ) from error
    signer = signer_of(place, name, content, trust.signers)
    if trust.signers is None and not trust.unsigned:
        raise Unsigned(
            _("nobody is trusted to sign: --signers names OpenSSH's list of who may, --unsigned takes anything")
        )
    if not signer and not trust.unsigned:
        raise Unsigned(
            _(
                "{name} in {place} is not signed: anybody could have put it there. Whoever has the key signs it by"
                " manage.py prove_backup {name} --sign KEY; --unsigned takes it as it is"
            ),
            name=name,
            place=place.shown,
        )
    copy = manifests.parse(content, name)
    if copy.place != place_id:
        raise Tampered(
            _("{name} was not made for {place} but for another place ({id}): it was put there"),
            name=name,
            place=place.shown,
            id=copy.place[:16],
        )
    if name in trust.known and trust.known[name] != manifests.digest(content):
        raise Tampered(
            _("the manifest of {name} in {place} is not the one that was stored there"),
            name=name,
            place=place.shown,
        )
    return Piece(copy, content, signer)


def signer_of(place: Place, name: str, content: bytes, signers: Path | None) -> str:
    """Who signed a manifest; "" where nobody did, or nobody is asked for. Tampered or Unsigned for a signature that
    does not hold."""
    if signers is None:
        return ""
    try:
        signature = place.read(f"{manifests.path_of(name)}{signatures.SUFFIX}")
    except NotThere:
        return ""
    try:
        return signatures.verify(content, signature, signers)
    except (Unsigned, Tampered) as error:
        raise type(error)(f"{name}: {error}") from error


def chain(place: Place, name: str, trust: Trust) -> list[Piece]:
    """The manifests that restoring `name` needs, the full one first. NotThere, Unsigned or Tampered where the chain
    does not hold."""
    place_id = places.identify(place)
    found = [look(place, name, trust, place_id=place_id)]
    while found[-1].copy.kind != plan.FULL:
        above = found[-1].copy
        if len(found) >= MOST_PIECES or above.base in {one.copy.name for one in found}:
            raise Tampered(_("{name} builds on itself"), name=name)
        try:
            below = look(place, above.base, trust, place_id=place_id)
        except Deleted:
            raise
        except NotThere as error:
            raise NotThere(
                _(
                    "{name} cannot be restored: {base}, which it builds on, is missing in {place}. Take one before it,"
                    " or the copy of another place"
                ),
                name=name,
                base=above.base,
                place=place.shown,
            ) from error
        if manifests.digest(below.content) != above.base_sha256:
            raise Tampered(
                _("{base} in {place} is not the one that {name} builds on: its manifest was exchanged"),
                base=above.base,
                place=place.shown,
                name=above.name,
            )
        if below.copy.began > above.began or below.copy.vendor != above.vendor:
            raise Tampered(_("{name} builds on something younger"), name=above.name)
        found.append(below)
    return found[::-1]


def latest(place: Place, trust: Trust, *, now: datetime.datetime, old: datetime.timedelta) -> str:
    """The newest backup of a place that can be believed. BackupError if there is none, or if it is older than `old`:
    then somebody may have taken newer ones away, and who wants it names it."""
    place_id = places.identify(place)
    found: list[Copy] = []
    for name in names(place)[::-1]:
        try:
            found.append(look(place, name, trust, place_id=place_id).copy)
        except (Unsigned, Tampered):
            if trust.signers is None:
                raise
            continue
        break
    if not found:
        raise BackupError(_("{place} has no backup that can be believed"), place=place.shown)
    newest = found[0]
    if now - newest.began > old:
        raise BackupError(
            _(
                "the newest in {place} is {name}, of {hours:,.0f} hours ago: newer ones may have been taken away. If"
                " that is as expected, name it"
            ),
            place=place.shown,
            name=newest.name,
            hours=(now - newest.began).total_seconds() / 3600,
        )
    return newest.name


def fetch(
    place: Place, pieces: Sequence[Piece], folder: Path, identities: Callable[[Copy], Sequence[Any]], *,
    progress: Progress,
) -> None:  # fmt: skip
    """Bring the files of a chain into `folder`, decrypted. Tampered, NotThere or NoKey; nothing that was not compared
    is left there under its name."""
    for piece in pieces:
        keys = identities(piece.copy)
        for sealed_name, plain in zip(
            manifests.files_of(piece.copy.name), (container.SUFFIX, container.MANIFEST), strict=True
        ):
            wanted = piece.copy.files[sealed_name]
            sealed, target = folder / sealed_name, folder / f"{piece.copy.name}{plain}"
            found = place.download(sealed_name, sealed, progress=progress)
            size = sealed.stat().st_size
            if (size, found) != (wanted.bytes, wanted.sha256):
                sealed.unlink()
                raise Tampered(
                    _(
                        "{name} in {place} is not what was stored there: {bytes:,} bytes of {wanted:,}, another"
                        " SHA-256. Take the copy of another place, or one before it"
                    ),
                    name=sealed_name,
                    place=place.shown,
                    bytes=size,
                    wanted=wanted.bytes,
                )
            if not keys:
                sealed.unlink()
                continue
            part = target.with_name(target.name + container.PART)
            opened = sealing.decrypt(sealed, part, keys, progress=progress)
            sealed.unlink()
            if (opened.plain_bytes, opened.plain_sha256) != (wanted.plain_bytes, wanted.plain_sha256):
                part.unlink()
                raise Tampered(_("{name} opens to something else than its manifest says"), name=sealed_name)
            part.replace(target)
        if keys:
            _belongs(container.read(folder, piece.copy.name), piece.copy)


def _belongs(inner: container.Manifest, copy: Copy) -> None:
    """Tampered unless what lies encrypted is the backup that the manifest outside says."""
    archive = copy.files[manifests.files_of(copy.name)[0]]
    if (inner.kind, inner.vendor, inner.base, inner.sha256, inner.bytes) != (
        copy.kind, copy.vendor, copy.base, archive.plain_sha256, archive.plain_bytes,
    ):  # fmt: skip
        raise Tampered(_("{name}: what is inside is another backup"), name=copy.name)
