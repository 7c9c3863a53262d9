"""Which part of its trading day a minute candle belongs to: the regular session is that of the daily candle
(`Calendar.regular_window`, at the market's own venue whatever the feed), what comes before it is `pre`, what comes
after it is `after`. A trading date without a regular session has no parts."""

from __future__ import annotations

import numpy as np

from marketdata.calendar import trading_dates
from marketdata.calendar.trading_calendar import Session
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Mask
from marketdata.types.units import date_of


def within(bars: Bars, market: str, session: Session) -> Mask:
    """A mask of the minute candles, of one market and any trading dates, that begin in that part of their date; none of
    a date without a regular session."""
    chosen = np.zeros(len(bars), np.bool_)
    calendar = trading_dates.calendar(market)
    for day in np.unique(bars.trade_date).tolist():
        window = calendar.regular_window(date_of(day))
        if window is None:
            continue
        start_us, end_us = window
        of_day = bars.trade_date == day
        if session is Session.PRE:
            chosen |= of_day & (bars.time_us < start_us)
        elif session is Session.AFTER:
            chosen |= of_day & (bars.time_us >= end_us)
        else:
            chosen |= of_day & (bars.time_us >= start_us) & (bars.time_us < end_us)
    return chosen
