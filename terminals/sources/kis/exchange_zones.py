"""Where the exchanges are that KIS names in three letters, for stamps of their own clocks."""

import datetime
import zoneinfo
from typing import Final

_NEW_YORK: Final = "America/New_York"
ZONES: Final = {
    "NAS": _NEW_YORK,
    "NYS": _NEW_YORK,
    "AMS": _NEW_YORK,
    "BAQ": _NEW_YORK,
    "BAY": _NEW_YORK,
    "BAA": _NEW_YORK,
    "HKS": "Asia/Hong_Kong",
    "TSE": "Asia/Tokyo",
    "SHS": "Asia/Shanghai",
    "SZS": "Asia/Shanghai",
    "HSX": "Asia/Ho_Chi_Minh",
    "HNX": "Asia/Ho_Chi_Minh",
}
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def utc_us(exchange: str, date: str, time: str) -> int:
    """YYYYMMDD and HHMMSS of an exchange's clock as UTC microseconds; of an hour that its clock shows twice, the first.
    ValueError for an exchange or a stamp that is none, and on a machine without time zones (Windows without tzdata).
    """
    zone = ZONES.get(exchange)
    if zone is None or len(date) != 8 or len(time) != 6:
        raise ValueError(f"{exchange} {date} {time} is no stamp of a known exchange")
    try:
        local = datetime.datetime.strptime(date + time, "%Y%m%d%H%M%S").replace(tzinfo=zoneinfo.ZoneInfo(zone))
    except zoneinfo.ZoneInfoNotFoundError as error:
        raise ValueError(str(error)) from None
    return int((local - _EPOCH) / datetime.timedelta(microseconds=1))
