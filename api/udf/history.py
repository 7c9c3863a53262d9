"""Bars as the charting library asks for them: so many before a time, or those between two times. Seconds since 1970;
candles of days and wider stand at 00:00 UTC of their first trading day."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from analytics.series import candle_texts
from analytics.series.timeframes import DateFrame, Timeframe, midnight_us
from api.rest import paging
from api.rest.paging import Series
from api.rest.timestamps import EARLIEST_US
from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Calendar
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Int64
from marketdata.types.units import date_of, day_of
from terminals import wire

MOST = 10_000
_DAY_S, _US = 86_400, 1_000_000
_LEAST_S, _MOST_S = -2_208_988_800, 253_370_764_800  # the years 1900 to 9998


def read(one: Series, timeframe: Timeframe | DateFrame, *, from_s: int, to_s: int, count: int | None) -> dict[str, Any]:
    """The answer of `/history`: the last `count` candles before `to_s`, or those with from_s <= time < to_s, at most
    MOST of them and the newest; oldest first. Where there are none, when the one before was (`nextTime`)."""
    start_s = _LEAST_S if count is not None else from_s
    bars, times = _newest(one, timeframe, start_s, to_s, min(count or MOST, MOST))
    if len(bars):
        return {"s": "ok", "t": times.tolist(), **_columns(bars)}
    answer: dict[str, Any] = {"s": "no_data"}
    if count is None:
        _, before = _newest(one, timeframe, _LEAST_S, from_s, 1)
        if len(before):
            answer["nextTime"] = int(before[-1])
    return answer


def _newest(one: Series, timeframe: Timeframe | DateFrame, from_s: int, to_s: int, most: int) -> tuple[Bars, Int64]:
    """At most `most` candles with from_s <= time < to_s, the last ones, oldest first, and these times. Fewer where
    reading all would be too much for one answer; the library asks for what lies before them."""
    from_s, to_s = max(from_s, _LEAST_S), min(to_s, _MOST_S)
    if from_s >= to_s:
        return minute_bars.empty(one.feed), np.zeros(0, np.int64)
    if isinstance(timeframe, DateFrame):  # a candle is stored by the first date of its period, and told a little later
        first, behind = timeframe.first(from_s // _DAY_S), -(-to_s // _DAY_S)
        bounds = midnight_us(first, one.timezone), midnight_us(behind, one.timezone) - 1
    else:
        bounds = from_s * _US, to_s * _US - 1
    asked = replace(one, first_us=max(bounds[0], EARLIEST_US), last_us=bounds[1])
    page = paging.read_bars([asked], timeframe, after=None, limit=most + 1, ascending=False)
    bars = page.found[0][1].take(slice(None, None, -1)) if page.found else minute_bars.empty(one.feed)
    times = _times(one, bars, timeframe)
    wanted = np.flatnonzero((times >= from_s) & (times < to_s))[-most:]
    return bars.take(wanted), times[wanted]


def _times(one: Series, bars: Bars, timeframe: Timeframe | DateFrame) -> Int64:
    if not isinstance(timeframe, DateFrame):
        return bars.time_us // _US
    calendar = trading_dates.calendar(one.market)
    days = [_first_session(calendar, timeframe.first(day), day) for day in bars.trade_date.tolist()]
    return np.array(days, np.int64) * _DAY_S


def _first_session(calendar: Calendar, first: int, traded: int) -> int:
    """The first trading day of a period that began on `first`; a date on which something traded is one, whatever the
    calendar knows. Days since 1970."""
    day = day_of(calendar.next_session(date_of(first - 1)))
    return min(day, traded)


def _columns(bars: Bars) -> dict[str, msgspec.Raw]:
    return {
        letter: _numbers(candle_texts.decimals(getattr(bars, name), scale))
        for letter, name, scale in (
            ("o", "open", wire.PRICE_SCALE), ("h", "high", wire.PRICE_SCALE), ("l", "low", wire.PRICE_SCALE),
            ("c", "close", wire.PRICE_SCALE), ("v", "volume", wire.SIZE_SCALE),
        )
    }  # fmt: skip


def _numbers(values: list[Any]) -> msgspec.Raw:
    """A JSON array of numbers, exact to the digit."""
    return msgspec.Raw(f"[{','.join(map(str, values))}]".encode())
