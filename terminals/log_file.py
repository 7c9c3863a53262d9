"""A log file of one terminal, which a task of Windows has no other place for: turned when it is large, and never larger
than twice that, whoever keeps it open."""

import contextlib
import io
import logging
import logging.handlers
import os
import time
from pathlib import Path
from typing import Final

from terminals import private

_AGAIN_S: Final = 60.0  # after a file could not be turned


class LogFile(logging.handlers.RotatingFileHandler):
    """`file` is for its user alone; longer than `max_bytes` it becomes `file.1`, of which `kept` stay. Windows renames
    no file that another program has open: it goes on then, up to twice that size, and is tried again each minute."""

    def __init__(self, file: Path, *, max_bytes: int, kept: int) -> None:
        """OSError if it cannot be written."""
        file.parent.mkdir(parents=True, exist_ok=True, mode=private.FOLDER_MODE)
        self._again_s = 0.0
        super().__init__(file, maxBytes=max_bytes, backupCount=kept, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> io.TextIOWrapper:
        return open(
            self.baseFilename, "a", encoding=self.encoding, errors=self.errors,
            opener=lambda path, flags: os.open(path, flags, private.FILE_MODE),
        )  # fmt: skip

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802 - the name that logging calls
        """Whether the file is to be turned before this line."""
        return int(record.created >= self._again_s and bool(super().shouldRollover(record)))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless there is no more room for it."""
        if record.created >= self._again_s or self.stream is None or self.stream.tell() < 2 * self.maxBytes:
            super().emit(record)

    def doRollover(self) -> None:  # noqa: N802
        """The file becomes the newest of the older ones. Its name is taken from it first: older ones stay where they
        are if that cannot be done."""
        if self.stream is not None:
            self.stream.close()
        here = Path(self.baseFilename)
        turned = here.with_name(f"{here.name}.turned")
        try:
            here.replace(turned)
        except OSError:
            self._again_s = time.time() + _AGAIN_S  # as records have it
        else:
            for number in range(self.backupCount - 1, 0, -1):
                with contextlib.suppress(OSError):  # not there yet, or open elsewhere
                    Path(f"{here}.{number}").replace(f"{here}.{number + 1}")
            with contextlib.suppress(OSError):
                turned.replace(f"{here}.1")
        self.stream = self._open()
