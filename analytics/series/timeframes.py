"""Wider candles from narrower ones. A candle's bounds depend on its market only, never on what was asked for.

Minutes and hours count from local midnight and start anew there, so 7Min has a short last candle of the day; time
passes in real minutes, so a day with a clock change has 23 or 25 hours. Days, weeks and months count trading dates: a
week begins on Monday, months count from January, and a candle is stamped with the local midnight of its first date.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from marketdata.calendar import trading_dates
from marketdata.types.minute_bars import VALUE_UNIT, Bars, sums
from marketdata.types.tick_arrays import Int32, Int64
from marketdata.types.units import EPOCH_DATE, MINUTE_US

ALLOWED = "1Min to 59Min, 1Hour to 23Hour, 1Day, 1Week, and 1, 2, 3, 4, 6 or 12Month"
_PATTERN = re.compile(r"([1-9][0-9]?)(Min|Hour|Day|Week|Month)", re.ASCII)
_MOST = {"Min": 59, "Hour": 23, "Day": 1, "Week": 1, "Month": 12}
_MINUTES = {"Min": 1, "Hour": 60}
_EPOCH_DAY = EPOCH_DATE.toordinal()
_MONDAY = -3  # days since 1970-01-01, which was a Thursday


class UnknownTimeframeError(ValueError):
    """The text is no timeframe."""


@dataclass(frozen=True, slots=True)
class Timeframe:
    """The width of a candle within a day: `width_us` microseconds."""

    name: str
    width_us: int

    @property
    def most_minutes(self) -> int:
        """How many minute candles one of this width can be made of."""
        return self.width_us // MINUTE_US

    def starts(self, times_us: Int64, timezone: str) -> Int64:
        """The start of the bucket of each time."""
        if self.width_us == MINUTE_US:
            return times_us // MINUTE_US * MINUTE_US
        midnight, _ = _days(times_us, timezone)
        return midnight + (times_us - midnight) // self.width_us * self.width_us

    def ends(self, times_us: Int64, timezone: str) -> Int64:
        """Where the bucket of each time ends, which is where the next one starts."""
        if self.width_us == MINUTE_US:
            return times_us // MINUTE_US * MINUTE_US + MINUTE_US
        midnight, following = _days(times_us, timezone)
        return np.minimum(midnight + ((times_us - midnight) // self.width_us + 1) * self.width_us, following)

    def start(self, time_us: int, timezone: str) -> int:
        """As `starts`, of one time."""
        return int(self.starts(np.array([time_us], np.int64), timezone)[0])

    def end(self, time_us: int, timezone: str) -> int:
        """As `ends`, of one time."""
        return int(self.ends(np.array([time_us], np.int64), timezone)[0])


@dataclass(frozen=True, slots=True)
class DateFrame:
    """The width of a candle in trading dates: `count` of "Day", "Week" or "Month". Dates are days since 1970-01-01."""

    name: str
    unit: str
    count: int = 1

    @property
    def most_dates(self) -> int:
        """How many trading dates one of this width can be made of."""
        return {"Day": 1, "Week": 7, "Month": 31}[self.unit] * self.count

    def first(self, day: int) -> int:
        """The first date of the period that date `day` lies in."""
        if self.unit == "Day":
            return day
        if self.unit == "Week":
            return day - (day - _MONDAY) % 7
        date = datetime.date.fromordinal(day + _EPOCH_DAY)
        return _ordinal(date.year, (date.month - 1) // self.count * self.count + 1)

    def following(self, day: int) -> int:
        """The first date of the period after the one that date `day` lies in."""
        if self.unit != "Month":
            return self.first(day) + self.most_dates
        date = datetime.date.fromordinal(self.first(day) + _EPOCH_DAY)
        month = date.month + self.count
        return _ordinal(date.year + (month > 12), (month - 1) % 12 + 1)

    def firsts(self, days: Int32) -> Int64:
        """As `first`, of each date."""
        return np.array([self.first(day) for day in days.tolist()], np.int64)


def _ordinal(year: int, month: int) -> int:
    return datetime.date(year, month, 1).toordinal() - _EPOCH_DAY


def parse(text: str) -> Timeframe | DateFrame:
    """`5Min` and so on; UnknownTimeframeError names what is allowed."""
    match = _PATTERN.fullmatch(text)
    if match is None or int(match[1]) > _MOST[match[2]] or (match[2] == "Month" and 12 % int(match[1])):
        raise UnknownTimeframeError(f"unknown timeframe {text!r}; allowed are {ALLOWED}")
    if match[2] not in _MINUTES:
        return DateFrame(text, match[2], int(match[1]))
    return Timeframe(text, int(match[1]) * _MINUTES[match[2]] * MINUTE_US)


MINUTE = Timeframe("1Min", MINUTE_US)
DAY = DateFrame("1Day", "Day")


def widen(bars: Bars, timeframe: Timeframe, timezone: str) -> Bars:
    """One candle per bucket from the minute candles of one symbol, which are in the order of time."""
    if not len(bars):
        return bars
    bars = _in_order(bars)
    starts = timeframe.starts(bars.time_us, timezone)
    return fold(replace(bars, time_us=starts), starts[1:] != starts[:-1])


def by_minute(bars: Bars) -> Bars:
    """One candle per symbol and minute from minute candles of any symbols: trading dates that share a minute are
    merged. Ordered by symbol (as `bars.symbols` has them) and minute."""
    if not len(bars):
        return bars
    bars = bars.take(np.lexsort((bars.open_id, bars.open_time, bars.time_us, bars.symbol)))
    return fold(bars, (bars.symbol[1:] != bars.symbol[:-1]) | (bars.time_us[1:] != bars.time_us[:-1]))


def fold(bars: Bars, new: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Bars:
    """Candles in order, those merged between which `new` is false (one flag less than there are candles). The trading
    date of a merged one is its newest."""
    if new.all():
        return bars
    first = np.concatenate([[0], np.flatnonzero(new) + 1])
    last = np.concatenate([first[1:], [len(bars)]]) - 1
    carried, fraction = np.divmod(np.add.reduceat(bars.value_frac, first), VALUE_UNIT)
    return replace(
        bars,
        symbol=bars.symbol[first],
        time_us=bars.time_us[first],
        trade_date=np.maximum.reduceat(bars.trade_date, first),
        open=bars.open[first],
        high=np.maximum.reduceat(bars.high, first),
        low=np.minimum.reduceat(bars.low, first),
        close=bars.close[last],
        volume=sums(bars.volume, first),
        value=sums(bars.value, first) + carried,
        value_frac=fraction,
        n=np.add.reduceat(bars.n, first),
        rev=np.add.reduceat(bars.rev, first),
        open_time=bars.open_time[first],
        open_id=bars.open_id[first],
        close_time=bars.close_time[last],
        close_id=bars.close_id[last],
    )


def _in_order(bars: Bars) -> Bars:
    """Two trading dates may share a minute; their candles then follow each other by their ticks."""
    if (bars.time_us[1:] > bars.time_us[:-1]).all():
        return bars
    return bars.take(np.lexsort((bars.open_id, bars.open_time, bars.time_us)))


def _days(times_us: Int64, timezone: str) -> tuple[Int64, Int64]:
    """Local midnight before (or at) each time, and the one after."""
    days = trading_dates.trade_dates(times_us, timezone=timezone, shift_s=0)
    distinct, place = np.unique(days, return_inverse=True)
    bounds = np.array(
        [[midnight_us(day, timezone), midnight_us(day + 1, timezone)] for day in distinct.tolist()], np.int64
    ).reshape(-1, 2)
    return bounds[place, 0], bounds[place, 1]


def date_spans(bars: Bars, frame: DateFrame, timezone: str, shift_s: int) -> tuple[Int64, Int64]:
    """When the time of each candle of a width in trading dates begins and ends, in microseconds UTC; trading dates
    begin `shift_s` before their local midnight."""
    ends = np.array([midnight_us(frame.following(day), timezone) for day in bars.trade_date.tolist()], np.int64)
    return bars.time_us - shift_s * 1_000_000, ends - shift_s * 1_000_000


@lru_cache(maxsize=4096)
def midnight_us(day: int, timezone: str) -> int:
    """When local day `day` (days since 1970-01-01) begins, in microseconds UTC."""
    date = datetime.date.fromordinal(day + _EPOCH_DAY)
    moment = datetime.datetime(date.year, date.month, date.day, tzinfo=zoneinfo.ZoneInfo(timezone))
    return int(moment.timestamp()) * 1_000_000
