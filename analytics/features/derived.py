"""What is made of candles beside the indicators: returns, ranges and shares, which say the same of a stock of 500 won
and of one of 500,000. None of them looks ahead, and none is a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from analytics.indicators import rolling
from analytics.indicators.rolling import Float64
from analytics.indicators.volumes import Int64

Inputs = Mapping[str, Float64 | Int64]
LONGEST = 20
LOOKBACK = LONGEST + 1
"""How many candles before a row its values rest on."""


def log_return(inputs: Inputs, bars: int) -> Float64:
    """The logarithm of close over the close of so many candles before; NaN where one of them is not above 0."""
    (close,) = _floats(inputs, "close")
    found = rolling.nothing(len(close))
    if len(close) > bars:
        before, now = close[:-bars], close[bars:]
        positive = (before > 0) & (now > 0)
        found[bars:][positive] = np.log(now[positive] / before[positive])
    return found


def volatility(inputs: Inputs) -> Float64:
    """The standard deviation (of a sample) of the last LONGEST returns from candle to candle."""
    returns = log_return(inputs, 1)
    found = rolling.nothing(len(returns))
    if len(returns) >= LONGEST:
        windows = np.lib.stride_tricks.sliding_window_view(returns, LONGEST)
        found[LONGEST - 1 :] = windows.std(axis=1, ddof=1)
    return found


def span(inputs: Inputs) -> Float64:
    """High less low, as a share of the close."""
    high, low, close = _floats(inputs, "high", "low", "close")
    return _share(high - low, close)


def vwap_deviation(inputs: Inputs) -> Float64:
    """Close less the candle's own average price, as a share of the latter."""
    close, price = _floats(inputs, "close", "price")
    return _share(close - price, price)


def volume_ratio(inputs: Inputs) -> Float64:
    """Volume over the mean of the LONGEST candles before; NaN where nothing was traded in these."""
    (volume,) = _floats(inputs, "volume")
    found = rolling.nothing(len(volume))
    if len(volume) > LONGEST:
        before = np.lib.stride_tricks.sliding_window_view(volume[:-1], LONGEST).mean(axis=1)
        found[LONGEST:] = _share(volume[LONGEST:], before)
    return found


def _floats(inputs: Inputs, *names: str) -> list[Float64]:
    return [inputs[name].astype(np.float64, copy=False) for name in names]


def _share(part: Float64, whole: Float64) -> Float64:
    found = rolling.nothing(len(part))
    np.divide(part, whole, out=found, where=whole > 0)
    return found


ALL: Mapping[str, Callable[[Inputs], Float64]] = MappingProxyType(
    {
        "log_return_1": lambda inputs: log_return(inputs, 1),
        "log_return_5": lambda inputs: log_return(inputs, 5),
        "log_return_20": lambda inputs: log_return(inputs, LONGEST),
        "volatility_20": volatility,
        "range": span,
        "vwap_deviation": vwap_deviation,
        "volume_ratio_20": volume_ratio,
    }
)
"""By the name of their column; each takes the inputs of `analytics.indicators.candles` and gives a value a candle."""
