"""Oscillators of prices: RSI, MACD, Stochastic and CCI, as in TA-Lib (RSI, MACD, STOCH, CCI). Where a price did not
move within the window there is nothing to relate it to, and the value is NaN; TA-Lib says 0."""

from __future__ import annotations

import math

import numpy as np

from analytics.indicators import averages, rolling
from analytics.indicators.rolling import Float64, Smoothing, Window

CCI_SCALE = 0.015  # Lambert's: with it 70 to 80 % of all values lie between -100 and 100


def ratio(part: Float64, whole: Float64) -> Float64:
    """part / whole, NaN where the whole is 0."""
    made = rolling.nothing(len(whole))
    np.divide(part, whole, out=made, where=whole != 0)
    return made


def rsi(close: Float64, *, period: int) -> Float64:
    """Wilder's relative strength index: 100 x average gain / (average gain + average loss)."""
    change = np.diff(close)
    gain = rolling.smoothed(np.maximum(change, 0.0), period, 1 / period)
    loss = rolling.smoothed(np.maximum(-change, 0.0), period, 1 / period)
    return rolling.behind(100 * ratio(gain, gain + loss), len(close))


class Rsi:
    """`rsi` for the newest value."""

    def __init__(self, *, period: int) -> None:
        self._gain, self._loss = Smoothing(period, 1 / period), Smoothing(period, 1 / period)
        self._close = math.nan

    def next(self, close: float, keep: bool) -> tuple[float]:
        """The index at this close, which with `keep` is final."""
        change = close - self._close
        if keep:
            self._close = close
        if math.isnan(change):
            return (math.nan,)
        gain, loss = self._gain.next(max(change, 0.0), keep), self._loss.next(max(-change, 0.0), keep)
        return (100 * gain / (gain + loss) if gain + loss else math.nan,)


def macd(close: Float64, *, fast: int, slow: int, signal: int) -> tuple[Float64, Float64, Float64]:
    """(fast less slow exponential average, its exponential average, their difference). Both averages begin at the row
    where the slow one can."""
    fast_average = rolling.behind(averages.ema(close[slow - fast :], period=fast), len(close))
    line = fast_average - averages.ema(close, period=slow)
    smooth = averages.ema(line, period=signal)
    return line, smooth, line - smooth


class Macd:
    """`macd` for the newest value."""

    def __init__(self, *, fast: int, slow: int, signal: int) -> None:
        self._fast = Smoothing(fast, averages.weight_of(fast))
        self._slow = Smoothing(slow, averages.weight_of(slow))
        self._signal = Smoothing(signal, averages.weight_of(signal))
        self._skipped = slow - fast  # rows that the fast average begins later

    def next(self, close: float, keep: bool) -> tuple[float, float, float]:
        """The lines at this close, which with `keep` is final."""
        slow = self._slow.next(close, keep)
        fast = math.nan if self._skipped else self._fast.next(close, keep)
        if keep:
            self._skipped = max(self._skipped - 1, 0)
        line = fast - slow
        smooth = self._signal.next(line, keep)
        return line, smooth, line - smooth


def stochastic(
    high: Float64, low: Float64, close: Float64, *, period: int, smooth: int, signal: int
) -> tuple[Float64, Float64]:
    """(%K, %D): where the close lies between the lowest low and the highest high of `period` bars, in per cent,
    averaged over `smooth`; and that averaged over `signal`."""
    bottom, top = rolling.lowest(low, period), rolling.highest(high, period)
    k = averages.sma(100 * ratio(close - bottom, top - bottom), period=smooth)
    return k, averages.sma(k, period=signal)


class Stochastic:
    """`stochastic` for the newest bar."""

    def __init__(self, *, period: int, smooth: int, signal: int) -> None:
        self._high, self._low = Window(period), Window(period)
        self._k, self._d = averages.Sma(period=smooth), averages.Sma(period=signal)

    def next(self, high: float, low: float, close: float, keep: bool) -> tuple[float, float]:
        """%K and %D at this bar, which with `keep` is final."""
        highs, lows = self._high.next(high, keep), self._low.next(low, keep)
        raw = math.nan
        if highs is not None and lows is not None:
            bottom, top = min(lows), max(highs)
            raw = 100 * (close - bottom) / (top - bottom) if top != bottom else math.nan
        (k,) = self._k.next(raw, keep)
        return k, self._d.next(k, keep)[0]


def cci(high: Float64, low: Float64, close: Float64, *, period: int) -> Float64:
    """Lambert's commodity channel index: the typical price's distance from its average, over CCI_SCALE times the mean
    distance of the window's. O(rows x period): the distances are from another average in each window."""
    price = (high + low + close) / 3
    found = rolling.nothing(len(price))
    means = averages.sma(price, period=period)
    moves = rolling.highest(price, period) != rolling.lowest(price, period)
    for start in range(period - 1, len(price), rolling.CHUNK):
        end = min(start + rolling.CHUNK, len(price))
        distance, mean = np.zeros(end - start), means[start:end]
        for back in range(period):
            distance += np.abs(price[start - back : end - back] - mean)
        scaled = np.where(moves[start:end], CCI_SCALE / period * distance, 0.0)
        found[start:end] = ratio(price[start:end] - mean, scaled)
    return found


class Cci:
    """`cci` for the newest bar."""

    def __init__(self, *, period: int) -> None:
        self._window, self._period = Window(period), period

    def next(self, high: float, low: float, close: float, keep: bool) -> tuple[float]:
        """The index at this bar, which with `keep` is final."""
        price = (high + low + close) / 3
        window = self._window.next(price, keep)
        if window is None or min(window) == max(window):
            return (math.nan,)
        mean = math.fsum(window) / self._period
        distance = math.fsum(abs(value - mean) for value in window)
        return ((price - mean) / (CCI_SCALE / self._period * distance),)
