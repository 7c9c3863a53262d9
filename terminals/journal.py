"""The terminal's own list of what it accepted: one JSON line per spooled batch, for accounting tests and drills."""

import contextlib
import json
import os
import zlib
from pathlib import Path

from terminals import private
from terminals.segments import SpoolDamaged
from terminals.spool import Spool
from terminals.wire import parse_header


class Journal:
    """Appends a line after each batch. Lines that a kill prevented are made up from the spool at the next start."""

    def __init__(self, path: Path, spool: Spool) -> None:
        self._spool = spool
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, private.FILE_MODE)
        self._note_all(max(self._last_noted(path) + 1, spool.first))

    def note(self, seq: int, payload: bytes) -> None:
        """One batch was spooled. The checksum leaves out the first eight bytes, which hold `seq`."""
        line = {
            "epoch": self._spool.epoch,
            "seq": seq,
            "rows": parse_header(payload).rows,
            "crc32": zlib.crc32(payload[8:]),
        }
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    def renewed(self) -> None:
        """The spool has begun a new epoch: its batches have other numbers."""
        self._note_all(self._spool.first)

    def _note_all(self, first: int) -> None:
        for seq in range(first, self._spool.last + 1):
            with contextlib.suppress(SpoolDamaged):  # it leaves as a gap, so it is no line of the list
                self.note(seq, self._spool.get(seq))

    def close(self) -> None:
        """The file stays."""
        os.close(self._fd)

    def _last_noted(self, path: Path) -> int:
        last, whole = 0, 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                content = json.loads(line)
                if content["epoch"] == self._spool.epoch:
                    last = max(last, content["seq"])
        os.ftruncate(self._fd, whole)
        return last
