"""Locks on files that the operating system lifts when their holder dies: one process per spool, or many in turn."""

import contextlib
import os
import sys
from pathlib import Path


class Locked(Exception):
    """Another process holds the lock."""


class FileLock:
    """An exclusive lock on `path`, held from construction until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(self._fd)
        except OSError:
            holder = os.pread(self._fd, 20, 1).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
            os.close(self._fd)
            raise Locked(f"{path.parent} is in use by another process {holder}".rstrip()) from None
        # The first byte is the locked one (Windows locks bytes, and a locked byte cannot be read by others). Who holds
        # it is for people to read; a full disk has no room for that, and the lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f" {os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others in, expressly: a process that was forked meanwhile has the file open, too."""
        _unlock(self._fd)
        os.close(self._fd)


class TurnLock:
    """An exclusive lock that processes take in turn, each for a moment. The file stays open between the turns and may
    keep what the lock protects: `descriptor` is for reading and writing. Within a process it excludes nobody."""

    def __init__(self, path: Path) -> None:
        """OSError if the file cannot be opened or made."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)

    def take(self) -> bool:
        """Have it, unless another process does."""
        try:
            _lock(self.descriptor)
        except OSError:
            return False
        return True

    def give_back(self) -> None:
        """The turn of another."""
        _unlock(self.descriptor)

    def close(self) -> None:
        """Close the file; a lock on it is given back, unless a process that was forked has the file open."""
        os.close(self.descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
