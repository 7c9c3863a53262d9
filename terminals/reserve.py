"""Room on the disk for the last words of a terminal: where the disk is full, what was dropped can still be told."""

import contextlib
import os
from pathlib import Path
from typing import Final

from terminals import private

_NAME: Final = "reserve"
_BYTES: Final = 64 * 1024


def keep(folder: Path) -> None:
    """Take the room, if there is that much and it is not taken already."""
    path = folder / _NAME
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size >= _BYTES:
            return
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), private.FILE_MODE
        )
        try:
            # Not zeros: a file system that compresses would keep no room for those.
            os.write(descriptor, os.urandom(_BYTES))
        finally:
            os.close(descriptor)


def release(folder: Path) -> None:
    """Give the room back to the disk."""
    with contextlib.suppress(OSError):
        (folder / _NAME).unlink()
