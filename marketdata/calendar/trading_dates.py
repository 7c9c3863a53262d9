"""To which trading date and minute an event belongs, decided from its own time and its market, never from the wall
clock; and the calendar of a market that is in force, with what an administrator entered (arithmetic is in
`marketdata.calendar.trading_calendar`)."""

from __future__ import annotations

import datetime
import time
import zoneinfo
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from marketdata.calendar import trading_calendar
from marketdata.calendar.trading_calendar import Calendar, Override
from marketdata.models import CalendarOverride, Market
from marketdata.types.tick_arrays import Int32, Int64
from marketdata.types.units import DAY_US, HOUR_US, MINUTE_US


@lru_cache(maxsize=4096)
def _offset_us(timezone: str, hour: int) -> int:
    moment = datetime.datetime.fromtimestamp(hour * 3600, zoneinfo.ZoneInfo(timezone))
    offset = moment.utcoffset()
    return 0 if offset is None else offset // datetime.timedelta(microseconds=1)


def trade_dates(times_us: Int64, *, timezone: str, shift_s: int) -> Int32:
    """Trading dates as days since 1970-01-01: the local date of each time moved on by `shift_s` seconds.

    Zones change their offset on whole UTC hours only (since 1970, in every market Naru knows), so one look-up an hour
    is exact. Times outside the years 1900 to 9999 are taken to the nearest of them.
    """
    times_us = np.clip(times_us, -2_208_988_800_000_000, 253_402_214_400_000_000)
    hours = times_us // HOUR_US
    if len(hours) and hours.min() == hours.max():  # nearly always: live ticks are of one moment
        offsets: Int64 | int = _offset_us(timezone, int(hours[0]))
    else:
        known, place = np.unique(hours, return_inverse=True)
        offsets = np.array([_offset_us(timezone, hour) for hour in known.tolist()], np.int64)[place]
    dates: Int32 = ((times_us + shift_s * 1_000_000 + offsets) // DAY_US).astype(np.int32)
    return dates


def minutes(times_us: Int64) -> Int64:
    """The start of the minute of each time: [t, t + 1 min). An auction prints up to 30 s after its end, so the opening
    print is in the first minute of the session and the closing print in the minute that begins at its end (15:30)."""
    starts: Int64 = times_us // MINUTE_US * MINUTE_US
    return starts


class Calendars:
    """Calendars by market. Markets and overrides are read again after `keep_s`; a calendar stays the same object as
    long as nothing was changed."""

    def __init__(self, *, keep_s: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep_s, self._clock = keep_s, clock
        self._calendars: dict[str, Calendar] = {}
        self._made_of: dict[str, object] = {}
        self._read_at = float("-inf")

    def find(self, market: str) -> Calendar:
        """LookupError: no such market."""
        if self._clock() - self._read_at > self._keep_s or market not in self._calendars:
            self._read()
        if market not in self._calendars:
            raise LookupError(f"no market {market!r}; there are: {', '.join(sorted(self._calendars)) or 'none'}")
        return self._calendars[market]

    def _read(self) -> None:
        overrides: dict[str, dict[datetime.date, Override]] = {}
        for row in CalendarOverride.objects.all():
            overrides.setdefault(row.market_id, {})[row.date] = Override(
                is_open=row.is_open,
                shift_minutes=row.shift_minutes,
                regular_open=row.regular_open,
                regular_close=row.regular_close,
                note=row.note,
                source=row.source,
            )
        rules = Market.objects.values_list("code", "timezone", "trade_date_shift_s", "open_on_weekends")
        made_of = {
            code: (timezone, shift_s, weekends, overrides.get(code, {})) for code, timezone, shift_s, weekends in rules
        }
        self._calendars = {
            code: self._calendars[code]
            if self._made_of.get(code) == made_of[code]
            else Calendar(
                trading_calendar.base(code),
                overrides.get(code, {}),
                timezone=timezone,
                trade_date_shift_s=shift_s,
                open_on_weekends=weekends,
            )
            for code, (timezone, shift_s, weekends, _overrides) in made_of.items()
        }
        self._made_of = dict(made_of)
        self._read_at = self._clock()


_calendars = Calendars()


def calendar(market: str) -> Calendar:
    """The calendar in force of a market, at most 30 s old. LookupError: no such market."""
    return _calendars.find(market)


def forget() -> None:
    """Read markets and overrides anew at the next question: for who has just changed them."""
    global _calendars
    _calendars = Calendars()
