"""When a registration may bring anything, with a little room around the hours that are published: what a terminal was
away for outside of it was not lost. `hours` has when silence is wrong, which is less. Data, in the exchange's own time.
"""

import datetime
import zoneinfo
from dataclasses import dataclass
from typing import Final

from terminals.sources.kis import hours
from terminals.sources.kis.exchange_zones import ZONES
from terminals.sources.kis.layouts import KIS_NIGHT, LAYOUTS, CodeForm
from terminals.sources.kis.planner import Registration

_SEOUL: Final = "Asia/Seoul"
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_MOST_DAYS: Final = 31
"""A longer time is left as it is."""


@dataclass(frozen=True, slots=True)
class _Open:
    """From `start` to `end` (HH:MM; beyond 24:00 on the next morning) of each weekday."""

    start: str
    end: str
    zone: str = _SEOUL
    closes_later: bool = False
    """On a day whose regular session closes later."""

    def on(self, date: datetime.date) -> tuple[int, int] | None:
        """From when to when on a date, in UTC microseconds; None if not. ZoneInfoNotFoundError."""
        text = date.isoformat()
        if date.weekday() >= 5 or (self.zone == _SEOUL and text in hours.CLOSED):
            return None
        _opening, closing = hours.DAYS.get(text, (0, 0)) if self.closes_later else (0, 0)
        return self._at(date, self.start, 0), self._at(date, self.end, closing)

    def _at(self, date: datetime.date, text: str, later_minutes: int) -> int:
        hour, minute = map(int, text.split(":"))
        days, hour = divmod(hour, 24)
        at = datetime.datetime.combine(date + datetime.timedelta(days=days), datetime.time(hour, minute))
        at = at.replace(tzinfo=zoneinfo.ZoneInfo(self.zone)) + datetime.timedelta(minutes=later_minutes)
        return (at - _EPOCH) // _MICROSECOND


# Orders of NXT are taken from 07:59:50 on; records of the last second come a little later (docs/calendar.md).
_STOCKS: Final = _Open("07:59", "20:01")
_DERIVATIVES: Final = _Open("08:15", "15:50", closes_later=True)
_NIGHT: Final = _Open("17:45", "30:05")
_AMERICAN_DAY: Final = _Open("08:55", "18:35")
"""American stocks while it is day in Korea."""
_OVERSEAS: Final = {
    **dict.fromkeys(("NAS", "NYS", "AMS"), _Open("04:00", "20:05", ZONES["NAS"])),
    **dict.fromkeys(("BAQ", "BAY", "BAA"), _AMERICAN_DAY),
    "HKS": _Open("08:55", "16:35", ZONES["HKS"]),
    "TSE": _Open("07:55", "16:05", ZONES["TSE"]),
    **dict.fromkeys(("SHS", "SZS"), _Open("09:10", "15:35", ZONES["SHS"])),
    **dict.fromkeys(("HSX", "HNX"), _Open("08:40", "15:35", ZONES["HSX"])),
}


def within(one: Registration, from_us: int, to_us: int) -> tuple[int, int] | None:
    """From the first to the last moment of this time at which it may have brought anything; None if there is none. UTC
    microseconds. The time itself where the hours are not known."""
    open_ = _open_of(one)
    if open_ is None or from_us > to_us:
        return from_us, to_us
    try:
        first, last = (
            (_EPOCH + at * _MICROSECOND).astimezone(zoneinfo.ZoneInfo(open_.zone)).date() for at in (from_us, to_us)
        )
        days = (last - first).days
        if days > _MOST_DAYS:
            return from_us, to_us
        # A night begins on the day before.
        dates = [first + datetime.timedelta(days=day) for day in range(-1, days + 1)]
        found = [bounds for date in dates if (bounds := open_.on(date)) is not None]
    except (zoneinfo.ZoneInfoNotFoundError, OverflowError):
        return from_us, to_us
    parts = [(max(start, from_us), min(end, to_us)) for start, end in found if start < to_us and from_us < end]
    return (parts[0][0], parts[-1][1]) if parts else None


def _open_of(one: Registration) -> _Open | None:
    layout = LAYOUTS[one.tr_id]
    if layout.code_form is CodeForm.OVERSEAS:
        return _OVERSEAS.get(one.tr_key[1:4])
    if layout.feed == KIS_NIGHT:
        return _NIGHT
    return _DERIVATIVES if layout.code_form is CodeForm.DERIVATIVE else _STOCKS
