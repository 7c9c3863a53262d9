"""What goes wrong with an archive, and writing files so that they are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

TEMPORARY = ".part"
PIECE = 1 << 20


class ArchiveError(Exception):
    """A day was not archived, or its archive cannot be used; the message says why and what to do."""


class Tampered(ArchiveError):
    """An archive is not what was written: changed, cut off, or not there."""


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def put(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
