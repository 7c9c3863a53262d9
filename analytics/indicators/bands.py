"""Bollinger bands: a simple average, and so many standard deviations (of the population) beside it, as in TA-Lib
(BBANDS)."""

from __future__ import annotations

import math

import numpy as np

from analytics.indicators import rolling
from analytics.indicators.rolling import Columns, Float64, Window


def bollinger(close: Float64, *, period: int, deviations: float) -> tuple[Float64, Float64, Float64]:
    """(upper, middle, lower). Prices that do not move have a deviation of exactly 0."""
    middle, squares = rolling.windows((close, np.zeros(len(close))), period, _moments)
    middle = rolling.behind(middle, len(close))
    width = deviations * np.sqrt(rolling.behind(squares, len(close)) / period)
    return middle + width, middle, middle - width


def _moments(left: Columns, left_size: int, right: Columns, right_size: int) -> Columns:
    """Means and sums of squared distances from them (Chan, Golub and LeVeque, 1979): nothing large is subtracted from
    something as large, as it would be with sums of squares."""
    apart, size = right[0] - left[0], left_size + right_size
    squares = left[1] + right[1] + apart * apart * (left_size * right_size / size)
    return left[0] + apart * (right_size / size), squares


class Bollinger:
    """`bollinger` for the newest value."""

    def __init__(self, *, period: int, deviations: float) -> None:
        self._window, self._period, self._deviations = Window(period), period, deviations

    def next(self, close: float, keep: bool) -> tuple[float, float, float]:
        """The bands of the window that ends with this close, which with `keep` is final."""
        window = self._window.next(close, keep)
        if window is None:
            return math.nan, math.nan, math.nan
        # From the first value on, so that the mean of equal values is theirs.
        middle = window[0] + math.fsum(value - window[0] for value in window) / self._period
        squares = math.fsum((value - middle) ** 2 for value in window)
        width = self._deviations * math.sqrt(squares / self._period)
        return middle + width, middle, middle - width
