"""Moving averages: simple, exponential and weighted. As in TA-Lib (SMA, EMA, WMA); the exponential one begins with the
simple average of its first `period` values."""

from __future__ import annotations

import math

import numpy as np

from analytics.indicators import rolling
from analytics.indicators.rolling import Columns, Float64, Smoothing, Window


def weight_of(period: int) -> float:
    """Of the newest value in an exponential average."""
    return 2 / (period + 1)


def sma(values: Float64, *, period: int) -> Float64:
    """The mean of the newest `period` values."""
    return rolling.sums(values, period) / period


def ema(values: Float64, *, period: int) -> Float64:
    """The exponential average, whose newest value weighs 2 / (period + 1)."""
    return rolling.smoothed(values, period, weight_of(period))


def wma(values: Float64, *, period: int) -> Float64:
    """The mean of the newest `period` values with weights 1 (the oldest) to `period`."""
    sums = rolling.windows((values, values), period, _weighted)[1]
    return rolling.behind(sums, len(values)) / (period * (period + 1) / 2)


def _weighted(left: Columns, size: int, right: Columns, _right_size: int) -> Columns:
    """Sums and weighted sums; the right values weigh `size` more than in a window of their own."""
    return left[0] + right[0], left[1] + right[1] + size * right[0]


class Sma:
    """`sma` for the newest value."""

    def __init__(self, *, period: int) -> None:
        self._window, self._period = Window(period), period

    def next(self, value: float, keep: bool) -> tuple[float]:
        """The average that ends with this value, which with `keep` is final."""
        window = self._window.next(value, keep)
        return (math.nan if window is None else math.fsum(window) / self._period,)


class Ema:
    """`ema` for the newest value."""

    def __init__(self, *, period: int) -> None:
        self._smoothing = Smoothing(period, weight_of(period))

    def next(self, value: float, keep: bool) -> tuple[float]:
        """The average that ends with this value, which with `keep` is final."""
        return (self._smoothing.next(value, keep),)


class Wma:
    """`wma` for the newest value."""

    def __init__(self, *, period: int) -> None:
        self._window, self._weights = Window(period), np.arange(1, period + 1) / (period * (period + 1) / 2)

    def next(self, value: float, keep: bool) -> tuple[float]:
        """The average that ends with this value, which with `keep` is final."""
        window = self._window.next(value, keep)
        return (math.nan if window is None else float(self._weights @ np.array(window)),)
