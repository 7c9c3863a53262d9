"""The terminal's own list of what it accepted: one JSON line per spooled batch, for accounting tests and drills."""

import contextlib
import errno
import json
import logging
import os
import zlib
from pathlib import Path

from terminals import private
from terminals.segments import SpoolDamaged
from terminals.spool import Spool
from terminals.wire import parse_header
from terminals.wire.language import gettext as _

_BEGINNING = b'{"epoch": "'

log = logging.getLogger("naru.terminal")


class JournalError(ValueError):
    """The file is no journal; the message says what to do."""


class Journal:
    """A line after each batch. Lines that a kill or a full or failing disk prevented are made up from the spool as soon
    as it takes them, or at the next start."""

    def __init__(self, path: Path, spool: Spool) -> None:
        """JournalError if there is another file in its place; OSError if it cannot be written."""
        self._path, self._spool = path, spool
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, private.FILE_MODE)
        try:
            self._size, last = self._last_noted()
            os.ftruncate(self._fd, self._size)
        except BaseException:
            os.close(self._fd)
            raise
        self._next = max(last + 1, spool.first)
        self._is_behind = False
        self._catch_up(spool.last)

    def note(self, seq: int, payload: bytes) -> None:
        """One batch was spooled. The checksum leaves out the first eight bytes, which hold `seq`. Raises nothing for a
        disk that is full or fails: the batch is in the spool, and whoever sent it may not think otherwise."""
        if seq == self._next or self._catch_up(seq - 1):
            self._write(seq, payload)

    def renewed(self) -> None:
        """The spool has begun a new epoch: its batches have other numbers."""
        self._next = self._spool.first
        self._catch_up(self._spool.last)

    def close(self) -> None:
        """The file stays."""
        if self._is_behind:
            self._catch_up(self._spool.last)
        os.close(self._fd)

    def _catch_up(self, last: int) -> bool:
        """The lines up to batch `last`, as far as the spool has them; False if the disk does not give or take them."""
        while self._next <= last:
            try:
                payload = self._spool.get(max(self._next, self._spool.first))
            except SpoolDamaged:  # it leaves as a gap, so it is no line of the list
                self._next += 1
                continue
            except OSError as error:
                self._fall_behind(self._next, error)
                return False
            if not self._write(max(self._next, self._spool.first), payload):
                return False
        return True

    def _write(self, seq: int, payload: bytes) -> bool:
        """One line; False, and nothing of it, if the disk does not take it."""
        line = {
            "epoch": self._spool.epoch,
            "seq": seq,
            "rows": parse_header(payload).rows,
            "crc32": zlib.crc32(payload[8:]),
        }
        data = json.dumps(line).encode() + b"\n"
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            self._fall_behind(seq, error)
            return False
        self._size += len(data)
        self._next, self._is_behind = seq + 1, False
        return True

    def _fall_behind(self, seq: int, error: OSError) -> None:
        if not self._is_behind:
            log.error("not_noted journal=%s from_seq=%d reason=%r", self._path, seq, error.strerror)
        self._is_behind = True

    def _last_noted(self) -> tuple[int, int]:
        """How many bytes are whole lines, and the last batch of this epoch among them."""
        last, whole = 0, 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n") and _BEGINNING.startswith(line[: len(_BEGINNING)]):
                    break
                try:
                    content = json.loads(line)
                    if content["epoch"] == self._spool.epoch:
                        last = max(last, content["seq"])
                except (ValueError, KeyError, TypeError):
                    raise JournalError(
                        _("{file} is no journal: name another file with --journal").format(file=self._path)
                    ) from None
                whole += len(line)
        return whole, last
