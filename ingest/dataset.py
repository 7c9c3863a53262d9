"""What all terminals together sent lately: the latest tick of each series, which is what one client sends of a symbol
in a feed, and a recent window indexed by it."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ingest.recent import Recent, RecentBatch
from ingest.ring import Ring
from marketdata.realtime.inspection import Row, Series
from marketdata.types.tick_arrays import ABSENT, Ticks

MOST_SERIES = 65_536
SERIES_BYTES = 500
"""What the names of a series and its entries in two dictionaries count in memory."""


class Dataset:
    """A ring of recent ticks in which every row points to the one before it of the same series, so that a series is
    read without a search. Bounded in bytes and age; the index has one entry a series.

    Batches wait unopened until somebody asks, half of the bytes for them and half for the ring. To open them takes
    about a microsecond a tick of full batches: up to a second for whoever asks first after a busy minute. So questions
    are for another thread than the one that keeps batches, which never waits for them."""

    def __init__(self, *, max_bytes: int, max_age_s: float) -> None:
        self._unopened = Recent(max_bytes=max_bytes // 2, max_age_s=max_age_s)
        self._ring = Ring(max_bytes=max_bytes // 2, max_age_s=max_age_s)
        self._lock = threading.RLock()  # of the ring and of all below: held by whoever asks
        self._numbers: dict[tuple[str, str, str], int] = {}  # of a series: (client, feed, symbol)
        self._names: list[tuple[str, str, str]] = []
        self._of_symbol: dict[str, list[int]] = {}
        self._unused: list[int] = []  # numbers of series that were forgotten
        self._head = np.full(1024, -1, np.int64)  # the newest row of each series
        self._priced = np.full(1024, -1, np.int64)  # the newest with a price

    def __len__(self) -> int:
        return len(self._ring) + len(self._unopened)

    @property
    def nbytes(self) -> int:
        """Bytes of the window and of the index."""
        index = self._head.nbytes + self._priced.nbytes + SERIES_BYTES * len(self._names)
        return self._unopened.nbytes + self._ring.nbytes + index

    def keep(self, batch: RecentBatch, *, now: float) -> None:
        """Take in a batch as it came (monotonic seconds)."""
        self._unopened.add(batch, now=now)

    def expire(self, *, now: float) -> None:
        """Forget what is too old; while somebody asks, the asking does that for the window."""
        self._unopened.expire(now=now)
        if self._lock.acquire(blocking=False):
            try:
                self._ring.expire(now=now)
            finally:
                self._lock.release()

    # --- questions ----------------------------------------------------------------------------------------------------

    def latest(self, count: int, symbol: str | None = None, *, now: float) -> tuple[list[Series], int]:
        """What each client last sent of each symbol (or of one) and feed that is not forgotten: at most `count` series,
        by symbol and feed and there the newest first; and how many there are in all."""
        with self._lock:
            self._open(now)
            start, window = self._ring.start, self._ring.newest(len(self._ring), "key")["key"]
            chosen = range(len(self._names)) if symbol is None else self._of_symbol.get(symbol, [])
            alive = [number for number in chosen if self._head[number] >= start]
            alive.sort(key=self._place)
            rows = np.bincount(window, minlength=len(self._names))
            return [self._series(number, int(rows[number])) for number in alive[:count]], len(alive)

    def recent(self, symbol: str, count: int, *, now: float) -> list[Row]:
        """The newest `count` ticks of a symbol, of all clients and feeds, newest first."""
        with self._lock:
            self._open(now)
            chains = [self._chain(number) for number in self._of_symbol.get(symbol, [])]
            newest = itertools.islice(heapq.merge(*chains, reverse=True), count)
            return [self._row(number) for number in newest]

    def _series(self, number: int, rows: int) -> Series:
        client, feed, symbol = self._names[number]
        priced = int(self._priced[number])
        row = self._ring.row(priced if priced >= self._ring.start else int(self._head[number]))
        return Series(
            client=client,
            feed=feed,
            symbol=symbol,
            rows=rows,
            time_us=_given(row["time_us"]),
            kind=row["kind"],
            price=_given(row["price"]),
            size=_given(row["size"]),
        )

    def _row(self, number: int) -> Row:
        row = self._ring.row(number)
        client, feed, _ = self._names[row["key"]]
        return Row(
            client=client,
            feed=feed,
            time_us=_given(row["time_us"]),
            kind=row["kind"],
            side=row["side"],
            price=_given(row["price"]),
            size=_given(row["size"]),
        )

    def _chain(self, number: int) -> Iterator[int]:
        """The rows of a series that are not forgotten, newest first."""
        row = int(self._head[number])
        while row >= self._ring.start:
            yield row
            row = self._ring.row(row)["previous"]

    def _place(self, number: int) -> tuple[str, str, int]:
        """Where a series is told: by symbol and feed, there the one that sent last first."""
        _, feed, symbol = self._names[number]
        return symbol, feed, -int(self._head[number])

    # --- taking in ----------------------------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        for _ in range(self._unopened.batches):  # what comes meanwhile waits for the next question
            taken = self._unopened.take_oldest()
            if taken is None:
                break
            came, batch = taken
            ticks = batch.ticks()
            if ticks is not None:
                self.add(batch.client, ticks, now=came)
        self._ring.expire(now=now)

    def add(self, client: str, ticks: Ticks, *, now: float) -> None:
        """Take in what a client sent; rows without a symbol, or of a series beyond the limit, are left out."""
        with self._lock:
            self._append(client, ticks, now)

    def _append(self, client: str, ticks: Ticks, now: float) -> None:
        keys = self._keys_of(client, ticks)
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
        first = self._ring.append(ticks, keys, previous, now=now)
        ends = np.append(starts[1:], True)
        self._head[grouped[ends]] = numbers[ends]
        priced = np.flatnonzero(ticks.price != ABSENT)
        np.maximum.at(self._priced, keys[priced], first + priced)

    def _keys_of(self, client: str, ticks: Ticks) -> npt.NDArray[np.int32]:
        """The number of each row's series, -1 where it has none."""
        if len(self._names) - len(self._unused) + len(ticks.symbols) > MOST_SERIES:
            self._forget_series()
        places = np.array([*(self._key(client, ticks.feed, symbol) for symbol in ticks.symbols), -1], np.int32)
        return places[ticks.symbol]

    def _key(self, client: str, feed: str, symbol: str) -> int:
        name = (client, feed, symbol)
        key = self._numbers.get(name)
        if key is not None:
            return key
        if self._unused:
            key = self._unused.pop()
            self._names[key] = name
        elif len(self._names) < MOST_SERIES:
            key = len(self._names)
            self._names.append(name)
            if key >= len(self._head):
                nothing = np.full(len(self._head), -1, np.int64)
                self._head, self._priced = np.append(self._head, nothing), np.append(self._priced, nothing)
        else:
            return -1
        self._numbers[name] = key
        self._of_symbol.setdefault(symbol, []).append(key)
        return key

    def _forget_series(self) -> None:
        """Make room by the series of which the window has no row."""
        for key in np.flatnonzero(self._head[: len(self._names)] < self._ring.start).tolist():
            name = self._names[key]
            if self._numbers.get(name) != key:  # its number is unused already
                continue
            del self._numbers[name]
            others = [one for one in self._of_symbol.pop(name[2]) if one != key]
            if others:
                self._of_symbol[name[2]] = others
            self._unused.append(key)


def _given(value: int) -> int | None:
    return None if value == ABSENT else value
