"""Indicators as somebody else's library computes them, for tests and the bench, and candles to compute them of. What
TA-Lib has not is told to polars, which is imported when it is asked: the bench says before how many threads it has."""

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


def _vwap(bars: dict[str, Any], deviations: float) -> list[Any]:
    import polars as pl

    apart = pl.col("price") - pl.col("price").first().over("anchor")  # as it is, its squares would lose their ends

    def summed(one: pl.Expr) -> pl.Expr:
        return one.cum_sum().over("anchor")

    mean, square = (summed(pl.col("volume") * apart**power) / summed(pl.col("volume")) for power in (1, 2))
    average = mean + pl.col("price").first().over("anchor")
    width = deviations * (square - mean**2).clip(lower_bound=0).sqrt()
    found = pl.DataFrame({name: bars[name] for name in ("price", "volume", "anchor")}).select(
        upper=average + width, average=average, lower=average - width
    )
    return [column.to_numpy() for column in found]


def _ichimoku(bars: dict[str, Any], conversion: int, base: int, span: int, displacement: int) -> list[Any]:
    import polars as pl

    def middle(period: int) -> pl.Expr:
        return (pl.col("high").rolling_max(period) + pl.col("low").rolling_min(period)) / 2

    ahead = displacement - 1
    found = pl.DataFrame({name: bars[name] for name in ("high", "low", "close")}).select(
        tenkan=middle(conversion),
        kijun=middle(base),
        senkou_a=((middle(conversion) + middle(base)) / 2).shift(ahead),
        senkou_b=middle(span).shift(ahead),
        chikou="close",
    )
    return [column.to_numpy() for column in found]


# As TALIB, of those that it has not.
POLARS: dict[str, Any] = {"vwap": _vwap, "ichimoku": _ichimoku}


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
