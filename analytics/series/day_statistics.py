"""Figures of trading dates that follow from their daily candles, each by one definition. Raw: a split shows as a
change. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from marketdata.types.daily_bars import DailyBars
from marketdata.types.minute_bars import VALUE_UNIT
from marketdata.types.tick_arrays import ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStatistics:
    """Of one trading date. Prices in 1e-8, sizes in 1e-6, turnover in 1e-14; None where there is nothing to tell."""

    turnover: int
    """Price times size, summed over all trades of the date."""
    high: int
    low: int
    last: int
    """Of all trades of the date, as `high` and `low` are; candles tell those of the regular session."""
    regular_volume: int
    trade_size: int | None
    """Volume by trades, rounded half up."""
    previous_close: int | None
    """Of the trading date before on which the share traded."""
    change: int | None
    """The close less the one before."""
    percent: int | None
    """The change by the close before, as `percent` has it."""
    volatility: int | None
    """By `volatility`, in 1e-8, of the regular session's high and low; of all trades on a date without one."""


def of_days(days: DailyBars, before: int | None) -> list[DayStatistics]:
    """The statistics of daily candles in their order, which is that of dates or its reverse; `before` is the close of
    the trading date before the earliest one."""
    order = sorted(range(len(days)), key=days.trade_date.tolist().__getitem__)
    closes = days.close.tolist()
    previous = dict(zip(order, [before, *(closes[place] for place in order[:-1])], strict=False))
    return [_of_day(days, place, previous[place]) for place in range(len(days))]


def percent(change: int, before: int) -> int | None:
    """A change in 1e-4 per cent of what was before, rounded down; None where that is no positive price."""
    return change * 1_000_000 // before if before > 0 else None


def volatility(high: int, low: int) -> int | None:
    """The standard deviation of a day's logarithmic return as its range tells it, ln(high / low) / sqrt(4 ln 2), in
    1e-8; None where a price is not positive. M. Parkinson, "The extreme value method for estimating the
    variance of the rate of return", Journal of Business 53 (1980)."""
    if low <= 0:
        return None
    return round(10**8 * math.log(high / low) / math.sqrt(4 * math.log(2)))


def _of_day(days: DailyBars, place: int, before: int | None) -> DayStatistics:
    regular = int(days.regular_high[place]) != ABSENT
    high, low = (days.regular_high, days.regular_low) if regular else (days.high, days.low)
    volume, trades = int(days.volume[place]), int(days.n[place])
    regular_volume = int(days.regular_volume[place])
    change = None if before is None else int(days.close[place]) - before
    return DayStatistics(
        turnover=int(days.value[place]) * VALUE_UNIT + int(days.value_frac[place]),
        high=int(days.high[place]),
        low=int(days.low[place]),
        last=int(days.last[place]),
        regular_volume=0 if regular_volume == ABSENT else regular_volume,
        trade_size=(2 * volume + trades) // (2 * trades) if trades else None,
        previous_close=before,
        change=change,
        percent=None if change is None or before is None else percent(change, before),
        volatility=volatility(int(high[place]), int(low[place])),
    )
