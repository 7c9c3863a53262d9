"""What a terminal accepted, on its own disk until the server has committed it, and a day longer for audits.

A batch gets its number here and never another one, so a re-send is the same bytes. Thread-safe; starts no thread:
somebody calls `sync` when it is `due`, and only batches up to `durable` may leave the machine.
"""

import contextlib
import errno
import json
import os
import secrets
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from terminals import private, segments
from terminals.lock import FileLock
from terminals.segments import Segment, SpoolDamaged
from terminals.wire import limits

SEGMENT_BYTES: Final = 64 * 1024 * 1024
CAPACITY_BYTES: Final = 2 * 1024 * 1024 * 1024
KEEP_S: Final = 86_400.0
SYNC_S: Final = 0.05
SYNC_BYTES: Final = 64 * 1024
_BINARY: Final = getattr(os, "O_BINARY", 0)
_HEADER_NAME: Final = "spool.json"
_MARK_NAME: Final = "committed.json"
_MARK_EVERY_S: Final = 1.0


class SpoolFull(Exception):
    """There is no room for this batch, within the capacity or on the disk. Nothing was written."""


class SpoolError(Exception):
    """This directory cannot be used as a spool."""


class Spool:
    """A directory of segments with one writer. Numbers begin at 1 with each epoch (each new directory)."""

    def __init__(
        self,
        path: str | Path,
        *,
        capacity_bytes: int = CAPACITY_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        keep_s: float = KEEP_S,
        sync_s: float = SYNC_S,
        sync_bytes: int = SYNC_BYTES,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self.path = Path(path)
        self._capacity = capacity_bytes
        self._segment_bytes = min(segment_bytes, max(capacity_bytes // 4, 1))
        self._keep_s, self._sync_s, self._sync_bytes = keep_s, sync_s, sync_bytes
        self._clock, self._wall, self._fsync = clock, wall, fsync
        self._mutex = threading.RLock()
        self.last = self.durable = self.committed = self.torn_bytes = 0
        self._unsynced, self._synced_at, self._marked_at = 0, float("-inf"), float("-inf")
        self._closed = False
        private.make(self.path)
        self._lock = FileLock(self.path / "lock")
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    # What is in it

    @property
    def first(self) -> int:
        """The oldest batch still here; `last + 1` when there is none."""
        return self._segments[0].first

    @property
    def rows_total(self) -> int:
        """Rows ever taken in this epoch, trimmed batches included."""
        return self._active.rows_before + sum(self._active_index.rows)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        with self._mutex:
            return sum(one.size for one in self._segments)

    def get(self, seq: int) -> bytes:
        """The payload of a batch that is here; SpoolDamaged if its bytes changed on the disk."""
        with self._mutex:
            if not self.first <= seq <= self.last:
                raise KeyError(f"batch {seq} is not in {self.path}: it has {self.first} to {self.last}")
            segment = self._segments[self._position(seq)]
            return segments.read_record(segment, self._index(segment), seq)

    def rows(self, first: int, last: int) -> int:
        """The rows of the batches first to last (both included), as far as they are here."""
        with self._mutex:
            first, last = max(first, self.first), min(last, self.last)
            return self._rows_below(last + 1) - self._rows_below(first) if first <= last else 0

    # Taking batches

    def append(self, payload: bytes, *, beyond_capacity: bool = False) -> int:
        """Give a batch its number and write it down. `beyond_capacity` is for the few bytes that report a gap."""
        with self._mutex:
            seq = self.last + 1
            if seq > limits.MAX_SEQ:
                raise SpoolError(f"{self.path} has used up its batch numbers: begin a new spool directory")
            data = segments.record(seq, seq.to_bytes(8, "little") + payload[8:])
            if not beyond_capacity:
                self._make_room(len(data))
            if self._active_index.offsets and self._active.size + len(data) > self._segment_bytes:
                self._roll()
            self._write(data)
            self._active_index.offsets.append(self._active.size)
            self._active_index.rows.append(segments.rows_of(payload))
            self._active.size += len(data)
            self._unsynced += len(data)
            self.last = seq
            return seq

    def due(self, now: float) -> bool:
        """Whether `sync` should be called: 64 KiB wait, or the last sync was 50 ms ago and something waits."""
        return now >= self.due_at()

    def due_at(self) -> float:
        """The moment `sync` becomes due; never while nothing waits."""
        if self._unsynced == 0:
            return float("inf")
        return float("-inf") if self._unsynced >= self._sync_bytes else self._synced_at + self._sync_s

    def sync(self) -> int:
        """Make all that was appended survive a power cut; answers `durable`. Appends go on meanwhile."""
        with self._mutex:
            target, segment, size = self.last, self._active, self._active.size
            if not self._unsynced:
                return self.durable
            fd = os.dup(self._fd)
        try:
            self._fsync(fd)
        finally:
            os.close(fd)
        with self._mutex:
            self.durable = max(self.durable, target)
            if segment is self._active:  # else a new one was begun meanwhile, of which nothing is safe yet
                self._unsynced = min(self._unsynced, segment.size - size)
            self._synced_at = self._clock()
            return self.durable

    # Forgetting batches

    def resume(self, committed: int) -> None:
        """What the server says is committed when a session begins; lower than before if the server lost some."""
        with self._mutex:
            self.committed = min(self.committed, committed)
            self.commit(committed)

    def commit(self, upto: int) -> None:
        """The server has committed every batch up to this one. They stay a day, unless room is needed."""
        with self._mutex:
            before, self.committed = self.committed, max(self.committed, min(upto, self.last))
            for position, segment in enumerate(self._segments[:-1]):
                if before < self._last_of(position) <= self.committed:
                    # The modification time is when the day of keeping begins.
                    os.utime(segment.path, (self._wall(), self._wall()))
                    segment.index = None
            if self._clock() >= self._marked_at + _MARK_EVERY_S:
                self._mark()

    def trim(self) -> int:
        """Delete segments that were committed more than `keep_s` ago; answers how many."""
        count = 0
        with self._mutex:
            while self._droppable() and self._segments[0].path.stat().st_mtime + self._keep_s <= self._wall():
                self._drop_oldest()
                count += 1
        return count

    def close(self) -> None:
        """Sync, note what is committed, let another process in."""
        with self._mutex:
            if self._closed:
                return
            self.sync()
            self._mark()
            self._closed = True
            os.close(self._fd)
            self._lock.release()

    # Inside

    def _open(self) -> None:
        for leftover in self.path.glob("*.new"):
            leftover.unlink()
        paths = sorted(self.path.glob("*" + segments.SUFFIX))
        if not (self.path / _HEADER_NAME).exists():
            if paths:
                raise SpoolError(f"{self.path} has segments but no {_HEADER_NAME}: it cannot tell their epoch")
            content = {"naru_spool": 1, "epoch": secrets.token_hex(8), "created_us": int(self._wall() * 1_000_000)}
            self._put(_HEADER_NAME, json.dumps(content).encode(), durable=True)
        self.epoch, self.created_us = _header(self.path)
        if not paths:
            paths = [self._put(segments.file_name(1), segments.head(self.epoch, 1, 0), durable=True)]
        self._segments = [segments.open_segment(path, self.epoch) for path in paths]
        self._active = self._segments[-1]
        self._active_index, end = segments.build_index(self._active, verify=True)
        self._active.index = self._active_index
        self.torn_bytes = self._active.size - end
        self._fd = os.open(self._active.path, os.O_RDWR | os.O_APPEND | _BINARY)
        if self.torn_bytes:
            os.ftruncate(self._fd, end)
            self._active.size = end
        self._fsync(self._fd)
        self.last = self._active.first + len(self._active_index.offsets) - 1
        self.durable = self.last
        self.committed = min(_read_mark(self.path, self.epoch), self.last)

    def _position(self, seq: int) -> int:
        return bisect_right(self._segments, seq, key=lambda one: one.first) - 1

    def _last_of(self, position: int) -> int:
        return self.last if position == len(self._segments) - 1 else self._segments[position + 1].first - 1

    def _index(self, segment: Segment) -> segments.Index:
        if segment.index is None:
            segment.index, _end = segments.build_index(segment, verify=False)
        return segment.index

    def _rows_below(self, seq: int) -> int:
        if seq > self.last:
            return self.rows_total
        segment = self._segments[self._position(seq)]
        if seq == segment.first:
            return segment.rows_before
        return segment.rows_before + sum(self._index(segment).rows[: seq - segment.first])

    def _make_room(self, needed: int) -> None:
        while self.size + needed > self._capacity:
            if len(self._segments) == 1 and self._active_index.offsets and self.last <= self.committed:
                self._roll()
            if not self._droppable():
                raise SpoolFull(f"{self.path} holds {self.size} of {self._capacity} bytes, none committed yet")
            self._drop_oldest()

    def _droppable(self) -> bool:
        return len(self._segments) > 1 and self._last_of(0) <= self.committed

    def _drop_oldest(self) -> None:
        self._segments.pop(0).path.unlink()
        self._sync_directory()

    def _roll(self) -> None:
        self._fsync(self._fd)
        first, rows_before = self.last + 1, self.rows_total
        path = self._put(segments.file_name(first), segments.head(self.epoch, first, rows_before), durable=True)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)
        os.close(self._fd)
        self._fd, self._unsynced, self.durable = fd, 0, self.last
        self._active_index = segments.Index()
        self._active = Segment(path, first, rows_before, segments.HEAD_BYTES, self._active_index)
        self._segments.append(self._active)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            os.ftruncate(self._fd, self._active.size)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFull(f"the disk under {self.path} is full") from None
            raise

    def _mark(self) -> None:
        content = json.dumps({"epoch": self.epoch, "committed": self.committed}).encode()
        # Only a hint: the server tells again when the next session begins.
        with contextlib.suppress(OSError, SpoolFull):
            self._put(_MARK_NAME, content, durable=False)
        self._marked_at = self._clock()

    def _put(self, name: str, content: bytes, *, durable: bool) -> Path:
        new, path = self.path / (name + ".new"), self.path / name
        try:
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                if durable:
                    self._fsync(file.fileno())
        except OSError as error:
            new.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise SpoolFull(f"the disk under {self.path} is full") from None
            raise
        new.replace(path)
        if durable:
            self._sync_directory()
        return path

    def _sync_directory(self) -> None:
        if os.name == "nt":
            # Windows has no fsync of a directory; NTFS journals the rename itself.
            return
        fd = os.open(self.path, os.O_RDONLY)
        try:
            self._fsync(fd)
        finally:
            os.close(fd)


def read(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """(seq, payload) of every batch in a spool directory, oldest first; also while a terminal writes to it.

    Ends at the last whole record. SpoolDamaged if bytes before that are not what was written.
    """
    root = Path(path)
    epoch, _created_us = _header(root)
    paths = sorted(root.glob("*" + segments.SUFFIX))
    for position, one in enumerate(paths):
        try:
            first = segments.open_segment(one, epoch).first
            data = one.read_bytes()
        except FileNotFoundError:
            continue
        seq = first - 1
        for _at, seq, payload in segments.scan(data, first, verify=True):
            yield seq, bytes(payload)
        if position + 1 < len(paths) and segments.file_name(seq + 1) != paths[position + 1].name:
            raise SpoolDamaged(f"{one}: batch {seq + 1} is damaged")


def epoch_of(path: str | Path) -> str:
    """The epoch of a spool directory, without opening it."""
    return _header(Path(path))[0]


def _header(path: Path) -> tuple[str, int]:
    try:
        content = json.loads((path / _HEADER_NAME).read_bytes())
        epoch, created_us = content["epoch"], content["created_us"]
        if content["naru_spool"] != 1 or len(bytes.fromhex(epoch)) != 8 or type(created_us) is not int:
            raise ValueError
    except FileNotFoundError:
        raise SpoolError(f"{path} is no spool directory: it has no {_HEADER_NAME}") from None
    except (ValueError, KeyError, TypeError):
        raise SpoolError(f"{path / _HEADER_NAME} is damaged") from None
    return epoch, created_us


def _read_mark(path: Path, epoch: str) -> int:
    try:
        content = json.loads((path / _MARK_NAME).read_bytes())
        committed = content["committed"] if content["epoch"] == epoch else 0
        return committed if type(committed) is int and committed >= 0 else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
