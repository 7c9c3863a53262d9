"""What a terminal accepted, on its own disk until the server has committed it, and a day longer for audits.

A batch gets its number here and never another one, so a re-send is the same bytes. Thread-safe; starts no thread:
somebody calls `sync` when it is `due`, and only batches up to `durable` may leave the machine.

Whatever bytes rot or vanish, every batch that is still whole is kept under its number. A batch that is not whole any
more keeps its number too: `get` raises SpoolDamaged and `lost_at` says what is known of it.
"""

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from terminals import epochs, private, reserve, segments, spool_state
from terminals.lock import FileLock
from terminals.lost_batches import LostBatches
from terminals.segment_list import SegmentList
from terminals.segments import LOST, Segment, SpoolDamaged
from terminals.spool_state import Header, Lost, Mark, SpoolError, SpoolFull
from terminals.wire import limits, parse_header

SEGMENT_BYTES: Final = 64 * 1024 * 1024
CAPACITY_BYTES: Final = 2 * 1024 * 1024 * 1024
KEEP_S: Final = 86_400.0
SYNC_S: Final = 0.05
SYNC_BYTES: Final = 64 * 1024
_BINARY: Final = getattr(os, "O_BINARY", 0)
_MARK_EVERY_S: Final = 1.0
_NEIGHBOURHOOD: Final = 1000

