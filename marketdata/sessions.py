"""To which trading date an event belongs. Decided once, from the event's own time and its market, never from the wall
clock."""

from __future__ import annotations

import datetime
import zoneinfo
from functools import lru_cache

import numpy as np

from marketdata.ticks import Int32, Int64

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


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
    moved = np.clip(times_us, -2_208_988_800_000_000, 253_402_214_400_000_000) + shift_s * 1_000_000
    hours, place = np.unique(
        np.clip(times_us, -2_208_988_800_000_000, 253_402_214_400_000_000) // HOUR_US, return_inverse=True
    )
    offsets = np.array([_offset_us(timezone, hour) for hour in hours.tolist()], np.int64)
    dates: Int32 = ((moved + offsets[place]) // DAY_US).astype(np.int32)
    return dates
