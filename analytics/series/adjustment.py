"""Candles adjusted for corporate actions, exactly. Pure; which factors there are, `factors` reads.

A candle of a trading date before a factor's ex-date has its prices multiplied by the factor's price ratio and its
volume by the size ratio, those of several factors multiplied before anything is rounded: prices to 1e-8, volumes to
1e-6, traded values to 1e-14, each half up. Minute and daily candles are adjusted first and wider ones made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT, Int64

_PRICES = ("open", "high", "low", "close", "last", "regular_open", "regular_high", "regular_low")
_SIZES = ("volume", "regular_volume")
_SAFE = 2**62
Candles = TypeVar("Candles", Bars, DailyBars)


@dataclass(frozen=True, slots=True)
class Factor:
    """What prices and sizes of trading dates before `ex_day` (days since 1970-01-01) are multiplied by."""

    ex_day: int
    price: Fraction
    size: Fraction


def adjusted(bars: Candles, factors: Sequence[Factor]) -> Candles:
    """The candles as if all factors had always been in force; the given ones when no factor concerns them."""
    if not len(bars) or not any(factor.ex_day > int(bars.trade_date.min()) for factor in factors):
        return bars
    names: list[str] = [name for name in (*_PRICES, *_SIZES) if hasattr(bars, name)]
    columns: dict[str, Any] = {name: getattr(bars, name).copy() for name in (*names, "value", "value_frac")}
    price, size, end = Fraction(1), Fraction(1), np.iinfo(np.int64).max
    for factor in (*sorted(factors, key=lambda one: -one.ex_day), Factor(np.iinfo(np.int64).min, price, size)):
        chosen = np.flatnonzero((bars.trade_date >= factor.ex_day) & (bars.trade_date < end))
        if len(chosen):
            for name in names:
                columns[name][chosen] = _times(columns[name][chosen], price if name in _PRICES else size)
            value, part = columns["value"][chosen], columns["value_frac"][chosen]
            columns["value"][chosen], columns["value_frac"][chosen] = _value(value, part, price * size)
        price, size, end = price * factor.price, size * factor.size, factor.ex_day
    return replace(bars, **columns)


def of_newest(days: DailyBars, factors: Sequence[Factor]) -> DailyBars:
    """These days, newest first, as the newest of them sees them: adjusted for the factors that are in force on it, so
    that it is what was traded."""
    if not len(days):
        return days
    newest = int(days.trade_date[0])
    return adjusted(days, [factor for factor in factors if factor.ex_day <= newest])


def close_before(days: DailyBars, factors: Sequence[Factor]) -> int | None:
    """What the newest of these days, newest first, is to be compared with: the close of the one before, in 1e-8,
    adjusted for the factors that are in force on the newest. None if there is no day before."""
    return int(of_newest(days, factors).close[1]) if len(days) > 1 else None


def _times(values: Int64, ratio: Fraction) -> Int64:
    """Rounded half up; what is absent stays so, and what would be beyond MOST stays there."""
    if ratio == 1:
        return values
    over, under = ratio.numerator, ratio.denominator
    given = values != ABSENT
    largest = int(np.abs(np.where(given, values, 0)).max())
    if (2 * largest * over + under) < _SAFE and over < _SAFE and under < _SAFE // 2:
        return np.where(given, (2 * np.where(given, values, 0) * over + under) // (2 * under), ABSENT)
    return np.array([_bounded(_half_up(one * over, under)) if one != ABSENT else ABSENT for one in values.tolist()])


def _value(values: Int64, parts: Int64, ratio: Fraction) -> tuple[Int64, Int64]:
    if ratio == 1:
        return values, parts
    exact = [
        _half_up((value * VALUE_UNIT + part) * ratio.numerator, ratio.denominator)
        for value, part in zip(values.tolist(), parts.tolist(), strict=True)
    ]
    wholes = [_bounded(one // VALUE_UNIT) for one in exact]
    return np.array(wholes, np.int64), np.array([one % VALUE_UNIT for one in exact], np.int64)


def _half_up(over: int, under: int) -> int:
    return (2 * over + under) // (2 * under)


def _bounded(value: int) -> int:
    return min(max(value, -MOST), MOST)
