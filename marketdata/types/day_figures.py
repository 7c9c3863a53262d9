"""What a polled snapshot tells of a symbol's day beside its price, as arrays of the same length as its ticks; see
`marketdata.types.tick_arrays` for units and for what is absent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from terminals import wire

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

RATE_SCALE = wire.PRICE_SCALE
"""Decimal places of a change rate, which is in per cent."""
DAY_VALUE_SCALE = 2
"""Decimal places of the value that was traded on a day: with more, that of a whole market would not fit."""
DAY_PRICES = ("open", "high", "low", "prev_close", "upper_limit", "lower_limit")
DAY_SCALES = {
    **dict.fromkeys(DAY_PRICES, wire.PRICE_SCALE),
    "change_rate": RATE_SCALE,
    "cum_value": DAY_VALUE_SCALE,
}
"""The figures of a day in the order of the wire's columns, and their decimal places."""


@dataclass(slots=True, kw_only=True)
class DayFigures:
    """`len(figures)` rows: prices in 1e-8, `change_rate` in 1e-8 per cent, `cum_value` in 1e-2 of the currency."""

    open: Int64
    high: Int64
    low: Int64
    prev_close: Int64
    upper_limit: Int64
    lower_limit: Int64
    change_rate: Int64
    cum_value: Int64

    def __len__(self) -> int:
        return len(self.open)

    def take(self, chosen: npt.NDArray[Any] | slice) -> DayFigures:
        """The rows of a mask, of indices or of a slice."""
        return DayFigures(**{name: getattr(self, name)[chosen] for name in DAY_SCALES})

    def given(self) -> Mask:
        """Which rows have any figure at all."""
        found = np.zeros(len(self), np.bool_)
        for name in DAY_SCALES:
            found |= getattr(self, name) != wire.ABSENT
        return found


def absent(rows: int) -> DayFigures:
    """`rows` rows in which nothing is given."""
    return DayFigures(**{name: np.full(rows, wire.ABSENT, np.int64) for name in DAY_SCALES})


def concatenate(parts: Iterable[tuple[DayFigures | None, int]]) -> DayFigures | None:
    """The figures of parts of so many rows after each other; None if no part has any."""
    parts = list(parts)
    if all(part is None for part, _ in parts):
        return None
    whole = [absent(rows) if part is None else part for part, rows in parts]
    return DayFigures(**{name: np.concatenate([getattr(part, name) for part in whole]) for name in DAY_SCALES})
