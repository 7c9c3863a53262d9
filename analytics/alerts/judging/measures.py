"""What is measured for a condition: from the trades that came, and from what is known of the symbol's day."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.alerts.judging.conditions import Condition, Direction, Kind
from analytics.alerts.judging.episodes import Measured
from analytics.series import day_statistics
from marketdata.types.tick_arrays import Ticks, trades

LATE_US = 900_000_000
"""Trades that were committed longer after they happened are history, and no rule is judged by them."""


@dataclass(frozen=True, slots=True)
class Trades:
    """The trades of a symbol since the look before, on the trading date of the last: prices in 1e-8. `committed_us` is
    when the newest of them was; None of one that is looked at as it stands."""

    time_us: int
    tick_id: int
    day: int
    prices: Measured
    committed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a symbol on a trading date (days since 1970): previous close and limits in 1e-8, and the volume
    so far by what is usual at that time of day, in 1e-4; None where it is not known. `recent` are such ratios of the
    newest 1, 2, … minutes of `recent_day`."""

    day: int = -(2**31)
    previous_close: int | None = None
    volume_ratio: int | None = None
    lower: int | None = None
    upper: int | None = None
    limits_day: int = -(2**31)
    recent: Sequence[int | None] = ()
    recent_day: int = -(2**31)


UNKNOWN = Facts()


def of_entries(entries: Iterable[tuple[Ticks, int]], watched: Collection[str] | None) -> dict[str, Trades]:
    """By symbol, from (ticks, when they were committed) in the order of commits; of `watched` symbols, None for all."""
    found: dict[str, Trades] = {}
    for ticks, committed_us in entries:
        chosen = trades(ticks) & (ticks.symbol >= 0) & (ticks.time_us >= committed_us - LATE_US)
        if watched is not None:
            is_watched = np.array([code in watched for code in ticks.symbols], np.bool_)
            if not is_watched.any():
                continue
            chosen &= is_watched[ticks.symbol]
        rows = np.flatnonzero(chosen)
        if not len(rows):
            continue
        order = rows[np.lexsort((ticks.tick_id[rows], ticks.time_us[rows], ticks.symbol[rows]))]
        symbol, price = ticks.symbol[order], ticks.price[order]
        starts = np.flatnonzero(np.append(True, symbol[1:] != symbol[:-1]))
        ends = np.append(starts[1:], len(order)) - 1
        columns = (
            symbol[starts].tolist(), ticks.time_us[order][ends].tolist(), ticks.tick_id[order][ends].tolist(),
            ticks.trade_date[order][ends].tolist(), price[ends].tolist(),
            np.maximum.reduceat(price, starts).tolist(), np.minimum.reduceat(price, starts).tolist(),
        )  # fmt: skip
        for index, time_us, tick_id, day, last, high, low in zip(*columns, strict=True):
            code = ticks.symbols[index]
            made = Trades(time_us, tick_id, day, Measured(last, high, low), committed_us)
            found[code] = _joined(found[code], made) if code in found else made
    return found


def _joined(one: Trades, other: Trades) -> Trades:
    """Both, as they stand after the later of the two; extremes are of one trading date."""
    late, early = (other, one) if (other.time_us, other.tick_id) >= (one.time_us, one.tick_id) else (one, other)
    if late.day != early.day:
        return late
    prices = Measured(
        late.prices.last, max(late.prices.high, early.prices.high), min(late.prices.low, early.prices.low)
    )
    return Trades(late.time_us, late.tick_id, late.day, prices, other.committed_us)


def measure(condition: Condition, seen: Trades, facts: Facts) -> tuple[int, Measured] | None:
    """(the level that counts, what is measured beside it), both in the units of the kind; None while what is needed is
    not known."""
    if condition.kind is Kind.PRICE:
        return condition.level, seen.prices
    if condition.kind is Kind.CHANGE:
        close = facts.previous_close
        if close is None or close <= 0 or facts.day != seen.day:
            return None
        prices = (seen.prices.last, seen.prices.high, seen.prices.low)
        last, high, low = (day_statistics.percent(price - close, close) or 0 for price in prices)
        return condition.level, Measured(last, high, low)
    if condition.kind is Kind.LIMIT:
        level = facts.upper if condition.direction is Direction.ABOVE else facts.lower
        return None if level is None or facts.limits_day != seen.day else (level, seen.prices)
    ratio = facts.volume_ratio
    if condition.minutes:
        is_known = facts.recent_day == seen.day and len(facts.recent) >= condition.minutes
        ratio = facts.recent[condition.minutes - 1] if is_known else None
    return None if ratio is None else (condition.level, Measured(ratio, ratio, ratio))
