"""What the tables of every database have in common: a tick's nullable columns, dates and times as text, and rows that
become arrays."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from marketdata.types import tick_arrays
from marketdata.types.day_figures import DAY_SCALES
from marketdata.types.tick_arrays import NO_DATE, PRICE_UNIT, SIZE_UNIT, Int64, Ticks
from marketdata.types.units import DAY_US, EPOCH_DATE, date_of

UNITS = {
    "price": PRICE_UNIT,
    "size": SIZE_UNIT,
    "seq": 1,
    "bid": PRICE_UNIT,
    "ask": PRICE_UNIT,
    "bid_size": SIZE_UNIT,
    "ask_size": SIZE_UNIT,
    "cum_volume": SIZE_UNIT,
}
"""The nullable columns of a tick, and how many of the arrays' integers make one of the table's unit."""
TICK_NAMES = ("time_us", "kind", "side", *UNITS, "trade_date", "tick_id", "source")
"""What every database is asked of a tick, in this order."""
PRICE_COLUMNS = {
    "current_price": "price",
    "open_price": "open",
    "high_price": "high",
    "low_price": "low",
    "prev_close": "prev_close",
    "change_rate": "change_rate",
    "volume": "cum_volume",
    "value": "cum_value",
    "upper_limit": "upper_limit",
    "lower_limit": "lower_limit",
    "bid": "bid",
    "ask": "ask",
}
"""The numbers of stock_prices, and what they are called in arrays."""
PRICE_UNITS = {
    column: 10 ** DAY_SCALES[name] if name in DAY_SCALES else UNITS[name] for column, name in PRICE_COLUMNS.items()
}
"""How many of the arrays' integers make one of the table's unit."""
# What DATETIME can hold; a question may reach further.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def moments(times_us: Int64) -> list[str]:
    """UTC microseconds as ISO 8601 without a zone, microseconds included."""
    texts: list[str] = np.datetime_as_string(times_us.astype("datetime64[us]")).tolist()
    return texts


def moment(time_us: int) -> str:
    """One time as `moments` writes it, the nearest that every database can hold."""
    return str(np.datetime_as_string(np.datetime64(min(max(time_us, _FIRST_US), _LAST_US), "us")))


@lru_cache(maxsize=1000)
def date_text(days: int) -> str:
    """Days since 1970 as YYYY-MM-DD."""
    return (date_of(days)).isoformat()


def nearby(time_us: int, days: int) -> datetime.date:
    """The UTC date of a time, moved by so many days, the nearest there is."""
    day = EPOCH_DATE.toordinal() + time_us // DAY_US + days
    return datetime.date.fromordinal(min(max(day, 1), datetime.date.max.toordinal()))


def price_columns(ticks: Ticks) -> Iterator[tuple[str, Int64, int]]:
    """The numbers of stock_prices of snapshots that have day figures: column, values and unit."""
    for column, name in PRICE_COLUMNS.items():
        yield column, getattr(ticks.day if name in DAY_SCALES else ticks, name), PRICE_UNITS[column]


def ticks_from_rows(feed: str, symbol: str, rows: list[tuple[Any, ...]]) -> Ticks:
    """Ticks of one symbol from rows (time, kind, side, the eight nullable values, trade_date, tick_id, source)."""
    ticks = tick_arrays.empty(feed, int(rows[0][-1]) if rows else 0, len(rows), [symbol])
    ticks.symbol[:] = 0
    for name, values in zip(TICK_NAMES[:-1], zip(*rows, strict=True), strict=False):
        getattr(ticks, name)[:] = [NO_DATE if value is None else value for value in values]
    return ticks


def chosen_ticks(feed: str, symbol: str, rows: list[tuple[int, ...]], names: Sequence[str]) -> Ticks:
    """Ticks of one symbol from rows of these columns alone; nothing is given in the others, and no source."""
    count = len(rows)
    numbers = np.fromiter(chain.from_iterable(rows), np.int64, count * len(names)).reshape(count, len(names))
    columns: dict[str, Any] = tick_arrays.nothing(count) | {"symbol": np.zeros(count, np.int32)}
    for name, values in zip(names, np.ascontiguousarray(numbers.T), strict=True):
        columns[name] = values.astype(tick_arrays.DTYPES.get(name, np.int64), copy=False)
    return Ticks(feed=feed, source_id=0, symbols=[symbol], **columns)
