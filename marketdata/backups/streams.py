"""Files as backups write them: for their owner alone, safe on the disk, hashed and told of while they pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

PIECE = 1 << 20


def create(path: Path) -> IO[bytes]:
    """A new file for its owner alone: a backup has everything in it."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def sync(file: IO[bytes]) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pieces(file: IO[bytes], size: int = PIECE) -> Iterator[bytes]:
    """What is left of a file, so many bytes at a time."""
    while piece := file.read(size):
        yield piece


def sha256(path: Path, tell: Callable[[int], None] = lambda at: None) -> str:
    """The SHA-256 of a file; `tell` is called with the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        for piece in pieces(file):
            digest.update(piece)
            done += len(piece)
            tell(done)
    return digest.hexdigest()


class Hashed:
    """Writes to a file, or nowhere, and knows the SHA-256 of what went through."""

    def __init__(self, file: IO[bytes] | None, tell: Callable[[int], None] = lambda at: None) -> None:
        self._file, self._tell, self.hash, self.bytes = file, tell, hashlib.sha256(), 0

    def write(self, piece: bytes) -> int:
        self.hash.update(piece)
        self.bytes += len(piece)
        self._tell(self.bytes)
        return len(piece) if self._file is None else self._file.write(piece)

    def flush(self, *_: object) -> None:
        if self._file is not None:
            self._file.flush()


class Told:
    """Reads a file, hashes what is read and tells how far."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self._file, self._tell, self.hash, self.bytes = file, tell, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.hash.update(piece)
        self.bytes += len(piece)
        self._tell(self.bytes)
        return piece
