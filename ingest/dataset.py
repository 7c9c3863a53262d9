"""What all terminals together sent lately: the latest tick of each (feed, symbol), and a recent window indexed by
it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.recent import Recent, RecentBatch
from ingest.ring import Ring
from marketdata.types.ticks import Ticks

MOST_SERIES = 65_536


class Dataset:
    """A ring of recent ticks in which every row points to the one before it of the same series, so that a series is
    read without a search. Bounded in bytes and age; the index has one entry a series.

    Batches wait unopened until somebody asks, half of the bytes for them and half for the ring. To open them takes
    about a microsecond a tick of full batches: up to a second for whoever asks first after a busy minute."""

    def __init__(self, *, max_bytes: int, max_age_s: float) -> None:
        self._unopened = Recent(max_bytes=max_bytes // 2, max_age_s=max_age_s)
        self._ring = Ring(max_bytes=max_bytes // 2, max_age_s=max_age_s)
        self._keys: dict[tuple[str, str], int] = {}
        self._head = np.full(1024, -1, np.int64)

    def __len__(self) -> int:
        return len(self._ring) + len(self._unopened)

    @property
    def series(self) -> int:
        """How many (feed, symbol) were ever seen."""
        self._open()
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the window and of the index (a dictionary entry counted as 200)."""
        return self._unopened.nbytes + self._ring.nbytes + self._head.nbytes + 200 * len(self._keys)

    def keep(self, batch: RecentBatch, *, now: float) -> None:
        """Take in a batch as it came."""
        self._unopened.add(batch, now=now)

    def _open(self) -> None:
        for came, batch in self._unopened.take():
            ticks = batch.ticks()
            if ticks is not None:
                self.add(ticks, now=came)

    def add(self, ticks: Ticks, *, now: float) -> None:
        """Take in what a terminal sent; rows without a symbol, or of a series beyond the limit, are left out."""
        keys = self._keys_of(ticks)
        if (keys < 0).any():
            ticks, keys = ticks.take(keys >= 0), keys[keys >= 0]
        if not len(ticks):
            return
        order = np.argsort(keys, kind="stable")
        numbers = self._ring.written + order
        grouped = keys[order]
        starts = np.append(True, grouped[1:] != grouped[:-1])
        previous = np.empty(len(keys), np.int64)
        previous[order] = np.where(starts, self._head[grouped], np.append(-1, numbers[:-1]))
        self._ring.append(ticks, keys, previous, now=now)
        ends = np.append(starts[1:], True)
        self._head[grouped[ends]] = numbers[ends]

    def expire(self, *, now: float) -> None:
        """Forget what is too old."""
        self._unopened.expire(now=now)
        self._ring.expire(now=now)

    def latest(self, feed: str, symbol: str) -> dict[str, int] | None:
        """The newest tick of a series, unless it is forgotten."""
        found = self.recent(feed, symbol, 1)
        return found[0] if found else None

    def recent(self, feed: str, symbol: str, count: int) -> list[dict[str, int]]:
        """The newest `count` ticks of a series, newest first."""
        self._open()
        key = self._keys.get((feed, symbol))
        number = -1 if key is None else int(self._head[key])
        found: list[dict[str, int]] = []
        while len(found) < count and number >= self._ring.start:
            found.append(self._ring.row(number))
            number = found[-1]["previous"]
        return found

    def _keys_of(self, ticks: Ticks) -> npt.NDArray[np.int32]:
        """The number of each row's series, -1 where it has none."""
        places = np.array([*(self._key(ticks.feed, symbol) for symbol in ticks.symbols), -1], np.int32)
        return places[ticks.symbol]

    def _key(self, feed: str, symbol: str) -> int:
        key = self._keys.get((feed, symbol))
        if key is None:
            if len(self._keys) >= MOST_SERIES:
                return -1
            key = self._keys[(feed, symbol)] = len(self._keys)
            if key >= len(self._head):
                self._head = np.append(self._head, np.full(len(self._head), -1, np.int64))
        return key
