"""Indicators as TA-Lib computes them, for tests and the bench, and candles to compute them of."""

from __future__ import annotations

from typing import Any

import numpy as np
import talib

# What TA-Lib gives of bars with parameters of ours, in the order of our outputs.
TALIB: dict[str, Any] = {
    "sma": lambda bars, period: [talib.SMA(bars["close"], timeperiod=period)],
    "ema": lambda bars, period: [talib.EMA(bars["close"], timeperiod=period)],
    "wma": lambda bars, period: [talib.WMA(bars["close"], timeperiod=period)],
    "bbands": lambda bars, period, deviations: talib.BBANDS(
        bars["close"], timeperiod=period, nbdevup=deviations, nbdevdn=deviations
    ),
    "rsi": lambda bars, period: [talib.RSI(bars["close"], timeperiod=period)],
    "macd": lambda bars, fast, slow, signal: talib.MACD(
        bars["close"], fastperiod=fast, slowperiod=slow, signalperiod=signal
    ),
    "stoch": lambda bars, period, smooth, signal: talib.STOCH(
        bars["high"], bars["low"], bars["close"], fastk_period=period, slowk_period=smooth, slowd_period=signal
    ),
    "cci": lambda bars, period: [talib.CCI(bars["high"], bars["low"], bars["close"], timeperiod=period)],
    "atr": lambda bars, period: [talib.ATR(bars["high"], bars["low"], bars["close"], timeperiod=period)],
    "adx": lambda bars, period: [
        talib.ADX(bars["high"], bars["low"], bars["close"], timeperiod=period),
        talib.PLUS_DI(bars["high"], bars["low"], bars["close"], timeperiod=period),
        talib.MINUS_DI(bars["high"], bars["low"], bars["close"], timeperiod=period),
    ],
    "obv": lambda bars: [talib.OBV(bars["close"], bars["volume"])],
    "mfi": lambda bars, period: [
        talib.MFI(bars["high"], bars["low"], bars["close"], bars["volume"], timeperiod=period)
    ],
}


def market(rows: int, *, seed: int = 1, bars_a_day: int = 70) -> dict[str, Any]:
    """Bars of a random walk in steps of the price's tick, which turns back at 20,000 and 120,000."""
    random = np.random.default_rng(seed)
    walked = np.cumsum(random.integers(-3, 4, rows))
    close = 70_000.0 + 100 * (np.abs((walked - 500) % 2_000 - 1_000) - 500)
    high, low = (close + 100 * sign * random.integers(0, 4, rows) for sign in (1, -1))
    volume = random.integers(1, 5_000, rows).astype(np.float64)
    price = low + (high - low) * random.random(rows)
    anchor = np.arange(rows) // bars_a_day
    return {"high": high, "low": low, "close": close, "volume": volume, "price": price, "anchor": anchor}
