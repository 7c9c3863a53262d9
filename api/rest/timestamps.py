"""`start` and `end` as callers write them: RFC-3339, or a date, which is a whole day of the symbol's market."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from analytics.series import timeframes
from marketdata.types.units import DAY_US, EPOCH_DATE, microseconds

_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH_DAY = EPOCH_DATE.toordinal()
# The years 1900 to 9998; the last day is left, so that a candle of a year that begins then ends in one that there is in
# every time zone.
EARLIEST_US, LATEST_US = -2_208_988_800_000_000, 253_370_678_400_000_000
RIGHT = "RFC-3339 with an offset (2026-11-20T09:00:00Z, or +09:00 with + written as %2B), or a date (2026-11-20)"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time, or a local day that only a time zone makes one."""

    time_us: int = 0
    day: int | None = None

    def first_us(self, timezone: str) -> int:
        """As a `start`."""
        return _within(self.time_us if self.day is None else timeframes.midnight_us(self.day, timezone))

    def last_us(self, timezone: str) -> int:
        """As an `end`, which is included: a date means its whole day."""
        return _within(self.time_us if self.day is None else timeframes.midnight_us(self.day + 1, timezone) - 1)


def parse_day(text: str) -> datetime.date:
    """A date as callers write it; ValueError for anything else, also for the other forms of ISO 8601."""
    if not _DATE.fullmatch(text):
        raise ValueError(text)
    return datetime.date.fromisoformat(text)


def parse(text: str) -> Timestamp:
    """Nanoseconds are cut to microseconds. ValueError when it is neither a time nor a date."""
    if _DATE.fullmatch(text):
        day = parse_day(text).toordinal() - _EPOCH_DAY
        if not EARLIEST_US // DAY_US <= day <= LATEST_US // DAY_US:
            raise ValueError(text)
        return Timestamp(day=day)
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    fraction = (match[2] or "0")[:6].ljust(6, "0")
    clock = match[1] if match[1].count(":") == 2 else match[1] + ":00"
    moment = datetime.datetime.fromisoformat(f"{clock}.{fraction}{match[3].upper().replace('Z', '+00:00')}")
    return Timestamp(time_us=microseconds(moment))


def _within(time_us: int) -> int:
    return min(max(time_us, EARLIEST_US), LATEST_US)
