"""The manifest of a copy: the one definition of what a backup in another place is. Never changed once written; signed
as it stands. An increment names its base by the base's manifest, so that no piece of a chain can be exchanged."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.utils.translation import gettext_lazy as _

from marketdata.backups import container, plan
from marketdata.backups.container import Tampered
from marketdata.backups.offsite import sealing
from marketdata.backups.offsite.sealing import Sealed

SUFFIX = ".copy.json"
FORMAT = 1
WHAT = "naru-backup-copy"
NAME = re.compile(r"naru-[0-9]{8}T[0-9]{6}Z-(full|incremental)(-[0-9]{1,3})?")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """`base` and `base_sha256` are "" for a full backup. `files` has an entry for each file beside this manifest."""

    name: str
    kind: str
    vendor: str
    started_at: str
    place: str
    base: str
    base_sha256: str
    recipients: tuple[str, ...]
    files: Mapping[str, Sealed]

    @property
    def began(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.started_at)

    @property
    def bytes(self) -> int:
        """Of all its files, encrypted."""
        return sum(one.bytes for one in self.files.values())


def files_of(name: str) -> tuple[str, str]:
    """The files of a copy beside its manifest: archive and figures, encrypted."""
    return f"{name}{container.SUFFIX}{sealing.SUFFIX}", f"{name}{container.MANIFEST}{sealing.SUFFIX}"


def path_of(name: str) -> str:
    """The manifest's own file name."""
    return f"{name}{SUFFIX}"


def digest(content: bytes) -> str:
    """By which an increment names the manifest of its base."""
    return hashlib.sha256(content).hexdigest()


def to_bytes(copy: Copy) -> bytes:
    """As it is stored and signed."""
    return json.dumps(
        {"what": WHAT, "format": FORMAT, **asdict(copy)}, ensure_ascii=False, indent=1, sort_keys=True
    ).encode()


def parse(content: bytes, name: str) -> Copy:
    """The manifest of the copy that is called `name`. Tampered if it is none, or another one's."""
    try:
        values = json.loads(content)
        if values.pop("what") != WHAT or values.pop("format") != FORMAT:
            raise ValueError("format")
        files = {str(file): Sealed(**one) for file, one in values.pop("files").items()}
        copy = Copy(**values | {"files": files, "recipients": tuple(values["recipients"])})
        _check(copy)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Tampered(
            _("{path} is no manifest of a copy: {reason}"), path=path_of(name), reason=str(error)[:200]
        ) from error
    if copy.name != name:
        raise Tampered(_("{path} is the manifest of another backup, {name}"), path=path_of(name), name=copy.name)
    return copy


def _check(copy: Copy) -> None:
    texts = (copy.name, copy.kind, copy.vendor, copy.started_at, copy.place, copy.base, copy.base_sha256)
    if not all(isinstance(text, str) for text in (*texts, *copy.recipients)):
        raise TypeError("text")
    if not NAME.fullmatch(copy.name) or set(copy.files) != set(files_of(copy.name)):
        raise ValueError("files")
    if copy.began.tzinfo is None:
        raise ValueError("started_at")
    is_full = copy.kind == plan.FULL
    if not is_full and (copy.kind != plan.INCREMENTAL or not NAME.fullmatch(copy.base)):
        raise ValueError("base")
    if (copy.base, copy.base_sha256) != ("", "") if is_full else not DIGEST.fullmatch(copy.base_sha256):
        raise ValueError("base")
    for one in copy.files.values():
        for size in (one.bytes, one.plain_bytes):
            if type(size) is not int or size < 0:
                raise ValueError("bytes")
        if not DIGEST.fullmatch(one.sha256) or not DIGEST.fullmatch(one.plain_sha256):
            raise ValueError("sha256")
