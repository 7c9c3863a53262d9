"""One process per spool: a lock on a file that the operating system lifts when its holder dies."""

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
        # The first byte is the locked one (Windows locks bytes, and a locked byte cannot be read by others).
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f" {os.getpid()}\n".encode())

    def release(self) -> None:
        """Let others in."""
        os.close(self._fd)


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
