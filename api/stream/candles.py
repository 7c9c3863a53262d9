"""Which minute candles of a feed are to be read and announced, by the feed's own clock. Knows no wall clock and no
database.

A closed candle is never told from what entries brought, for they may be a part of it: when its minute is over it is
read from the database, and read again when an entry says that it changed. So what is told is what the database has,
whatever was missed of the feed. Open candles are told from the merged states in the entries, on top of what the
database had when the feed was joined.

What time it is on the feed is told by `analytics.series.feed_clock`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from analytics.series import timeframes
from analytics.series.feed_clock import FeedClock
from marketdata.types import minute_bars
from marketdata.types.minute_bars import COLUMNS, Bars
from marketdata.types.units import MINUTE_US

Row = tuple[Any, ...]  # symbol, then as bars.COLUMNS[1:]
Key = tuple[str, int]  # symbol, minute
_TIME, _DATE, _N = COLUMNS.index("time_us"), COLUMNS.index("trade_date"), COLUMNS.index("n")
KEEP_US = 30 * MINUTE_US
_NUMBERS = struct.Struct(f"<{len(COLUMNS) - 1}q")
FAR_US = 253_370_764_800_000_000
MOST_CHANGED = 65_536
MOST_READ = 5_000
ALL = "*"


@dataclass(slots=True)
class Change:
    """What a reading brought about."""

    closed: list[Row] = field(default_factory=list)
    updated: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """Minutes start_us <= minute < end_us to be read from the database, of these symbols (None: of all).

    What for: `opens`, to begin open candles with; `ending`, the minutes that are over; `changed`, closed candles of
    which an entry said that they changed; nothing of these, to compare what was told.
    """

    start_us: int
    end_us: int
    symbols: frozenset[str] | None
    opens: bool = False
    ending: frozenset[int] = frozenset()
    changed: frozenset[Key] = frozenset()


class Candles:
    """The candles of one feed: what is open, what was told within the last half hour, and what is to be read.

    `advance` and `absorb` say what happened, `due` what to read now, and `done` takes the answer, or `failed` gives the
    reading back. One reading is under way at a time.
    """

    def __init__(self, *, grace_us: int) -> None:
        self._clock = FeedClock(grace_us=grace_us)
        self._ended_us: int | None = None  # minutes that start before this are closed
        self._open: dict[Key, dict[int, Row]] = {}  # by trading date
        self._formed: set[Key] = set()
        self._opened = False  # whether open candles begin with what the database had
        self._opens_us = 0  # the minutes that were open when it was to be asked
        self._opening: Reading | None = None  # that asks it
        self._minutes: set[int] = set()  # that are open and have a candle
        self._ending: set[int] = set()
        self._changed: set[Key] = set()
        self._check = False
        self._told: dict[int, dict[str, bytes]] = {}  # by minute and symbol: `_state` of the candle
        self._watched: dict[str, int] = {}  # from which minute on closed candles of a symbol are told
        self.overflowed = False
        """More closed candles changed than can be kept in mind, so some corrections are not told."""

    def clock_us(self, now_us: int) -> int | None:
        """The feed's time; None before its first event."""
        return self._clock.at(now_us)

    @property
    def ended_us(self) -> int | None:
        """Minutes that start before this are closed; None before the feed's first event."""
        return self._ended_us

    def ended_at(self, event_us: int) -> int:
        """Minutes that start before this had been closed when the feed's latest event was at `event_us`."""
        return self._clock.ended_at(event_us)

    def begin(self, event_us: int | None, now_us: int) -> None:
        """The feed is followed from now on; `event_us` is its latest event, None if there was none. What closed before
        is not told."""
        if event_us is not None:
            self._clock.move(event_us, now_us)
            self.advance(now_us)

    def advance(self, now_us: int) -> None:
        """Close the minutes that are over now."""
        ended_us = self._clock.ended(now_us)
        if ended_us is None or (self._ended_us is not None and ended_us <= self._ended_us):
            return
        if self._ended_us is None:
            self._opens_us = ended_us
        self._ended_us = ended_us
        over = {minute for minute in self._minutes if minute < ended_us}
        self._minutes -= over
        self._ending |= over
        self._open = {key: rows for key, rows in self._open.items() if key[1] >= ended_us}
        self._formed = {key for key in self._formed if key[1] >= ended_us}
        for minute in [minute for minute in self._told if minute < ended_us - KEEP_US]:
            del self._told[minute]

    def absorb(self, bars: Bars, event_us: int, now_us: int, watched: Collection[str]) -> None:
        """Take over the merged candles of a commit whose latest event is `event_us`. Closed ones of `watched` symbols
        are to be read again. While nothing is watched they are left alone: who comes then begins with what the database
        has."""
        self._clock.move(event_us, now_us)
        if not watched:
            self._forget_open()
            return
        for row in rows_of(bars):
            key = (row[0], row[_TIME])
            if self._ended_us is None or key[1] >= self._ended_us:
                self._remember(key, row)
            elif ALL in watched or key[0] in watched:
                self._change(key)

    def correct(self, bars: Bars, touched: Iterable[Key], watched: Collection[str]) -> None:
        """Trades were taken back: `bars` are the candles of the touched (symbol, minute) as they are now, with fewer
        trades than before; what is not among them has no trade left. Closed ones are to be read again."""
        now: dict[Key, dict[int, Row]] = {}
        for row in rows_of(bars):
            now.setdefault((row[0], row[_TIME]), {})[row[_DATE]] = row
        for key in touched:
            if self._ended_us is None or key[1] >= self._ended_us:
                self._open.pop(key, None)
                self._formed.discard(key)
                for row in now.get(key, {}).values():
                    self._remember(key, row)
            elif ALL in watched or key[0] in watched:
                self._change(key)

    def reread(self, touched: Iterable[Key], watched: Collection[str]) -> None:
        """These candles were made anew: closed ones are to be read again, and open ones begin with what the database
        has."""
        for key in touched:
            if self._ended_us is None or key[1] >= self._ended_us:
                self._begin_anew()
            elif ALL in watched or key[0] in watched:
                self._change(key)

    def _change(self, key: Key) -> None:
        self._changed.add(key)
        if len(self._changed) > MOST_CHANGED:
            self._changed.clear()
            self.overflowed = True

    def _begin_anew(self) -> None:
        if self._opened:
            self._opens_us = self._ended_us or 0
        self._forget_open()

    def _remember(self, key: Key, row: Row) -> None:
        """Of two states of an open candle the one with more trades is the newer."""
        self._minutes.add(key[1])
        known = self._open.setdefault(key, {})
        if row[_DATE] not in known or known[row[_DATE]][_N] < row[_N]:
            known[row[_DATE]] = row
            self._formed.add(key)

    def missed(self) -> None:
        """A part of the feed was not seen: open candles begin anew, and what was told is to be compared."""
        self._begin_anew()
        self._check = True

    def _forget_open(self) -> None:
        self._open.clear()
        self._formed.clear()
        self._opened, self._opening = False, None

    def due(self, watched: Collection[str]) -> Reading | None:
        """What to read next for those who listen to `watched` symbols; None when nothing is."""
        ended_us = self._ended_us
        if ended_us is None:
            return None
        if not watched:
            if not self._opened:
                self._opens_us = ended_us  # what closes before somebody comes is not told
            self._ending.clear()
            self._changed.clear()
            self._told.clear()
            self._watched.clear()
            self._check = False
            return None
        symbols = None if ALL in watched else frozenset(watched)
        if not self._opened:
            self._opening = Reading(self._opens_us, FAR_US, None, opens=True)
            return self._opening
        if self._ending:
            first = min(self._ending)
            ending = frozenset(minute for minute in self._ending if minute < first + KEEP_US)
            self._ending -= ending
            self._watched = {symbol: self._watched.get(symbol, first) for symbol in watched}
            return Reading(first, max(ending) + 1, symbols, ending=ending)
        if self._check:
            self._check = False
            return Reading(ended_us - KEEP_US, ended_us, symbols)
        if self._changed:
            first = min(minute for _, minute in self._changed)
            changed = [key for key in self._changed if key[1] < first + KEEP_US][:MOST_READ]
            self._changed.difference_update(changed)
            last = max(minute for _, minute in changed)
            return Reading(
                first, last + 1, frozenset(symbol for symbol, _ in changed), changed=frozenset(changed)
            )  # fmt: skip
        return None

    def failed(self, reading: Reading) -> None:
        """It could not be read, and is due again."""
        self._ending |= reading.ending
        self._changed |= reading.changed
        self._check |= not (reading.opens or reading.ending or reading.changed)

    def done(self, reading: Reading, found: Bars) -> Change:
        """What of the minute candles that were read is news."""
        change = Change()
        ended_us = self._ended_us or 0
        if reading.opens:
            if reading is not self._opening:
                return change  # what came while it was under way was not kept: it is read again
            self._opened = True
            for row in rows_of(found):
                if row[_TIME] >= ended_us:
                    self._remember((row[0], row[_TIME]), row)
                else:  # it ended meanwhile
                    self._ending.add(row[_TIME])
            return change
        for row in rows_of(timeframes.by_minute(found)):
            key = (row[0], row[_TIME])
            if reading.changed and key not in reading.changed:
                continue
            told, state = self._told.get(key[1], {}).get(key[0]), _state(row)
            mine = key[1] >= self._since(key[0])
            known = mine and key[1] >= ended_us - KEEP_US
            if known:
                self._told.setdefault(key[1], {})[key[0]] = state
            if (reading.ending and told is None and mine) or (known and told is None):
                change.closed.append(row)
            elif told != state and (told is not None or reading.changed):
                change.updated.append(row)  # or it closed before it was watched, or too long ago to know what was told
        return change

    def _since(self, symbol: str) -> int:
        return min(self._watched.get(symbol, FAR_US), self._watched.get(ALL, FAR_US))

    def formed(self) -> list[Row]:
        """Open candles that changed since this was last asked; none as long as their beginning is not known."""
        if not self._opened:
            return []
        rows = [row for key in self._formed for row in self._open[key].values()]
        self._formed.clear()
        return rows_of(timeframes.by_minute(minute_bars.from_rows("", rows)))


def key_of(row: Row) -> Key:
    """Which candle it is."""
    return row[0], row[_TIME]


def _state(row: Row) -> bytes:
    """All numbers of a candle, to be compared: half an hour of them is kept for each symbol, and as objects they would
    be five times as large."""
    return _NUMBERS.pack(*row[1:])


def rows_of(bars: Bars) -> list[Row]:
    """Candles as tuples."""
    columns = [getattr(bars, name).tolist() for name in COLUMNS]
    columns[0] = [bars.symbols[index] for index in columns[0]]
    return list(zip(*columns, strict=True))


def bars_of(feed: str, rows: list[Row]) -> Bars:
    """The inverse of `rows_of`."""
    return minute_bars.from_rows(feed, rows)
