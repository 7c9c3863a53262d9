"""Ticks as PostgreSQL's COPY reads them in binary: whole columns become bytes at once, and no number becomes text.

What no row has is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.storage.rows import UNITS, price_columns
from marketdata.types.categories import UNKNOWN
from marketdata.types.tick_arrays import ABSENT, Int64, Mask, Ticks, UInt8

KINDS = ("", "trade", "quote", "snapshot", "expected", "book", "status")
SIDES = ("", "buy", "sell")
_BEGIN, _END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"
_EPOCH_US, _EPOCH_DAYS = 946_684_800_000_000, 10_957  # PostgreSQL counts from 2000
_DIGITS = 5  # of base 10,000: 20 decimal ones, and a DECIMAL(18, x) has 18
_NEGATIVE = 0x4000
_NOTHING = b"\xff\xff\xff\xff"


class CopyRows:
    """The input of one COPY: `columns` in the order of `data`."""

    def __init__(self, ticks: Ticks) -> None:
        self._rows = len(ticks)
        self._parts: list[UInt8] = []
        self._kept: list[Mask] = []
        self.columns: list[str] = []
        self._describe(ticks)
        count = np.full(self._rows, len(self.columns), ">i2").view(np.uint8).reshape(self._rows, 2)
        whole = np.hstack([count, *self._parts])
        kept = np.hstack([np.ones(count.shape, np.bool_), *self._kept])
        self.data = _BEGIN + whole[kept].tobytes() + _END

    def _describe(self, ticks: Ticks) -> None:
        self._describe_key(ticks, "event_time")
        self._words("kind", list(KINDS), ticks.kind)
        self._words("side", list(SIDES), ticks.side, absent=ticks.side == 0)
        self._numbers((name, getattr(ticks, name), unit) for name, unit in UNITS.items())

    def _describe_key(self, ticks: Ticks, time_column: str) -> None:
        self._words("symbol", [*ticks.symbols, ""], ticks.symbol)
        self._fixed(time_column, (ticks.time_us - _EPOCH_US).astype(">i8"))
        self._fixed("tick_id", ticks.tick_id.astype(">i8"))
        self._fixed("trade_date", (ticks.trade_date - _EPOCH_DAYS).astype(">i4"))
        self._words("feed", [ticks.feed], np.zeros(self._rows, np.int64))
        self._fixed("source", np.full(self._rows, ticks.source_id, ">i2"))

    def _numbers(self, columns: Iterable[tuple[str, Int64, int]]) -> None:
        for name, values, unit in columns:
            absent = values == ABSENT
            if unit == 1:
                self._fixed(name, values.astype(">i8"), absent)
            else:
                self._fixed(name, _numeric(np.where(absent, 0, values), unit), absent)

    def _fixed(self, column: str, values: npt.NDArray[Any], absent: Mask | None = None) -> None:
        """A value of the same length in every row; `values` is big-endian, one or two dimensions."""
        width = values.dtype.itemsize * (values.shape[1] if values.ndim == 2 else 1)
        data = np.ascontiguousarray(values).view(np.uint8).reshape(self._rows, width)
        self._add(column, data, np.full(self._rows, width, np.int64), absent)

    def _words(self, column: str, words: list[str], chosen: npt.NDArray[Any], absent: Mask | None = None) -> None:
        texts = [word.encode() for word in words]
        widest = max(1, *map(len, texts))
        table = np.frombuffer(b"".join(text.ljust(widest) for text in texts), np.uint8).reshape(len(texts), widest)
        lengths = np.array([len(text) for text in texts], np.int64)
        self._add(column, table[chosen], lengths[chosen], absent)

    def _add(self, column: str, data: UInt8, lengths: Int64, absent: Mask | None) -> None:
        if absent is not None and absent.all():
            return  # the column's default is NULL
        prefix = lengths.astype(">i4").view(np.uint8).reshape(self._rows, 4)
        kept = np.arange(data.shape[1]) < lengths[:, None]
        if absent is not None:
            prefix[absent] = np.frombuffer(_NOTHING, np.uint8)
            kept[absent] = False
        self.columns.append(column)
        self._parts += [prefix, data]
        self._kept += [np.ones(prefix.shape, np.bool_), kept]


class CopyPrices(CopyRows):
    """The same of snapshots that have day figures, for stock_prices; `categories` by symbol."""

    def __init__(self, ticks: Ticks, categories: Mapping[str, str]) -> None:
        self._categories = categories
        super().__init__(ticks)

    def _describe(self, ticks: Ticks) -> None:
        self._describe_key(ticks, '"timestamp"')
        self._words("category", [*(self._categories.get(one, UNKNOWN) for one in ticks.symbols), UNKNOWN], ticks.symbol)
        self._numbers(price_columns(ticks))


def _numeric(values: Int64, unit: int) -> npt.NDArray[Any]:
    """Scaled integers as PostgreSQL's numeric: how many digits, the weight of the first, sign, scale, then digits of
    base 10,000. It strips the leading zeros itself."""
    fraction = len(str(unit)) - 1
    groups = -(-fraction // 4)  # of base 10,000 behind the point; the last may have fewer decimal digits
    made = np.empty((len(values), 4 + _DIGITS), ">u2")
    made[:, 0] = _DIGITS
    made[:, 1] = _DIGITS - groups - 1
    made[:, 2] = np.where(values < 0, _NEGATIVE, 0)
    made[:, 3] = fraction
    short = 10 ** (groups * 4 - fraction)
    left, last = np.divmod(np.abs(values), 10_000 // short)
    made[:, 3 + _DIGITS] = last * short
    for place in range(2 + _DIGITS, 3, -1):
        left, made[:, place] = np.divmod(left, 10_000)
    return made
