"""The newest ticks of one client in a fixed block of memory; the oldest are overwritten. Columns, written by slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.types.tick_arrays import Int64, Ticks

ROW = np.dtype(
    [
        ("time_us", "<i8"),
        ("price", "<i8"),
        ("size", "<i8"),
        ("key", "<i4"),
        ("previous", "<i8"),
        ("kind", "u1"),
        ("side", "u1"),
    ],
    align=True,
)


class Ring:
    """At most `max_bytes` of rows, none older than `max_age_s` since it came; beyond either the oldest are
    forgotten."""

    def __init__(self, *, max_bytes: int, max_age_s: float) -> None:
        self.capacity = max(1, max_bytes // ROW.itemsize)
        self.max_age_s = max_age_s
        self._columns = {name: np.zeros(min(self.capacity, 1024), ROW[name]) for name in ROW.names or ()}
        self._arrivals: list[tuple[float, int]] = []  # (when, total rows by then), oldest first
        self.written = 0  # rows ever written: row i lies at i % allocated
        self.start = 0  # the oldest row still remembered

    def __len__(self) -> int:
        return self.written - self.start

    @property
    def nbytes(self) -> int:
        """Bytes allocated now; grows with use up to the limit."""
        return sum(column.nbytes for column in self._columns.values())

    def append(self, ticks: Ticks, keys: npt.NDArray[np.int32], previous: Int64 | None = None, *, now: float) -> int:
        """Write ticks; returns the number of the first one written. Of more than fit only the newest are written."""
        first = self.written
        rows = len(ticks)
        self._grow(min(self.capacity, len(self) + rows))
        allocated = len(self._columns["key"])
        skip = max(0, rows - allocated)
        values: dict[str, npt.NDArray[Any]] = {
            "time_us": ticks.time_us,
            "price": ticks.price,
            "size": ticks.size,
            "key": keys,
            "previous": np.full(rows, -1, np.int64) if previous is None else previous,
            "kind": ticks.kind,
            "side": ticks.side,
        }
        at = (first + skip) % allocated
        head = min(rows - skip, allocated - at)
        for name, column in values.items():
            kept = column[skip:]
            self._columns[name][at : at + head] = kept[:head]
            self._columns[name][: rows - skip - head] = kept[head:]
        self.written += rows
        self.start = max(self.start, self.written - allocated)
        self._note_arrival(now)
        self.expire(now=now)
        return first

    def expire(self, *, now: float) -> None:
        """Forget what came more than `max_age_s` ago."""
        gone = 0
        while gone < len(self._arrivals) and now - self._arrivals[gone][0] > self.max_age_s:
            self.start = max(self.start, self._arrivals[gone][1])
            gone += 1
        del self._arrivals[:gone]

    def row(self, number: int) -> dict[str, int]:
        """Row `number` (as counted by `append`); KeyError when it is forgotten."""
        if not self.start <= number < self.written:
            raise KeyError(number)
        at = number % len(self._columns["key"])
        return {name: int(column[at]) for name, column in self._columns.items()}

    def newest(self, count: int, *names: str) -> dict[str, npt.NDArray[np.int64]]:
        """The newest `count` rows, oldest first, column by column: of these names, or of all."""
        numbers = np.arange(max(self.start, self.written - count), self.written) % len(self._columns["key"])
        return {name: self._columns[name][numbers] for name in names or self._columns}

    def _note_arrival(self, now: float) -> None:
        """What comes within a thousandth of the greatest age counts as having come together, so that the list stays
        short."""
        when = now
        if self._arrivals and 0 <= now - self._arrivals[-1][0] < self.max_age_s / 1000:
            when = self._arrivals.pop()[0]
        self._arrivals.append((when, self.written))

    def _grow(self, rows: int) -> None:
        allocated = len(self._columns["key"])
        if rows <= allocated:
            return
        size = min(self.capacity, max(rows, allocated * 2))
        numbers = np.arange(self.start, self.written)
        for name, column in self._columns.items():
            larger = np.zeros(size, column.dtype)
            larger[numbers % size] = column[numbers % allocated]
            self._columns[name] = larger
