"""Indicators of what changed hands: OBV, VWAP with bands, and MFI. OBV and MFI as in TA-Lib.

What adds up since some bar begins anew with each `anchor`, a number that tells which trading date (or year) a bar
belongs to: otherwise every value would depend on where reading began.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from analytics.indicators import rolling
from analytics.indicators.oscillators import ratio
from analytics.indicators.rolling import Float64, Window

Int64 = npt.NDArray[np.int64]


def _stretches(anchor: Int64) -> Iterator[slice]:
    """The rows of each anchor, which lie beside each other."""
    if not len(anchor):
        return
    bounds = [0, *(np.flatnonzero(anchor[1:] != anchor[:-1]) + 1).tolist(), len(anchor)]
    for start, end in itertools.pairwise(bounds):
        yield slice(start, end)


def obv(close: Float64, volume: Float64, anchor: Int64) -> Float64:
    """Granville's on-balance volume: volumes of bars that closed higher less those that closed lower than the one
    before. It begins with the volume of the anchor's first bar, as TA-Lib's does."""
    signed = np.sign(np.diff(close, prepend=close[:1])) * volume
    found = np.empty(len(close))
    for rows in _stretches(anchor):
        signed[rows.start] = volume[rows.start]
        found[rows] = np.cumsum(signed[rows])
    return found


class Obv:
    """`obv` for the newest bar."""

    def __init__(self) -> None:
        self._anchor, self._close, self._total = math.nan, 0.0, 0.0

    def next(self, close: float, volume: float, anchor: float, keep: bool) -> tuple[float]:
        """The sum at this bar, which with `keep` is final."""
        total = volume
        if anchor == self._anchor:
            total = self._total + float(np.sign(close - self._close)) * volume
        if keep:
            self._anchor, self._close, self._total = anchor, close, total
        return (total,)


def vwap(price: Float64, volume: Float64, anchor: Int64, *, deviations: float) -> tuple[Float64, Float64, Float64]:
    """(upper band, average, lower band): the mean of bars' average prices since the anchor's first bar, each weighing
    its volume, and so many weighted standard deviations beside it. NaN until something with a size changed hands."""
    average, width = rolling.nothing(len(price)), rolling.nothing(len(price))
    for rows in _stretches(anchor):
        origin = price[rows.start]  # distances from the first price are small, so their squares lose nothing
        apart, weight = price[rows] - origin, volume[rows]
        total = np.cumsum(weight)
        mean = ratio(np.cumsum(weight * apart), total)
        squares = ratio(np.cumsum(weight * apart * apart), total)
        average[rows] = origin + mean
        width[rows] = deviations * np.sqrt(np.maximum(squares - mean * mean, 0.0))
    return average + width, average, average - width


class Vwap:
    """`vwap` for the newest bar."""

    def __init__(self, *, deviations: float) -> None:
        self._deviations, self._anchor, self._origin = deviations, math.nan, 0.0
        self._sums = 0.0, 0.0, 0.0

    def next(self, price: float, volume: float, anchor: float, keep: bool) -> tuple[float, float, float]:
        """The lines at this bar, which with `keep` is final."""
        origin, sums = (self._origin, self._sums) if anchor == self._anchor else (price, (0.0, 0.0, 0.0))
        apart = price - origin
        total = sums[0] + volume
        first, second = sums[1] + volume * apart, sums[2] + volume * apart * apart
        if keep:
            self._anchor, self._origin, self._sums = anchor, origin, (total, first, second)
        if not total:
            return math.nan, math.nan, math.nan
        mean = first / total
        width = self._deviations * math.sqrt(max(second / total - mean * mean, 0.0))
        return origin + mean + width, origin + mean, origin + mean - width


def mfi(high: Float64, low: Float64, close: Float64, volume: Float64, *, period: int) -> Float64:
    """The money flow index: of typical price x volume over `period` changes, the part of those in which the typical
    price rose, in per cent of those in which it rose or fell. NaN where it did neither; TA-Lib says 0."""
    price = (high + low + close) / 3
    change, flow = np.diff(price), (price * volume)[1:]
    rises = rolling.sums(np.where(change > 0, flow, 0.0), period)
    falls = rolling.sums(np.where(change < 0, flow, 0.0), period)
    return rolling.behind(100 * ratio(rises, rises + falls), len(close))


class Mfi:
    """`mfi` for the newest bar."""

    def __init__(self, *, period: int) -> None:
        self._rises, self._falls, self._price = Window(period), Window(period), math.nan

    def next(self, high: float, low: float, close: float, volume: float, keep: bool) -> tuple[float]:
        """The index at this bar, which with `keep` is final."""
        price = (high + low + close) / 3
        change = price - self._price
        if keep:
            self._price = price
        if math.isnan(change):
            return (math.nan,)
        rises = self._rises.next(price * volume if change > 0 else 0.0, keep)
        falls = self._falls.next(price * volume if change < 0 else 0.0, keep)
        if rises is None or falls is None:
            return (math.nan,)
        total = math.fsum(rises) + math.fsum(falls)
        return (100 * math.fsum(rises) / total if total else math.nan,)
