"""Times as KIS writes them, Seoul time without a zone, as UTC microseconds. Korea has no daylight saving time."""

import datetime
from typing import Final

_DAY_US: Final = 86_400_000_000
_KST_US: Final = 9 * 3_600_000_000
_EPOCH: Final = datetime.date(1970, 1, 1)
_DATES: Final = 1_000


class Times(dict[str, int]):
    """HHMMSS to microseconds of its day; ValueError for what is no time. Remembers what it has read."""

    def __missing__(self, text: str) -> int:
        if len(text) != 6 or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is no time HHMMSS")
        hours, minutes, seconds = int(text[:2]), int(text[2:4]), int(text[4:])
        if hours > 23 or minutes > 59 or seconds > 59:
            raise ValueError(f"{text!r} is no time of a day")
        found = self[text] = (hours * 3600 + minutes * 60 + seconds) * 1_000_000
        return found


class Dates(dict[str, tuple[int, int]]):
    """YYYYMMDD to (days since 1970-01-01, its midnight in Seoul as UTC microseconds); ValueError if it is no date."""

    def __missing__(self, text: str) -> tuple[int, int]:
        if len(text) != 8 or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{text!r} is no date YYYYMMDD")
        days = (datetime.date(int(text[:4]), int(text[4:6]), int(text[6:])) - _EPOCH).days
        if len(self) >= _DATES:
            self.clear()
        found = self[text] = (days, days * _DAY_US - _KST_US)
        return found


def nearest(of_day_us: int, now_us: int) -> tuple[int, int]:
    """(days since 1970-01-01, UTC microseconds) of a time of day that carries no date: of yesterday, today or tomorrow
    in Seoul, whichever is nearest to `now_us`. So 23:59:59 that comes just after midnight is yesterday's."""
    days = (now_us + _KST_US) // _DAY_US
    moments = [(one, one * _DAY_US - _KST_US + of_day_us) for one in (days - 1, days, days + 1)]
    return min(moments, key=lambda moment: abs(moment[1] - now_us))


def midnight_us(days: int) -> int:
    """When a date begins in Seoul, as UTC microseconds."""
    return days * _DAY_US - _KST_US


def date_of(now_us: int) -> int:
    """The date in Seoul, as days since 1970-01-01."""
    return (now_us + _KST_US) // _DAY_US


def time_of_day_s(now_us: int) -> int:
    """Seconds since midnight in Seoul."""
    return (now_us + _KST_US) % _DAY_US // 1_000_000


def read_moment(text: str) -> int:
    """YYYYMMDDHHMMSS as UTC microseconds; a ValueError for anything else."""
    if len(text) != 14:
        raise ValueError(f"{text!r} is no moment YYYYMMDDHHMMSS")
    return Dates()[text[:8]][1] + Times()[text[8:]]