log = logging.getLogger("naru.spool")


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
        self.last = self.durable = self.committed = self.confirmed = self.torn_bytes = 0
        self.pressed = False
        self._renewals: list[tuple[str, tuple[tuple[int, int], ...], str]] = []
        self._rows_total = self._durable_rows = 0
        self._unsynced, self._synced_at, self._marked_at = 0, float("-inf"), float("-inf")
        self._sync_took_s = 0.0
        self._closed = False
        private.make(self.path)
        self._suspect = self._closed = False
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path / "lock")
        try:
            self._open()
            reserve.keep(self.path)
        except BaseException:
            self._lock.release()
            raise

    # What is in it

    @property
    def first(self) -> int:
        """The oldest batch still here; `last + 1` when there is none."""
        return self._segments.first

    @property
    def rows_total(self) -> int:
        """Rows ever taken in this epoch, trimmed and lost batches included."""
        return self._rows_total

    @property
    def last_captured_us(self) -> int | None:
        """When the newest batch that is whole was closed, by the terminal's clock; None if there is none."""
        with self._mutex:
            found = self._neighbour(self.last, -1)
        return found[0] if found else None

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        with self._mutex:
            return self._segments.size

    def get(self, seq: int) -> bytes:
        """The payload of a batch that is here; SpoolDamaged if its bytes changed on the disk. KeyError for one that is
        not."""
        with self._mutex:
            if not self.first <= seq <= self.last:
                raise KeyError(f"batch {seq} is not in {self.path}: it has {self.first} to {self.last}")
            segment = self._segments.of(seq)
            index = self._segments.index(segment)
            try:
                return segments.read_record(segment, index, seq)
            except SpoolDamaged:
                if index.offsets[seq - segment.first] != LOST:
                    index.offsets[seq - segment.first], index.checksums[seq - segment.first] = LOST, 0
                    self._note_lost(segment, index)
                raise

    def lost_at(self, seq: int) -> Lost:
        """What is known of a batch whose bytes are gone, and of those around it that went with it; KeyError if it is
        not known to be lost."""
        with self._mutex:
            found = self._lost.at(seq)
        if found is None:
            raise KeyError(f"batch {seq} of {self.path} is not lost")
        return found

    def rows(self, first: int, last: int) -> int:
        """The rows of the batches first to last (both included), as far as they are here."""
        with self._mutex:
            first, last = max(first, self.first), min(last, self.last)
            if first > last:
                return 0
            end = self.rows_total if last == self.last else self._segments.rows_below(last + 1)
            return end - self._segments.rows_below(first)

    # Taking batches

    def append(self, payload: bytes, *, beyond_capacity: bool = False) -> int:
        """Give a batch its number and write it down. `beyond_capacity` is for the few bytes that report a gap.
        SpoolError when the numbers are used up, SpoolFull when there is no room."""
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
            self._active_index.add(self._active.size, data[segments.RECORD_BYTES :])
            self._active.size += len(data)
            self._unsynced += len(data)
            self._rows_total += segments.rows_of(payload)
            self.last = seq
            return seq

    def due(self, now: float) -> bool:
        """Whether `sync` should be called."""
        return now >= self.due_at()

    def due_at(self) -> float:
        """The moment `sync` becomes due: at once if 64 KiB wait, else as long after the last sync as that one took, so
        that the disk has half of its time for others, and at most 50 ms after it. Never while nothing waits."""
        if self._unsynced == 0:
            return float("inf")
        pause_s = min(self._sync_s, self._sync_took_s)
        return float("-inf") if self._unsynced >= self._sync_bytes else self._synced_at + pause_s

    def sync(self) -> int:
        """Make all that was appended survive a power cut; answers `durable`. Appends go on meanwhile. SpoolFull if the
        disk is: nothing is lost, and the next call tries again. OSError if the disk does not take it."""
        with self._mutex:
            if self._suspect:
                self._write_again()
            if not self._unsynced:
                return self.durable
            target, segment, size, rows = self.last, self._active, self._active.size, self._rows_total
            epoch = self.epoch
            fd = os.dup(self._fd)
        began = self._clock()
        try:
            self._fsync(fd)
        except OSError as error:
            self._distrust(segment, epoch, error)
            return self.sync()
        finally:
            os.close(fd)
        with self._mutex:
            if self.epoch != epoch:  # a new one took over meanwhile, whole and synced: `target` is no number of its
                return self.durable
            self.durable = max(self.durable, target)
            if segment is self._active:  # else a new one was begun meanwhile, of which nothing is safe yet
                self._unsynced = min(self._unsynced, segment.size - size)
            self._synced_at = self._clock()
            self._sync_took_s = self._synced_at - began
            self._durable_rows = max(self._durable_rows, rows)
            if self._clock() >= self._marked_at + _MARK_EVERY_S:
                self._mark()
            return self.durable

    # Forgetting batches

    def resume(self, committed: int) -> None:
        """What the server says is committed when a session begins; lower than before if the server lost some."""
        with self._mutex:
            self.committed = min(self.committed, committed)
            self.confirmed = min(self.confirmed, committed)
            self.commit(committed)

    def commit(self, upto: int) -> None:
        """The server has committed every batch up to this one. They stay until a comparison with its ledger has
        confirmed it, and then for a day, unless room is needed."""
        with self._mutex:
            before, self.committed = self.committed, max(self.committed, min(upto, self.last))
            for position, segment in enumerate(self._segments.files[:-1]):
                if before < self._segments.last_of(position) <= self.committed:
                    # The modification time is when the day of keeping begins.
                    os.utime(segment.path, (self._wall(), self._wall()))
                    segment.index = None
            if self._clock() >= self._marked_at + _MARK_EVERY_S:
                self._mark()

    def confirm(self, first: int, last: int) -> None:
        """Batches `first` to `last` were compared with the ledger, which has them as they are here."""
        with self._mutex:
            if first <= self.confirmed + 1:
                self.confirmed = max(self.confirmed, min(last, self.committed))
                self.pressed = False

    def doubt(self, seq: int) -> None:
        """The ledger does not have batch `seq`: nothing from there on may be let go."""
        with self._mutex:
            self.confirmed = min(self.confirmed, seq - 1)

    def checksum(self, seq: int) -> int:
        """What batch `seq` is compared by; 0 if its bytes are gone."""
        with self._mutex:
            segment = self._segments.of(seq)
            return self._segments.index(segment).checksums[seq - segment.first]

    def piece(self, first: int, last: int, most: int) -> int:
        """The end of a piece of `first` to `last` that lies in one file and has at most `most` batches. Its checksums
        are at hand after this: a finished file is read here, while appends go on."""
        with self._mutex:
            segment, end = self._segments.of(first), self._segments.end_of(first)
            is_ready = segment.index is not None
        if not is_ready:
            index = segments.build_index(segment, end)
            with self._mutex:
                if segment.index is None and segment in self._segments.files[:-1]:
                    self._segments.keep_index(segment, index)
        return min(last, first + most - 1, end)

    def trim(self) -> int:
        """Delete segments that were committed more than `keep_s` ago; answers how many."""
        count = 0
        with self._mutex:
            while self._droppable() and self._segments.files[0].path.stat().st_mtime + self._keep_s <= self._wall():
                self._drop_oldest()
                count += 1
            epochs.forget_replaced(self.path, self._wall() - self._keep_s)
        return count

    # A new epoch

    def renew(self, taken: Iterable[tuple[int, int]], upto: int, payload_of: Callable[[int], bytes]) -> None:
        """Begin a new epoch with the batches in `taken` and all behind `upto`, numbered anew from 1; `payload_of` gives
        each. A kill at any moment leaves the old epoch or the new one, whole. SpoolFull if there is no room."""
        with self._mutex:
            self.sync()
            ranges = (*taken, *([(upto + 1, self.last)] if self.last > upto else []))
            old = self.epoch
            rows = sum(self._segments.whole_rows(seq) for first, last in ranges for seq in range(first, last + 1))
            payloads = (payload_of(seq) for first, last in ranges for seq in range(first, last + 1))
            header = Header(secrets.token_hex(8), int(self._wall() * 1_000_000), "", self.origin)
            epochs.write(self.path, header, payloads, self._rows_total - rows, self._segment_bytes, self._fsync)
            os.close(self._fd)
            self._open()
            self._renewals.append((old, ranges, self.epoch))
            log.warning("new_epoch old=%s new=%s batches=%d", old, self.epoch, self.last)

    def renumbered(self, epoch: str, seq: int) -> int:
        """What batch `seq` of `epoch` is called now, or the last before it that was taken into a new epoch."""
        for old, ranges, new in self._renewals:
            if old == epoch:
                seq = sum(max(0, min(last, seq) - first + 1) for first, last in ranges)
                epoch = new
        return seq

    def release_reserve(self) -> None:
        """Give the disk back a little room, so that a gap can be written at the end although the disk is full."""
        reserve.release(self.path)

    def close(self) -> None:
        """Sync, note what is committed, let another process in."""
        with self._mutex:
            if self._closed:
                return
            try:
                self.sync()
            except (SpoolFull, OSError) as error:
                log.error("not_synced batches=%d reason=%r", self.last - self.durable, str(error))
            finally:
                self._mark()
                self._closed = True
                os.close(self._fd)
                self._lock.release()

    # Inside

    def _open(self) -> None:
        for leftover in self.path.glob("*.new"):
            leftover.unlink()
        header = self._read_or_make_header()
        self.epoch, self.created_us, self._folder = header.epoch, header.created_us, self.path / header.folder
        self.origin = header.origin
        epochs.set_aside_replaced(self.path, header)
        mark = spool_state.read_mark(self.path, self.epoch)
        self._lost = LostBatches(self.path, self.epoch, self._fsync)
        self.committed = mark.committed
        files = [segments.open_segment(path, self.epoch) for path in segments.files(self._folder)]
        if not files or files[0].first > mark.committed + 1 <= mark.durable:
            files.insert(0, self._missing_beginning(mark, files))
        self._segments = SegmentList(files, self._note_lost)
        self._mend_heads(mark)
        self._active = files[-1]
        self._active_index = self._active.index = segments.build_index(self._active, None)
        self.torn_bytes = self._active.size - self._active_index.end
        self._fd = os.open(self._active.path, os.O_RDWR | os.O_APPEND | _BINARY)
        self._cut_tail(mark)
        # Nothing may be appended behind bytes of which it is not known that they are on the disk.
        self._fsync(self._fd)
        self.durable = self.last
        self.committed = min(mark.committed, self.last)
        self.confirmed = min(mark.confirmed, self.committed)
        # A session begins by less than that, until its batches are compared.
        self.settled_before = self.committed == self.last
        self._note_lost(self._active, self._active_index)

    def _read_or_make_header(self) -> Header:
        exists = (self.path / spool_state.HEADER_NAME).exists()
        if not exists and not segments.files(self.path):
            epoch = secrets.token_hex(8)
            header = Header(epoch, int(self._wall() * 1_000_000), origin=epoch)
            spool_state.write_header(self.path, header, self._fsync)
            return header
        header = spool_state.read_header(self.path)
        damaged = (self.path / spool_state.HEADER_NAME).read_bytes() if exists else b""
        if header != spool_state.header_in(damaged):
            spool_state.quarantine(self.path, spool_state.HEADER_NAME, damaged)
            spool_state.write_header(self.path, header, self._fsync)
        return header

    def _missing_beginning(self, mark: Mark, files: list[Segment]) -> Segment:
        """Files with batches that were not committed are gone: an empty one takes their numbers, so that each is told
        as lost."""
        first = mark.committed + 1 if mark.durable else 1
        rows = (files[0].rows_before if files else mark.rows) or 0
        path = self._put_segment(first, rows)
        return Segment(path, first, rows, segments.HEAD_BYTES)

    def _mend_heads(self, mark: Mark) -> None:
        """Write damaged heads again."""
        for position, segment in enumerate(self._segments.files):
            if segment.rows_before is not None:
                continue
            data = segments.read_bytes(segment.path)
            spool_state.quarantine(self.path, f"{segment.path.stem}-head", data[: segments.HEAD_BYTES])
            segment.rows_before = self._segments.rows_before(position, mark)
            content = segments.head(self.epoch, segment.first, segment.rows_before)
            log.error("damaged head=%s rows_before=%d", segment.path.name, segment.rows_before)
            fd = os.open(segment.path, os.O_RDWR | _BINARY)
            try:
                os.write(fd, content)
                self._fsync(fd)
            finally:
                os.close(fd)
            segment.size = max(segment.size, len(content))

    def _cut_tail(self, mark: Mark) -> None:
        """Cut off what no record follows. What was synced once and is not there any more is lost, not torn."""
        index, active = self._active_index, self._active
        self._rows_total = (active.rows_before or 0) + sum(index.rows)
        self.last = active.first + len(index.offsets) - 1
        synced = max(mark.durable, mark.committed)
        if self.torn_bytes:
            if self.last < synced:
                with active.path.open("rb") as file:
                    file.seek(index.end)
                    spool_state.quarantine(self.path, f"{active.path.stem}-{index.end}", file.read())
            os.ftruncate(self._fd, index.end)
            active.size = index.end
        if self.last < synced:
            for _ in range(synced - self.last):
                index.add_lost()
            self.last = synced
        lost = [number for number, offset in enumerate(index.offsets) if offset == LOST]
        if lost and mark.durable >= self.last and (mark.durable == self.last or mark.rows > self._rows_total):
            # What damaged bytes say of their rows is a guess; the mark was written when the batches were whole.
            excess = self._rows_total - mark.rows
            self._rows_total = mark.rows
            for number in sorted(lost, key=lambda number: index.rows[number], reverse=True):
                # The largest guess is the likeliest to be wrong.
                taken = min(max(excess, 0), index.rows[number])
                index.rows[number] -= taken
                excess -= taken
            if excess < 0:
                index.rows[lost[-1]] -= excess
        self._durable_rows = self._rows_total

    def _note_lost(self, segment: Segment, index: segments.Index) -> None:
        self._lost.note(segment, index, self.committed, self._describe_lost)

    def _describe_lost(self, first: int, last: int, rows: int) -> Lost:
        before, behind = self._neighbour(first - 1, -1), self._neighbour(last + 1, 1)
        from_us = before[0] if before else self.created_us
        to_us = behind[0] if behind else int(self._wall() * 1_000_000)
        feed = (before or behind or (0, ""))[1]
        return Lost(first, last, rows, from_us, max(from_us, to_us), feed)

    def _neighbour(self, seq: int, step: int) -> tuple[int, str] | None:
        """(captured, feed) of the nearest whole batch from `seq` on, if there is one not too far away."""
        for _ in range(_NEIGHBOURHOOD):
            try:
                header = parse_header(self.get(seq))
            except SpoolDamaged:
                seq += step
            except KeyError:
                return None
            else:
                return header.captured_us, header.feed
        return None

    def _make_room(self, needed: int) -> None:
        while self.size + needed > self._capacity:
            if len(self._segments.files) == 1 and self._active_index.offsets and self.last <= self.confirmed:
                self._roll()
            if not self._droppable():
                self.pressed = self.confirmed < self.committed
                raise SpoolFull(f"{self.path} holds {self.size} of {self._capacity} bytes, none committed yet")
            self._drop_oldest()

    def _droppable(self) -> bool:
        return len(self._segments.files) > 1 and self._segments.last_of(0) <= self.confirmed

    def _drop_oldest(self) -> None:
        # First the mark: a file that is gone below it was let go, one above it was lost.
        self._mark(durable=True)
        self._segments.pop_first().path.unlink()
        spool_state.sync_folder(self._folder, self._fsync)

    def _roll(self) -> None:
        try:
            self._fsync(self._fd)
        except OSError as error:
            self._distrust(self._active, self.epoch, error)
            self._write_again()
            return
        self._begin_segment(self.last + 1, self._rows_total)
        self.durable, self._durable_rows = self.last, self._rows_total

    def _begin_segment(self, first: int, rows_before: int, content: bytes = b"") -> None:
        """Write on in a new file that begins with these records, which survive a power cut."""
        path = self._put_segment(first, rows_before, content)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | _BINARY)
        os.close(self._fd)
        self._fd, self._unsynced = fd, 0
        self._active = Segment(path, first, rows_before, segments.HEAD_BYTES + len(content), segments.Index())
        self._active_index = segments.build_index(self._active, None) if content else segments.Index()
        self._active.index = self._active_index
        if self._segments.files[-1].first == first:
            self._segments.files.pop()
        self._segments.files.append(self._active)

    def _put_segment(self, first: int, rows_before: int, content: bytes = b"") -> Path:
        head = segments.head(self.epoch, first, rows_before)
        return spool_state.put(self._folder, segments.file_name(first), head + content, self._fsync)

    def _distrust(self, segment: Segment, epoch: str, error: OSError) -> None:
        """An fsync failed: the system may have dropped what it was to write and will not say so again, so what is not
        known to be on the disk must be written again, into another file."""
        log.error("fsync_failed file=%s error=%s", segment.path.name, error.strerror)
        with self._mutex:
            if self.epoch != epoch:
                return  # a new one has taken over what was in it
            self._suspect = self._suspect or segment is self._active
            if segment is not self._active:
                raise error

    def _write_again(self) -> None:
        """Leave a file that cannot be trusted any more for a new one, with the batches that are not synced."""
        first = self.durable + 1
        records = [segments.record(seq, self.get(seq)) for seq in range(first, self.last + 1)]
        old = self._active
        self._begin_segment(first, self._durable_rows, b"".join(records))
        if old.first < first:
            old.index = None  # it ends with what was synced
        self.durable, self._durable_rows, self._suspect = self.last, self._rows_total, False
        log.warning("written_again first=%d last=%d file=%s", first, self.last, self._active.path.name)

    def _write(self, data: bytes) -> None:
        if self._suspect:
            self._write_again()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            try:
                os.ftruncate(self._fd, self._active.size)
            except OSError:
                self._suspect = True
            raise spool_state.full_or(error, self.path) from None

    def _mark(self, *, durable: bool = False) -> None:
        mark = Mark(self.committed, self.confirmed, self.durable, self._durable_rows)
        # Only a hint: the server tells again when the next session begins.
        with contextlib.suppress(OSError, SpoolFull):
            spool_state.write_mark(self.path, self.epoch, mark, self._fsync if durable else None)
        self._marked_at = self._clock()


def read(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """(seq, payload) of every whole batch in a spool directory, oldest first; also while a terminal writes to it.

    Numbers that are left out are batches whose bytes are damaged. SpoolError if this is no spool directory.
    """
    header = spool_state.read_header(Path(path))
    paths = segments.files(Path(path) / header.folder)
    for position, one in enumerate(paths):
        try:
            first = segments.open_segment(one, header.epoch).first
            data = segments.read_bytes(one)
        except FileNotFoundError:
            continue
        last = int(paths[position + 1].stem) - 1 if position + 1 < len(paths) else limits.MAX_SEQ
        for _at, seq, payload in segments.scan(data, first, last):
            yield seq, bytes(payload)


def epoch_of(path: str | Path) -> str:
    """The epoch of a spool directory, without opening it."""
    return spool_state.read_header(Path(path)).epoch


__all__ = ["CAPACITY_BYTES", "KEEP_S", "SYNC_S", "Spool", "SpoolError", "SpoolFull", "epoch_of", "read"]
