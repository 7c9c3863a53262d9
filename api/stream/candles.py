"""When a minute candle of a feed is closed, by the feed's own clock; what changed since is a correction. Knows no
wall clock.

The feed's clock is the latest event time seen plus the time that passed since it moved, and never ahead of now: right
for a live
feed, which goes on when nothing trades, and for a replay of an old day alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from marketdata import bars as bars_module
from marketdata.bars import COLUMNS, MINUTE_US, Bars

Row = tuple[Any, ...]  # symbol, then as bars.COLUMNS[1:]
_TIME, _N = COLUMNS.index("time_us"), COLUMNS.index("n")
KEEP_MINUTES = 30


@dataclass(slots=True)
class Change:
    """What an entry or the passing of time brought about."""

    closed: list[Row] = field(default_factory=list)
    updated: list[Row] = field(default_factory=list)


class Candles:
    """The newest state of the candles of one feed: open ones, and those closed within the last half hour."""

    def __init__(self, *, grace_us: int) -> None:
        self._grace_us = grace_us
        self._event_us: int | None = None
        self._moved_us = 0
        self._open: dict[int, dict[str, Row]] = {}
        self._closed: dict[int, dict[str, Row]] = {}
        self._ended_us = -(2**63)  # minutes that start before this are closed
        self._formed: dict[tuple[str, int], Row] = {}

    def clock_us(self, now_us: int) -> int | None:
        """The feed's time; None before its first event."""
        if self._event_us is None:
            return None
        return min(now_us, self._event_us + max(now_us - self._moved_us, 0))

    def absorb(self, bars: Bars, event_us: int, now_us: int) -> Change:
        """Take over the merged candles of a commit whose latest event is `event_us`."""
        if self._event_us is None or event_us > self._event_us:
            self._event_us, self._moved_us = event_us, now_us
        change = Change()
        for row in rows_of(bars):
            self._absorb_row(row, change)
        return change

    def _absorb_row(self, row: Row, change: Change) -> None:
        symbol, minute = row[0], row[_TIME]
        if minute >= self._ended_us:
            known = self._open.setdefault(minute, {})
            if symbol not in known or known[symbol][_N] < row[_N]:
                known[symbol] = row
                self._formed[symbol, minute] = row
            return
        kept = self._closed.get(minute)
        if kept is None:  # too old to know what was said of it
            change.updated.append(row)
        elif symbol not in kept:
            kept[symbol] = row
            change.closed.append(row)
        elif kept[symbol][_N] < row[_N]:
            kept[symbol] = row
            change.updated.append(row)

    def close(self, now_us: int) -> list[Row]:
        """The candles whose minute is over now, each once."""
        clock = self.clock_us(now_us)
        if clock is None:
            return []
        ended_us = (clock - self._grace_us) // MINUTE_US * MINUTE_US
        if ended_us <= self._ended_us:
            return []
        self._ended_us = ended_us
        rows: list[Row] = []
        for minute in sorted(minute for minute in self._open if minute < ended_us):
            candles = self._open.pop(minute)
            self._closed[minute] = candles
            rows.extend(candles.values())
        for minute in [minute for minute in self._closed if minute < ended_us - KEEP_MINUTES * MINUTE_US]:
            del self._closed[minute]
        self._formed = {key: row for key, row in self._formed.items() if key[1] >= ended_us}
        return rows

    def formed(self) -> list[Row]:
        """Open candles that changed since this was last asked."""
        rows = list(self._formed.values())
        self._formed.clear()
        return rows


def rows_of(bars: Bars) -> list[Row]:
    """Candles as tuples."""
    columns = [getattr(bars, name).tolist() for name in COLUMNS]
    columns[0] = [bars.symbols[index] for index in columns[0]]
    return list(zip(*columns, strict=True))


def bars_of(feed: str, rows: list[Row]) -> Bars:
    """The inverse of `rows_of`."""
    return bars_module.from_rows(feed, rows)
