"""What another place can do: keep files whole or not at all, give them back, say which it has. A place is recognised by
a file in it, so that a mount point without its disk, or the wrong bucket, is not written to."""

from __future__ import annotations

import abc
import datetime
import json
import re
import secrets
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from marketdata.storage.backups import BackupError, BackupUnavailable, Progress

MARK = "naru-place.json"
FORMAT = 1
DELETED = _(
    "{name} was deleted from {place}, which keeps versions: docs/backups.md says under Object Lock how it comes back"
)
MOST_SMALL = 4 << 20
"""Bytes: manifests, signatures and the mark are far smaller."""


class PlaceUnavailable(BackupUnavailable):
    """The place cannot be reached, is not mounted or does not let us; that says nothing about the copies in it."""


class NotThere(BackupError):
    """The place has no such file."""


class Deleted(NotThere):
    """Somebody deleted the file, and the place still has what it was, where it keeps versions."""


class Miscopied(BackupError):
    """What a place has is not what was sent there."""


class Place(abc.ABC):
    """Names are plain: no folders. PlaceUnavailable from every method where the place cannot be asked."""

    shown: str
    """For people; without secrets."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """All files here that are whole, in order."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """A small file; NotThere if there is none, Deleted where it lies below its deletion, Miscopied if it is larger
        than MOST_SMALL."""

    @abc.abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """A small file, in place of what is there."""

    @abc.abstractmethod
    def upload(self, source: Path, name: str, *, progress: Progress) -> None:
        """Copy a file here, going on where an earlier attempt ended, and compare. Miscopied if it differs."""

    @abc.abstractmethod
    def download(self, name: str, target: Path, *, progress: Progress) -> str:
        """Copy a file from here to one for its owner alone; its SHA-256. NotThere and Deleted as in `read`."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Delete a file, and what an attempt to copy it left. PlaceUnavailable, which says what to do, where we may
        not."""


def identify(place: Place) -> str:
    """Who a place is, by its mark. PlaceUnavailable if it has none: not mounted, another one, or not made yet."""
    try:
        mark = json.loads(place.read(MARK))
        found = str(mark["id"])
        if mark["format"] != FORMAT or not re.fullmatch(r"[0-9a-f]{16}", found):
            raise ValueError
    except Deleted as error:
        raise PlaceUnavailable(DELETED, name=MARK, place=place.shown) from error
    except NotThere as error:
        raise PlaceUnavailable(
            _(
                "{place} has no {mark}: is it mounted, and is it the right one? Where it is new:"
                " manage.py copy_backups --new-place"
            ),
            place=place.shown,
            mark=MARK,
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise PlaceUnavailable(_("{mark} of {place} cannot be read"), mark=MARK, place=place.shown) from error
    return found


def begin(place: Place, now: datetime.datetime) -> str:
    """Make a place one for copies. BackupError if it has anything already."""
    found = place.names()
    if found:
        raise BackupError(
            _("{place} is not empty ({name}): name an empty folder or prefix"), place=place.shown, name=found[0]
        )
    name = secrets.token_hex(8)
    mark = {"what": "naru-backup-place", "format": FORMAT, "id": name, "made_at": now.isoformat()}
    place.write(MARK, json.dumps(mark, indent=1).encode())
    return name
