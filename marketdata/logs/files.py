"""A log file that many processes write together, a line with each write, and that is turned when it is large."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
from pathlib import Path

from marketdata import private


class SharedFile(logging.handlers.WatchedFileHandler):
    """Each line is one write to the end of the file, so lines of several processes never mix (a local disk; not NFS).
    Whoever makes the file longer than `max_bytes` turns it (`main.log` becomes `main.log.1`, of which `kept` stay), one
    process at a time; the others see at their next line that it has another name. With 0 bytes that is left to
    logrotate. The file is for its owner alone."""

    def __init__(self, filename: str, *, max_bytes: int, kept: int) -> None:
        self._max_bytes, self._kept = max_bytes, kept
        super().__init__(filename, encoding="utf-8", delay=True, errors="backslashreplace")

    def _open(self) -> io.TextIOWrapper:
        number = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, private.FILE_MODE)
        return io.TextIOWrapper(  # without a buffer below it
            io.FileIO(number, "w"), encoding=self.encoding, errors=self.errors, newline="\n", write_through=True
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a disk that does not take it is told on stderr."""
        super().emit(record)
        try:
            file = self.stream if self._max_bytes else None
            if file is not None and os.fstat(file.fileno()).st_size >= self._max_bytes:
                self._turn()
        except OSError:
            self.handleError(record)

    def _turn(self) -> None:
        with private.alone(Path(self.baseFilename + ".lock")):
            found = Path(self.baseFilename).stat()
            if (found.st_dev, found.st_ino) != (self.dev, self.ino):
                return  # somebody else did it
            for number in range(self._kept, 0, -1):
                older = Path(f"{self.baseFilename}.{number - 1}" if number > 1 else self.baseFilename)
                if older.exists():
                    older.replace(f"{self.baseFilename}.{number}")
