"""What a row of cache_chart_data holds: candles of one series and width as the JSON array in which REST tells them, but
for what is told there of gaps. Knows no wall clock and no database."""

from __future__ import annotations

import numpy as np

from analytics.series import candle_texts, timeframes, trading_days
from analytics.series.timeframes import Timeframe
from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Mask

NONE = "[]"


def of_minutes(minutes: Bars, day: int, frame: Timeframe, timezone: str, now_us: int) -> str:
    """The candles of a width, oldest first, that a trading date has a part in and that are over at `now_us`. `minutes`
    are those of one series, in order, of that date (days since 1970) and around it: a candle that two dates share is
    made of both, as everywhere."""
    times = minutes.time_us[minutes.trade_date == day]
    if not len(times):
        return NONE
    first, behind = frame.start(int(times.min()), timezone), frame.end(int(times.max()), timezone)
    bars = timeframes.widen(minutes.take((minutes.time_us >= first) & (minutes.time_us < behind)), frame, timezone)
    bars = bars.take(frame.ends(bars.time_us, timezone) <= now_us)
    return _array(bars, np.ones(len(bars), np.bool_))


def of_day(days: DailyBars, timezone: str, shift_s: int, now_us: int) -> str:
    """The one daily candle of a trading date, over or not, which `x` says; trading dates begin `shift_s` before their
    local midnight."""
    bars = trading_days.widen(days, timeframes.DAY, timezone)
    _, ends = timeframes.date_spans(bars, timeframes.DAY, timezone, shift_s)
    return _array(bars, ends <= now_us)


def _array(bars: Bars, closed: Mask) -> str:
    return f"[{','.join(f'{{{members}}}' for members in candle_texts.bars(bars, closed=closed))}]"
