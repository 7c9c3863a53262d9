"""Returns and realised volatility of daily candles, rolling. Prices are floats, oldest first; what cannot be told is
NaN: the first values, where history is short, and wherever a price is not positive. Pure.

A year has `DAYS_A_YEAR` trading days by the convention of the field; the KRX had 242 to 248 in each of the last ten.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
DAYS_A_YEAR = 252


def log_returns(close: Floats, days: int = 1) -> Floats:
    """ln(close / close `days` before), as long as `close`; NaN in its first `days`."""
    found = np.full(len(close), np.nan)
    logs = _log(close)
    found[days:] = logs[days:] - logs[: max(len(logs) - days, 0)]
    return found


def close_to_close(close: Floats, window: int) -> Floats:
    """The annualised standard deviation of the last `window` daily logarithmic returns, of the sample (n - 1). J. Hull,
    "Options, Futures, and Other Derivatives", "Estimating volatility from historical data"."""
    found = np.full(len(close), np.nan)
    if len(close) > window:
        found[window:] = np.std(_windows(log_returns(close)[1:], window), axis=1, ddof=1)
    return found * math.sqrt(DAYS_A_YEAR)


def parkinson(high: Floats, low: Floats, window: int) -> Floats:
    """The annualised volatility as the ranges of the last `window` days tell it: sqrt(mean(ln(high / low)^2) / (4 ln
    2)). M. Parkinson, Journal of Business 53 (1980)."""
    return _rolled((_log(high) - _log(low)) ** 2 / (4 * np.log(2)), window)


def garman_klass(open_: Floats, high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """The annualised volatility by open, high, low and close of the last `window` days: sqrt(mean(ln(high / low)^2 / 2
    - (2 ln 2 - 1) ln(close / open)^2)). M. Garman and M. Klass, Journal of Business 53 (1980)."""
    ranges, moves = _log(high) - _log(low), _log(close) - _log(open_)
    return _rolled(ranges**2 / 2 - (2 * np.log(2) - 1) * moves**2, window)


def realised(close: Floats) -> float:
    """Of closes within one day: the root of the sum of their squared logarithmic returns, of that day and not
    annualised."""
    moves = log_returns(close)[1:]
    return float(np.sqrt(np.sum(moves**2))) if len(moves) else float("nan")


def _rolled(variances: Floats, window: int) -> Floats:
    found = np.full(len(variances), np.nan)
    if len(variances) >= window:
        found[window - 1 :] = np.sqrt(np.maximum(_windows(variances, window).mean(axis=1), 0) * DAYS_A_YEAR)
    return found


def _windows(values: Floats, window: int) -> Floats:
    found: Floats = np.lib.stride_tricks.sliding_window_view(values, window)
    return found


def _log(prices: Floats) -> Floats:
    return np.log(np.where(prices > 0, prices, np.nan))
