"""What indicators take from candles. Prices and sizes leave their exact numbers here, for arithmetic only."""

from __future__ import annotations

import numpy as np

from analytics.indicators.rolling import Float64
from analytics.indicators.volumes import Int64
from analytics.series.timeframes import DateFrame, Timeframe
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.tick_arrays import PRICE_UNIT, SIZE_UNIT


def inputs(bars: Bars, timeframe: Timeframe | DateFrame) -> dict[str, Float64 | Int64]:
    """The inputs of `registry.INPUTS` from candles of one symbol, oldest first: prices in the currency's unit, volumes
    in shares. The average price of a candle without volume is its close."""
    volume, close = bars.volume / SIZE_UNIT, bars.close / PRICE_UNIT
    price = close.copy()
    np.divide(bars.value + bars.value_frac / VALUE_UNIT, volume, out=price, where=volume > 0)
    return {
        "high": bars.high / PRICE_UNIT,
        "low": bars.low / PRICE_UNIT,
        "close": close,
        "volume": volume,
        "price": price,
        "anchor": anchors(bars, timeframe),
    }


def anchors(bars: Bars, timeframe: Timeframe | DateFrame) -> Int64:
    """Where sums begin anew: with the trading date, of candles of a day and wider with its year."""
    if isinstance(timeframe, Timeframe):
        return bars.trade_date.astype(np.int64)
    years: Int64 = bars.trade_date.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    return years


def most_of_anchor(timeframe: Timeframe | DateFrame) -> int:
    """How many candles an anchor usually has at most."""
    if isinstance(timeframe, Timeframe):
        return 24 * 60 // timeframe.most_minutes + 1
    return 366 // {"Day": 1, "Week": 7, "Month": 28 * timeframe.count}[timeframe.unit] + 1
