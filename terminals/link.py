"""A terminal for programs: `Terminal(config).send(rows)` puts ticks into a spool and sees them committed."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from terminals import session_events
from terminals import spool as spools
from terminals.batcher import Batcher, Batchers, Row, UnfitRows
from terminals.clock import ServerTime
from terminals.connection import Address
from terminals.drop_counter import DropCounter
from terminals.gap_filling import GapFillingReader
from terminals.journal import Journal
from terminals.session import Identity
from terminals.uplink import Uplink
from terminals.wire import BATCH_GAPS, BatchError, Gap, encode_gaps, reseq
from terminals.wire.traces import trace_id

OUR_FAILURES = ("uplink_died", "spool_error")  # a thread of the terminal died, or its disk: nothing would ever leave
CLOSED = session_events.Ended("terminal_closed", "the terminal is closed")

log = logging.getLogger("naru.terminal")
steps = logging.getLogger("naru.batches")


@dataclass(frozen=True)
class Config:
    """What a terminal has to know. Times in seconds; `flush_s` and `sync_s` are the longest ones."""

    address: Address
    identity: Identity
    feed: str
    spool: Path
    flush_s: float = 0.05
    batch_rows: int = 1000
    sync_s: float = spools.SYNC_S
    capacity_bytes: int = spools.CAPACITY_BYTES
    keep_s: float = spools.KEEP_S
    when_full: Literal["block", "drop"] = "block"
    journal: Path | None = None
    others: tuple[Address, ...] = ()
    """Further addresses of servers that write into the same database, tried in this order."""


@dataclass(frozen=True)
class Stats:
    """Counts since this terminal was opened; `unacked` counts batches sent and not yet committed."""

    state: str
    rows_sent: int
    rows_committed: int
    rows_rejected: int
    rows_dropped: int
    batches_waiting: int
    unacked: int


class _Stopped(Exception):
    """`taken`: how many of the rows that were sent with it are done with, from the first on; `unfit`: the places of
    those of them that fit no column, and were not taken."""

    taken = 0
    unfit: Collection[int] = ()


class Failed(_Stopped):
    """The terminal cannot go on; `ended.code` says why. What was spooled stays in the spool."""

    def __init__(self, ended: session_events.Ended) -> None:
        super().__init__(f"{ended.code}: {ended.message}")
        self.ended = ended


class Interrupted(_Stopped):
    """`interrupt` was called while waiting."""


class Terminal:
    """Thread-safe. Two threads of its own: one flushes and syncs on time, one talks to the server."""

    def __init__(
        self, config: Config, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self._clock, self._wall = clock, wall
        self.spool = spools.Spool(
            config.spool,
            capacity_bytes=config.capacity_bytes,
            keep_s=config.keep_s,
            sync_s=config.sync_s,
            clock=clock,
            wall=wall,
        )
        if self.spool.torn_bytes:
            log.warning("torn_tail bytes=%d spool=%s", self.spool.torn_bytes, config.spool)
        try:
            self._journal = Journal(config.journal, self.spool) if config.journal else None
        except BaseException:
            self.spool.close()
            raise
        self._batchers = Batchers(config.batch_rows, config.flush_s)
        self._drops: dict[str, DropCounter] = {}  # by feed
        self._changed = threading.Condition()
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._interrupted = threading.Event()
        self.time = ServerTime(wall_us=self._now_us)
        """What time it is for those who stamp rows."""
        self._failure: session_events.Ended | None = None
        self._closed = False
        self._rows_sent = self._rows_committed = self._rows_rejected = 0
        self._counted_epoch, self._counted_upto = self.spool.epoch, self.spool.last
        self._warned_at = self._sync_again_at = float("-inf")
        batches = GapFillingReader(self.spool, config.feed, guard=self._changed, renewed=self._on_renewed)
        self._uplink = Uplink(
            config.address,
            config.identity,
            batches,
            self._on_event,
            others=config.others,
            clock=clock,
            wall=wall,
            dropped=self._rows_dropped,
        )
        self._keeper = threading.Thread(target=self._keep, name="naru-keeper", daemon=True)

    def start(self) -> Self:
        """Begin to connect, flush and sync."""
        self._keeper.start()
        self._uplink.start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def send(self, rows: Iterable[Row], *, feed: str | None = None) -> None:
        """Take rows of a feed, by default the terminal's own: ticks, order books and events in any mix. Blocks while
        the spool is full (or drops and counts, if so configured); Failed if it never can, if the disk takes nothing
        any more, a thread of ours has died, or the terminal is closed. Failed and Interrupted tell what was taken.

        UnfitRows names the first row that fits no column and says which do not; all others are taken. BatchError for a
        feed that can be none, which takes none.
        """
        feed = feed or self.config.feed
        wrong: dict[int, str] = {}
        taken = 0
        with self._changed:
            if self._failure and self._failure.code in OUR_FAILURES:
                raise Failed(self._failure)
            if self._closed:
                raise Failed(CLOSED)
            try:
                for row in rows:
                    batcher = self._batchers.of(feed, row)
                    if batcher.full:
                        batcher = self._await_room(feed, row)
                    if not len(batcher):
                        self._work.set()
                    try:
                        batcher.add(row, now=self._clock(), now_us=self._now_us())
                    except BatchError as error:
                        wrong[taken] = error.message
                    taken += 1
                    if batcher.full:
                        self._spool_batch(batcher)
            except _Stopped as error:
                error.taken, error.unfit = taken, list(wrong)
                raise
        if wrong:
            others = f" ({len(wrong)} rows do not fit; all others were taken)"
            place, message = next(iter(wrong.items()))
            raise UnfitRows(f"rows[{place}]: {message}{others}", list(wrong))

    def report_gaps(self, gaps: Iterable[Gap], *, feed: str | None = None) -> None:
        """Say at once that something is missing of a feed, by default the terminal's own; behind all rows of it that
        were sent before. Blocks as `send` does, Failed if it never can; BatchError if one of the gaps says nothing.

        A gap that cannot be written now (the disk is full and the terminal drops, or it fails, or is stopped) is kept,
        and written as soon as it can be, by `close` at the latest; after that it is told in the log alone."""
        feed = feed or self.config.feed
        told = list(gaps)
        payloads = [
            encode_gaps(1, feed, self._now_us(), told[start : start + BATCH_GAPS])
            for start in range(0, len(told), BATCH_GAPS)
        ]
        with self._changed:
            written = 0
            try:
                self._wait(lambda: self._spool_all(feed), "spool_full")
                for payload in payloads:
                    if self.config.when_full == "block":
                        self._wait(partial(self._spool_gaps, payload), "spool_full")
                    elif not self._spool_gaps(payload):
                        self._warn("gap_waits", f"no room on the disk of {self.config.spool}")
                        break
                    written += BATCH_GAPS
            finally:
                if self._closed:
                    for gap in told[written:]:
                        _log_untold(feed, gap)
                elif told[written:]:
                    self._drop_counter(feed).keep(told[written:], now=self._clock())

    def flush(self) -> None:
        """Put what has been collected into the spool without waiting for more."""
        with self._changed:
            self._wait(self._spool_all, "spool_full")

    def wait_committed(self, timeout_s: float | None = None) -> bool:
        """Flush, then wait until the server has committed everything; False when the time is over."""
        self.flush()
        deadline = None if timeout_s is None else self._clock() + timeout_s
        with self._changed:
            epoch, upto = self.spool.epoch, self.spool.last

            def committed() -> bool:
                return self.spool.committed >= self.spool.renumbered(epoch, upto)

            self._wait(committed, "", deadline)
            return committed()

    def wait_clock(self, timeout_s: float) -> bool:
        """Wait until the server has said what time it is; False when the time is over, or the server away."""
        deadline = self._clock() + timeout_s
        with self._changed:
            self._wait(lambda: self.time.is_known or self._uplink.state == "waiting", "", deadline)
        return self.time.is_known

    def stats(self) -> Stats:
        """How it stands."""
        return Stats(
            state=self._uplink.state,
            rows_sent=self._rows_sent,
            rows_committed=self._rows_committed,
            rows_rejected=self._rows_rejected,
            rows_dropped=self._rows_dropped(),
            batches_waiting=self._uncommitted,
            unacked=self._uplink.unacked,
        )

    def _rows_dropped(self) -> int:
        return sum(one.total for one in list(self._drops.values()))

    @property
    def _uncommitted(self) -> int:
        return self.spool.last - self.spool.committed

    @property
    def failure(self) -> session_events.Ended | None:
        """Why the terminal cannot go on, if it cannot."""
        return self._failure

    def interrupt(self) -> None:
        """Make waiting calls raise Interrupted; from any thread, but not from a signal handler."""
        self._interrupted.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Spool what was collected, say BYE, end the threads. What is unacked is sent at the next start. What cannot
        be spooled is counted and told as a gap, for which the spool has kept room on the disk. Whoever sends after
        that, or still waits, gets Failed."""
        with self._changed:
            self._closed = True
            self._spool_or_drop_all()
            self._changed.notify_all()
        self._stopping.set()
        self._work.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        with contextlib.suppress(spools.SpoolFull, OSError):  # closing the spool says so
            self.spool.sync()
        self._uplink.stop()
        if self._journal:
            self._journal.close()
        self.spool.close()

    def _wait(self, done: Callable[[], bool], why: str, deadline: float | None = None) -> None:
        # Called with `_changed` held; waiting lets go of it.
        while True:
            if self._failure:
                raise Failed(self._failure)
            if self._closed:
                raise Failed(CLOSED)
            if done() or (deadline is not None and self._clock() >= deadline):
                return
            if self._interrupted.is_set():
                raise Interrupted
            if why and self._clock() >= self._warned_at + 5.0:
                self._warned_at = self._clock()
                log.warning("blocked reason=%s spool_bytes=%d", why, self.spool.size)
            # Whoever changes something notifies; the time is for the deadline and the warning above.
            self._changed.wait(0.2)

    def _await_room(self, feed: str, row: Row) -> Batcher:
        """The batcher of a row, when it takes one."""

        def found() -> bool:
            batcher = self._batchers.of(feed, row)  # looked up again: another thread may have spooled it meanwhile
            return not batcher.full or self._spool_batch(batcher)

        self._wait(found, "spool_full")
        return self._batchers.of(feed, row)

    def _spool_all(self, feed: str | None = None) -> bool:
        """Spool what waits, of one feed or of all; False if there is no room for all of it."""
        return all(self._spool_batch(one) for one in self._batchers if feed in (None, one.feed))

    def _spool_batch(self, batcher: Batcher) -> bool:
        try:
            self._append_batch(batcher)
        except spools.SpoolFull as error:
            if self.config.when_full == "block":
                return False
            self._warn("dropping", str(error))
            self._drop_batch(batcher)
            return True
        # Not before the batch: into a nearly full spool a gap still fits, and each dropped batch would bring its own.
        self._write_drops()
        return True

    def _append_batch(self, batcher: Batcher) -> None:
        self._append(batcher.encode(self._now_us()))
        self._rows_sent += len(batcher)
        self._batchers.forget(batcher)

    def _spool_gaps(self, payload: bytes) -> bool:
        try:
            self._append(payload, beyond_capacity=True)
        except spools.SpoolFull:  # even that: the disk is
            return False
        return True

    def _warn(self, what: str, reason: str) -> None:
        if self._clock() >= self._warned_at + 5.0:
            self._warned_at = self._clock()
            log.error("%s reason=%r", what, reason)

    def _drop_batch(self, batcher: Batcher) -> None:
        now_us = self._now_us()
        from_us = now_us if batcher.from_us is None else batcher.from_us
        to_us = now_us if batcher.to_us is None else batcher.to_us
        self._drop_counter(batcher.feed).count(len(batcher), from_us, to_us, now=self._clock())
        self._batchers.forget(batcher)

    def _drop_counter(self, feed: str) -> DropCounter:
        return self._drops.setdefault(feed, DropCounter(feed))

    def _write_drops(self, now: float = float("inf")) -> None:
        """Say what was dropped, if it is time to."""
        for counter in self._drops.values():
            while counter.due(now) and self._spool_gaps(counter.payload(self._now_us())):
                counter.written()

    def _spool_or_drop_all(self) -> None:
        """Leave nothing that was collected without a word, whatever the disk does."""
        for batcher in self._batchers:
            rows, feed = len(batcher), batcher.feed
            try:
                self._append_batch(batcher)
            except (spools.SpoolFull, Failed) as error:
                reason = error.ended.message if isinstance(error, Failed) else "spool_full"
                self._drop_batch(batcher)
                log.error("dropped_at_end feed=%s rows=%d reason=%r", feed, rows, reason)
        for attempt in range(2):
            try:
                self._write_drops()
            except Failed as error:
                log.error("gap_not_written reason=%r", error.ended.message)
            if attempt == 0 and any(one.waits for one in self._drops.values()):
                self.spool.release_reserve()
        for gap, feed in [(gap, one.feed) for one in self._drops.values() for gap in one.gaps()]:
            _log_untold(feed, gap)

    def _append(self, payload: bytes, *, beyond_capacity: bool = False) -> None:
        try:
            seq = self.spool.append(payload, beyond_capacity=beyond_capacity)
        except (spools.SpoolError, OSError) as error:
            ended = session_events.Ended("spool_error", str(error))
            self._fail(ended)
            raise Failed(ended) from error
        if steps.isEnabledFor(logging.DEBUG):
            trace = trace_id(self.spool.epoch, seq)
            steps.debug("batch spooled seq=%d bytes=%d", seq, len(payload), extra={"traces": (trace,)})
        if self._journal:
            self._journal.note(seq, reseq(payload, seq))
        self._work.set()

    def _keep(self) -> None:
        try:
            while not self._stopping.is_set():
                self._work.wait(self._keep_once())
                self._work.clear()
        finally:
            if not self._stopping.is_set():
                self._fail(session_events.Ended("spool_error", "the spool cannot be written, its traceback is above"))

    def _keep_once(self) -> float:
        """What is due; answers how long nothing will be."""
        now = self._clock()
        with self._changed:
            if now >= self._batchers.due_at(self._uncommitted):
                # All that waits leaves together: one sync, one sending.
                for batcher in self._batchers:
                    self._spool_batch(batcher)
            self._write_drops(now)
            self.spool.trim()
        if self.spool.due(now) and now >= self._sync_again_at:
            try:
                self.spool.sync()
            except spools.SpoolFull as error:
                self._sync_again_at = now + 1.0
                self._warn("not_synced", str(error))
            self._uplink.wake()
        with self._changed:  # what waits may have become more meanwhile
            due_at = self._batchers.due_at(self._uncommitted)
        if due_at <= now:
            # Due and still here means that the spool is full: the next ACK or the next second may change that.
            due_at = now + 1.0
        return max(0.001, min(1.0, due_at - now, max(self.spool.due_at(), self._sync_again_at) - now))

    def _on_event(self, event: session_events.Event) -> None:
        match event:
            case session_events.Welcomed(_, upto) | session_events.Committed(upto):
                with self._changed:
                    if upto > self._counted_upto:
                        self._rows_committed += self.spool.rows(self._counted_upto + 1, upto)
                        self._counted_upto = upto
                    self._changed.notify_all()
            case session_events.ServerClock(time_us):
                self.time.heard(time_us, read_us=self._uplink.read_us)
                with self._changed:
                    self._changed.notify_all()
            case session_events.Rejected(reject):
                self._rows_rejected += reject.rows
            case session_events.Ended():
                self._fail(event)
            case _:
                pass

    def _on_renewed(self) -> None:
        """A new epoch has taken over: the same batches have other numbers. Called with `_changed` held."""
        self._counted_upto = self.spool.renumbered(self._counted_epoch, self._counted_upto)
        self._counted_epoch = self.spool.epoch
        if self._journal:
            self._journal.renewed()
        self._changed.notify_all()

    def _fail(self, ended: session_events.Ended) -> None:
        with self._changed:
            self._failure = ended
            self._changed.notify_all()

    def _now_us(self) -> int:
        return int(self._wall() * 1_000_000)


def _log_untold(feed: str, gap: Gap) -> None:
    log.error(
        "not_told feed=%s symbol=%s rows=%d missing=%s from_us=%d to_us=%d reason=%r",
        feed, gap.symbol or "-", gap.rows, gap.missing, gap.from_us, gap.to_us, gap.reason,
    )  # fmt: skip


__all__ = ["Address", "Config", "Failed", "Identity", "Interrupted", "Row", "Stats", "Terminal"]
