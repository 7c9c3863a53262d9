"""When something happened, by Bloomberg's several stamps, in UTC microseconds. Stamps may have no date, or no zone."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)
_HALF_DAY: Final = datetime.timedelta(hours=12)
_DAY: Final = datetime.timedelta(days=1)

# Each the fields that make up one stamp, the surest first: a date-time, a date and a time, a time alone.
TRADE: Final = (
    ("TRADE_UPDATE_STAMP_RT",),
    ("EVT_TRADE_DATE_RT", "EVT_TRADE_TIME_RT"),
    ("EVT_TRADE_TIME_RT",),
    ("RT_TIME_OF_TRADE",),
)
BID: Final = (("BID_UPDATE_STAMP_RT",),)
ASK: Final = (("ASK_UPDATE_STAMP_RT",),)


def of(
    content: Mapping[str, Any], stamps: Sequence[Sequence[str]], received_us: int, zone: datetime.tzinfo
) -> int | None:
    """The first of `stamps` that this message has; None if it has none that can be read. `zone` is that of a stamp
    that names none. A time without a date is the one nearest to when it was received, so none is a day off at midnight.
    """
    for names in stamps:
        parts = [content.get(name) for name in names]
        if all(isinstance(part, str) for part in parts):
            try:
                return _read([str(part) for part in parts], received_us, zone)
            except ValueError:
                continue
    return None


def _read(parts: list[str], received_us: int, zone: datetime.tzinfo) -> int:
    """ValueError if it is no stamp."""
    received = _EPOCH + received_us * _MICROSECOND
    if len(parts) == 1 and ("T" in parts[0] or " " in parts[0]):
        return _us(datetime.datetime.fromisoformat(parts[0]), zone)
    time = datetime.time.fromisoformat(parts[-1])
    here = time.tzinfo or zone
    # A date may come as a date-time at its midnight.
    date = datetime.datetime.fromisoformat(parts[0]).date() if len(parts) == 2 else received.astimezone(here).date()
    moment = datetime.datetime.combine(date, time.replace(tzinfo=None), here)
    if moment - received > _HALF_DAY:
        # Yesterday's; or the date is the exchange's and the time UTC's.
        moment -= _DAY
    elif len(parts) == 1 and received - moment > _HALF_DAY:
        moment += _DAY
    return _us(moment, zone)


def _us(moment: datetime.datetime, zone: datetime.tzinfo) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return (aware - _EPOCH) // _MICROSECOND
