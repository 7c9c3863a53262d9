"""Wilder's average true range and directional movement, as in TA-Lib (ATR, PLUS_DI, MINUS_DI, ADX)."""

from __future__ import annotations

import math

import numpy as np

from analytics.indicators import rolling
from analytics.indicators.rolling import Float64, Smoothing


def _true_range(high: Float64, low: Float64, close: Float64) -> Float64:
    """From the second bar on: of the bar's range and the distances of its ends from the close before, the largest."""
    return np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])


def atr(high: Float64, low: Float64, close: Float64, *, period: int) -> Float64:
    """The true range, smoothed by Wilder's average."""
    return rolling.behind(rolling.smoothed(_true_range(high, low, close), period, 1 / period), len(close))


class Atr:
    """`atr` for the newest bar."""

    def __init__(self, *, period: int) -> None:
        self._smoothing, self._close = Smoothing(period, 1 / period), math.nan

    def next(self, high: float, low: float, close: float, keep: bool) -> tuple[float]:
        """The range at this bar, which with `keep` is final."""
        before = self._close
        if keep:
            self._close = close
        if math.isnan(before):
            return (math.nan,)
        return (self._smoothing.next(max(high, before) - min(low, before), keep),)


def adx(high: Float64, low: Float64, close: Float64, *, period: int) -> tuple[Float64, Float64, Float64]:
    """(ADX, +DI, -DI). Bars without any range have a directional movement of 0."""
    rows = len(close)
    up, down = np.diff(high), -np.diff(low)
    rises = _summed(np.where((up > down) & (up > 0), up, 0.0), period)
    falls = _summed(np.where((down > up) & (down > 0), down, 0.0), period)
    ranges = _summed(_true_range(high, low, close), period)
    plus, minus = _per_cent(rises, ranges), _per_cent(falls, ranges)
    strength = rolling.smoothed(_per_cent(np.abs(plus - minus), plus + minus), period, 1 / period)
    return rolling.behind(strength, rows), rolling.behind(plus, rows), rolling.behind(minus, rows)


def _summed(values: Float64, period: int) -> Float64:
    """Wilder's running sum, from row period - 1 on: what it was, less its `period`th part, and the new value. As in
    TA-Lib it begins with the plain sum of period - 1 values."""
    if len(values) < period:
        return rolling.nothing(len(values))
    begun = math.fsum(values[: period - 1].tolist())
    return rolling.behind(rolling.recurrence(values[period - 1 :], 1 - 1 / period, 1.0, begun), len(values))


def _per_cent(part: Float64, whole: Float64) -> Float64:
    """NaN where either is, and 0 where the whole is 0."""
    made = np.where(np.isnan(whole), np.nan, 0.0)
    np.divide(100 * part, whole, out=made, where=whole > 0)
    return made


class _Sum:
    """`_summed` for the newest value."""

    def __init__(self, period: int) -> None:
        self._period, self._seen, self._value = period, 0, 0.0

    def next(self, value: float, keep: bool) -> float:
        begun = self._seen >= self._period - 1
        made = self._value - self._value / self._period + value if begun else self._value + value
        if keep:
            self._value, self._seen = made, self._seen + 1
        return made if begun else math.nan


class Adx:
    """`adx` for the newest bar."""

    def __init__(self, *, period: int) -> None:
        self._rises, self._falls, self._ranges = _Sum(period), _Sum(period), _Sum(period)
        self._strength = Smoothing(period, 1 / period)
        self._before: tuple[float, float, float] | None = None

    def next(self, high: float, low: float, close: float, keep: bool) -> tuple[float, float, float]:
        """The lines at this bar, which with `keep` is final."""
        before = self._before
        if keep:
            self._before = high, low, close
        if before is None:
            return math.nan, math.nan, math.nan
        up, down = high - before[0], before[1] - low
        rises = self._rises.next(up if up > down and up > 0 else 0.0, keep)
        falls = self._falls.next(down if down > up and down > 0 else 0.0, keep)
        ranges = self._ranges.next(max(high, before[2]) - min(low, before[2]), keep)
        plus, minus = _share(rises, ranges), _share(falls, ranges)
        return self._strength.next(_share(abs(plus - minus), plus + minus), keep), plus, minus


def _share(part: float, whole: float) -> float:
    """As `_per_cent`, of one."""
    if math.isnan(whole):
        return math.nan
    return 100 * part / whole if whole > 0 else 0.0
