"""What Naru makes on this machine is for its own user alone, and some of it for one process at a time. Standard library
only, so that settings can ask it first.

Terminals, which import nothing from here, say the same in `terminals/private.py`.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = 0o077
FOLDER_MODE = 0o700
FILE_MODE = 0o600


def begin(folder: Path) -> None:
    """From here on this process makes files for its own user only, and `folder` is closed to everybody else.

    A folder that others could enter is one of an older version: what is in it is closed too, once. A folder that is
    not ours, or is not there, is left alone.
    """
    os.umask(UMASK)
    try:
        found = folder.stat()
    except OSError:
        return
    if not found.st_mode & UMASK or os.geteuid() not in (0, found.st_uid):
        return
    folder.chmod(FOLDER_MODE)
    tighten(folder)


def tighten(folder: Path) -> None:
    """Take from group and others what they may do with anything in `folder`. Links are not followed."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            try:
                mode = path.lstat().st_mode
                if not stat.S_ISLNK(mode) and mode & UMASK:
                    path.chmod(stat.S_IMODE(mode) & ~UMASK)
            except OSError:
                continue  # gone meanwhile, or another user's


def make(folder: Path) -> None:
    """Make `folder` where it is missing, its parents too, and close it if it is ours."""
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    found = folder.stat()
    if found.st_mode & UMASK and os.geteuid() in (0, found.st_uid):
        folder.chmod(FOLDER_MODE)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Inside, no other process and no other thread is inside for the same `path`, which is made where it is missing.

    OSError if the file cannot be opened. The lock is given back expressly, not by closing the file: a process that was
    forked meanwhile by another thread has the file open, too, and would hold the lock for as long as it lives.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
    finally:
        os.close(lock)
