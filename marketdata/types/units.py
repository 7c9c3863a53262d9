"""Days and times as numbers, everywhere the same: trading dates as days since 1970-01-01, moments as microseconds since
then in UTC. Prices and sizes are those of `marketdata.types.tick_arrays`.
"""

from __future__ import annotations

import datetime
import zoneinfo

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
EPOCH_DATE = EPOCH.date()
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
"""Where the desk is: what people read that has no market of its own is told in its time."""


def date_of(day: int) -> datetime.date:
    """The date that is so many days after 1970-01-01."""
    return EPOCH_DATE + datetime.timedelta(days=day)


def day_of(date: datetime.date) -> int:
    """The inverse of `date_of`."""
    return (date - EPOCH_DATE).days


def moment_of(time_us: int) -> datetime.datetime:
    """In UTC, exact."""
    return EPOCH + datetime.timedelta(microseconds=time_us)


def microseconds(moment: datetime.datetime) -> int:
    """The inverse of `moment_of`, for any aware datetime; without going through a float."""
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)
