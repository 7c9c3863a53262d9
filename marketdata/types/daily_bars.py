"""Daily candles as arrays. `close` is the regular close, `last` the last price of the day
(`marketdata.storage.tables`)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.types.tick_arrays import ABSENT, Int32, Int64


@dataclass(slots=True, kw_only=True)
class DailyBars:
    """One row per trading date of a symbol and feed. Prices in 1e-8, volumes in 1e-6; traded value = value +
    value_frac x 1e-14. `regular_*` are ABSENT on a day without a regular trade."""

    symbol: str
    feed: str
    trade_date: Int32
    open: Int64
    high: Int64
    low: Int64
    close: Int64
    last: Int64
    volume: Int64
    value: Int64
    value_frac: Int64
    n: Int64
    regular_open: Int64
    regular_high: Int64
    regular_low: Int64
    regular_volume: Int64

    def __len__(self) -> int:
        return len(self.trade_date)

    def take(self, chosen: npt.NDArray[Any] | slice) -> DailyBars:
        """The rows of a mask, of indices or of a slice, in that order."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})


COLUMNS = tuple(f.name for f in fields(DailyBars) if f.name not in ("symbol", "feed"))


def rows(bars: DailyBars) -> list[tuple[int, ...]]:
    """The inverse of `from_rows`; what is absent stays ABSENT."""
    return list(zip(*(getattr(bars, name).tolist() for name in COLUMNS), strict=True))


def from_rows(symbol: str, feed: str, rows: list[tuple[Any, ...]]) -> DailyBars:
    """Daily candles from rows in the columns' order; None is ABSENT."""
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
    arrays: dict[str, Any] = {
        name: np.array(
            [ABSENT if value is None else value for value in values], np.int32 if name == "trade_date" else np.int64
        )
        for name, values in zip(COLUMNS, columns, strict=True)
    }
    return DailyBars(symbol=symbol, feed=feed, **arrays)


def joined(parts: list[DailyBars]) -> DailyBars:
    """Daily candles after each other, as those of the first part's symbol; at least one part."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return replace(parts[0], **columns)
