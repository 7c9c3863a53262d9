"""Daily candles from minute candles: the definition of `marketdata.storage.tables` in arithmetic of its own, to check
what databases make of it. Pure; what is stored is made by `Storage.build_daily`."""

from __future__ import annotations

import datetime

import numpy as np

from marketdata.storage.base import Window
from marketdata.types import daily_bars
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars
from marketdata.types.units import day_of


def build(bars: Bars, date: datetime.date, window: Window | None) -> DailyBars:
    """The daily candle of one symbol's minutes of a trading date; none if there are none. `window` is the regular
    session of the symbol's market."""
    symbol = bars.symbols[0] if bars.symbols else ""
    if not len(bars):
        return daily_bars.from_rows(symbol, bars.feed, [])
    bars = bars.take(np.argsort(bars.time_us, kind="stable"))
    inside = np.zeros(len(bars), bool)
    if window is not None:
        inside = (bars.time_us >= window.start_us) & (bars.time_us < window.end_us)
    regular = bars.take(inside)
    whole = sum(bars.value.tolist()) * VALUE_UNIT + sum(bars.value_frac.tolist())
    last = int(bars.close[-1])
    row = (
        day_of(date),
        int(bars.open[0]),
        int(bars.high.max()),
        int(bars.low.min()),
        int(regular.close[-1]) if len(regular) else last,
        last,
        _bounded(sum(bars.volume.tolist())),
        _bounded(whole // VALUE_UNIT),
        whole % VALUE_UNIT,
        sum(bars.n.tolist()),
        *(
            (
                int(regular.open[0]),
                int(regular.high.max()),
                int(regular.low.min()),
                _bounded(sum(regular.volume.tolist())),
            )
            if len(regular)
            else (None,) * 4
        ),
    )
    return daily_bars.from_rows(symbol, bars.feed, [row])


def _bounded(total: int) -> int:
    return min(max(total, -MOST), MOST)
