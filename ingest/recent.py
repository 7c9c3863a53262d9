"""The newest batches as the bytes they came in, until somebody looks at their ticks.

To open a batch of twelve ticks costs the ingest server more than to forward it, and most are never looked at.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from marketdata.types import decoding
from marketdata.types.tick_arrays import Ticks
from terminals import wire

BATCH_BYTES = 400
"""What a batch counts beside its payload, so that empty ones have a bound as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentBatch:
    """A batch that came in; `rows` as its header says."""

    payload: bytes
    number: int
    source_id: int
    rows: int
    client: str
    received_us: int  # wall clock

    @property
    def nbytes(self) -> int:
        return len(self.payload) + BATCH_BYTES

    def ticks(self) -> Ticks | None:
        """Its ticks, read anew each time, so that looking takes no memory; None for one that cannot be read, which a
        worker refuses and says why."""
        try:
            return decoding.from_wire(self.payload, source_id=self.source_id, batch=self.number).ticks
        except wire.BatchError:
            return None


class Recent:
    """Batches of at most `max_bytes`, none older than `max_age_s` (seconds) since it came; beyond either the oldest are
    forgotten. Its length is in rows. May be used by several threads: no batch is opened while others wait."""

    def __init__(self, *, max_bytes: int, max_age_s: float) -> None:
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.nbytes = 0
        self._rows = 0
        self._batches: deque[tuple[float, RecentBatch]] = deque()  # with the moment it came, oldest first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._rows

    @property
    def batches(self) -> int:
        """How many are held."""
        return len(self._batches)

    def add(self, batch: RecentBatch, *, now: float) -> None:
        """A batch that came now (monotonic seconds)."""
        with self._lock:
            self._batches.append((now, batch))
            self._rows += batch.rows
            self.nbytes += batch.nbytes
            while self.nbytes > self.max_bytes:
                self._forget()
            self._expire(now)

    def expire(self, *, now: float) -> None:
        """Forget what is too old."""
        with self._lock:
            self._expire(now)

    def newest(self, count: int, symbol: str | None = None) -> list[tuple[RecentBatch, Ticks]]:
        """The newest `count` ticks (of a symbol), oldest first, each batch's with the batch; opens no more batches than
        that takes."""
        with self._lock:
            held = [batch for _, batch in self._batches]
        found: list[tuple[RecentBatch, Ticks]] = []
        for batch in reversed(held):
            if count <= 0:
                break
            ticks = batch.ticks()
            if ticks is not None and symbol is not None:
                ticks = ticks.take(np.isin(ticks.symbol, [at for at, one in enumerate(ticks.symbols) if one == symbol]))
            if ticks is not None and len(ticks):
                if len(ticks) > count:
                    ticks = ticks.take(np.arange(len(ticks) - count, len(ticks)))
                found.append((batch, ticks))
                count -= len(ticks)
        return found[::-1]

    def take_oldest(self) -> tuple[float, RecentBatch] | None:
        """The oldest batch with the moment it came, which is held no longer; None if there is none."""
        with self._lock:
            return self._forget() if self._batches else None

    def _expire(self, now: float) -> None:
        while self._batches and now - self._batches[0][0] > self.max_age_s:
            self._forget()

    def _forget(self) -> tuple[float, RecentBatch]:
        came, batch = self._batches.popleft()
        self._rows -= batch.rows
        self.nbytes -= batch.nbytes
        return came, batch
