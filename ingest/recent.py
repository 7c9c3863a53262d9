"""The newest batches as the bytes they came in, until somebody looks at their ticks.

To open a batch of twelve ticks costs the ingest server more than to forward it, and most are never looked at.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from marketdata.types import ticks as ticks_module
from marketdata.types.ticks import Ticks
from terminals import wire

BATCH_BYTES = 400
"""What a batch counts beside its payload, so that empty ones have a bound as well."""


class RecentBatch:
    """A batch that came in; `rows` as its header says. Opened once, for all who look."""

    __slots__ = ("_opened", "_ticks", "number", "payload", "rows", "source_id")

    def __init__(self, payload: bytes, *, number: int, source_id: int, rows: int) -> None:
        self.payload, self.number, self.source_id, self.rows = payload, number, source_id, rows
        self._opened = False
        self._ticks: Ticks | None = None

    @property
    def nbytes(self) -> int:
        return len(self.payload) + BATCH_BYTES

    def ticks(self) -> Ticks | None:
        """Its ticks; None for one that cannot be read, which a worker refuses and says why."""
        if not self._opened:
            self._opened = True
            try:
                self._ticks = ticks_module.from_wire(self.payload, source_id=self.source_id, batch=self.number).ticks
            except wire.BatchError:
                self._ticks = None
        return self._ticks


class Recent:
    """Batches of at most `max_bytes`, none older than `max_age_s` (seconds) since it came; beyond either the oldest are
    forgotten. Its length is in rows."""

    def __init__(self, *, max_bytes: int, max_age_s: float) -> None:
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.nbytes = 0
        self._rows = 0
        self._batches: deque[tuple[float, RecentBatch]] = deque()  # with the moment it came, oldest first

    def __len__(self) -> int:
        return self._rows

    def add(self, batch: RecentBatch, *, now: float) -> None:
        """A batch that came now (monotonic seconds)."""
        self._batches.append((now, batch))
        self._rows += batch.rows
        self.nbytes += batch.nbytes
        while self.nbytes > self.max_bytes:
            self._forget()
        self.expire(now=now)

    def expire(self, *, now: float) -> None:
        """Forget what is too old."""
        while self._batches and now - self._batches[0][0] > self.max_age_s:
            self._forget()

    def newest(self, count: int) -> list[Ticks]:
        """The ticks of the newest batches, oldest first, the last `count` of them; opens no more than that takes."""
        found: list[Ticks] = []
        for _, batch in reversed(self._batches):
            if count <= 0:
                break
            ticks = batch.ticks()
            if ticks is not None and len(ticks):
                found.append(ticks if len(ticks) <= count else ticks.take(np.arange(len(ticks) - count, len(ticks))))
                count -= len(ticks)
        return found[::-1]

    def take(self) -> list[tuple[float, RecentBatch]]:
        """All batches with the moments they came, oldest first; none is left."""
        taken = list(self._batches)
        self._batches.clear()
        self._rows = self.nbytes = 0
        return taken

    def _forget(self) -> None:
        _, batch = self._batches.popleft()
        self._rows -= batch.rows
        self.nbytes -= batch.nbytes
