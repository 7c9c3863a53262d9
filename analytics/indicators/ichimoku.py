"""Ichimoku Kinko Hyo. The span lines of a bar are those drawn there, which bars before it made; so no value knows of a
later bar. As in the original a count of bars includes the bar itself: a displacement of 26 is 25 bars on."""

from __future__ import annotations

import math

import numpy as np

from analytics.indicators import rolling
from analytics.indicators.rolling import Float64, Window

Lines = tuple[Float64, Float64, Float64, Float64, Float64]


def ichimoku(
    high: Float64, low: Float64, close: Float64, *, conversion: int, base: int, span: int, displacement: int
) -> Lines:
    """(tenkan, kijun, senkou A, senkou B, chikou). Chikou is the bar's own close, which is drawn displacement - 1 bars
    before it."""
    tenkan, kijun, middle = (_middle(high, low, period) for period in (conversion, base, span))
    ahead = displacement - 1
    return tenkan, kijun, _later((tenkan + kijun) / 2, ahead), _later(middle, ahead), close.copy()


def _middle(high: Float64, low: Float64, period: int) -> Float64:
    return (rolling.highest(high, period) + rolling.lowest(low, period)) / 2


def _later(values: Float64, bars: int) -> Float64:
    rows = len(values)
    return np.concatenate([rolling.nothing(min(bars, rows)), values[: max(rows - bars, 0)]])


class _Middle:
    def __init__(self, period: int) -> None:
        self._high, self._low = Window(period), Window(period)

    def next(self, high: float, low: float, keep: bool) -> float:
        highs, lows = self._high.next(high, keep), self._low.next(low, keep)
        return math.nan if highs is None or lows is None else (max(highs) + min(lows)) / 2


class Ichimoku:
    """`ichimoku` for the newest bar."""

    def __init__(self, *, conversion: int, base: int, span: int, displacement: int) -> None:
        self._tenkan, self._kijun, self._middle = _Middle(conversion), _Middle(base), _Middle(span)
        self._a, self._b = Window(displacement), Window(displacement)

    def next(self, high: float, low: float, close: float, keep: bool) -> tuple[float, float, float, float, float]:
        """The lines at this bar, which with `keep` is final."""
        tenkan, kijun, middle = (one.next(high, low, keep) for one in (self._tenkan, self._kijun, self._middle))
        a, b = self._a.next((tenkan + kijun) / 2, keep), self._b.next(middle, keep)
        return tenkan, kijun, a[0] if a is not None else math.nan, b[0] if b is not None else math.nan, close
