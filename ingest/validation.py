"""Which ticks can be believed. Judges whole batches in arrays, adds reasons and keeps what it refuses; knows no
database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from marketdata.calendar import trading_dates
from marketdata.reference.symbols import Rules
from marketdata.types import units
from marketdata.types.day_figures import DAY_PRICES, RATE_SCALE, DayFigures
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import (
    ABSENT,
    GREATEST,
    KIND_NAMES,
    NO_DATE,
    PRICE_UNIT,
    SIZE_UNIT,
    Int64,
    Mask,
    Ticks,
    is_absent,
)
from terminals import wire

Faults = npt.NDArray[np.uint64]

GREATEST_PRICE = 10**9 * PRICE_UNIT
GREATEST_SIZE = 10**10 * SIZE_UNIT
GREATEST_VALUE = 1e15  # price x size
LOST_ALL = -100 * 10**RATE_SCALE  # a change rate of -100 % is of a price of 0
_ASKED = attrgetter("is_active", "nonpositive_prices", "timezone", "trade_date_shift_s")
"""What the places of rows are judged by, of the rules of a symbol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """How far from the moment of its capture an event may lie, in microseconds. No `max_age_us`: a replay, any past
    will do."""

    max_future_us: int
    max_age_us: int | None


def judge(ticks: Ticks, faults: Faults, *, rules: Mapping[str, Rules], captured_us: Int64, recency: Recency) -> Mask:
    """Add each row's faults to `faults`, set the trading dates, and say which rows are good. `captured_us`: when each
    row was captured, by the server's clock (`ingest.clocks`); how long it lay in a spool since does not matter."""
    below = judge_places(ticks, faults, rules=rules, captured_us=captured_us, recency=recency)
    _judge_numbers(ticks, faults, below)
    good: Mask = faults == 0
    return good


def judge_places(
    ticks: Ticks, faults: Faults, *, rules: Mapping[str, Rules], captured_us: Int64, recency: Recency
) -> Mask:
    """What every row is asked whatever it holds: of which symbol it is, and when. Sets the trading dates. Which rows
    are of a market that has prices of zero and below."""
    below = _judge_symbols(ticks, faults, rules)
    _judge_times(ticks, faults, captured_us, recency)
    return below


def _judge_symbols(ticks: Ticks, faults: Faults, rules: Mapping[str, Rules]) -> Mask:
    """Also sets the trading dates. Returns which rows are of a market that has prices of zero and below."""
    of_symbol = np.zeros(len(ticks.symbols) + 1, np.uint64)
    of_symbol[-1] = np.uint64(Fault.SYMBOL_MISSING)
    below = np.zeros(len(ticks.symbols) + 1, np.bool_)
    kinds: dict[tuple[str, int], list[int]] = {}
    known = [rules.get(code) for code in ticks.symbols]
    if all(known) and len(alike := set(map(_ASKED, known))) == 1:  # nearly always so, and quicker than one by one
        is_active, below[:-1], timezone, shift_s = alike.pop()
        of_symbol[:-1] = np.uint64(0 if is_active else Fault.SYMBOL_INACTIVE)
        kinds[timezone, shift_s] = list(range(len(known)))
    else:
        for index, rule in enumerate(known):
            if rule is None:
                of_symbol[index] = np.uint64(Fault.SYMBOL_UNKNOWN)
                continue
            if not rule.is_active:
                of_symbol[index] = np.uint64(Fault.SYMBOL_INACTIVE)
            below[index] = rule.nonpositive_prices
            kinds.setdefault((rule.timezone, rule.trade_date_shift_s), []).append(index)
    found = of_symbol[ticks.symbol]
    if found.any():
        told = _said(faults, Fault.SYMBOL_UNKNOWN | Fault.NOT_AN_OBJECT) & (ticks.symbol < 0)
        faults |= np.where(told, np.uint64(0), found)
    _set_trade_dates(ticks, kinds)
    of_rows: Mask = below[ticks.symbol]
    return of_rows


def _set_trade_dates(ticks: Ticks, kinds: Mapping[tuple[str, int], list[int]]) -> None:
    dates = ticks.trade_date.copy()
    for (timezone, shift_s), indices in kinds.items():
        rows = dates == NO_DATE
        if len(kinds) > 1:
            rows &= np.isin(ticks.symbol, np.array(indices))
        if rows.all():
            dates = trading_dates.trade_dates(ticks.time_us, timezone=timezone, shift_s=shift_s)
        elif rows.any():
            dates[rows] = trading_dates.trade_dates(ticks.time_us[rows], timezone=timezone, shift_s=shift_s)
    ticks.trade_date = dates


def _judge_times(ticks: Ticks, faults: Faults, captured_us: Int64, recency: Recency) -> None:
    if _are_near(ticks, captured_us, recency):
        return
    given = ticks.time_us != ABSENT
    mark(faults, ~given, Fault.TIME_MISSING, unless=Fault.TIME_MALFORMED | Fault.NOT_AN_OBJECT)
    mark(faults, ticks.time_us > captured_us + recency.max_future_us, Fault.TIME_FUTURE)
    oldest = np.full_like(captured_us, wire.EARLIEST_US)
    if recency.max_age_us is not None:
        oldest = np.maximum(oldest, captured_us - recency.max_age_us)
    mark(faults, given & (ticks.time_us < oldest), Fault.TIME_PAST)
    # A date of its own may differ from the event's local date by a night session or a week-end, not by more.
    far = np.abs(ticks.trade_date.astype(np.int64) - ticks.time_us // units.DAY_US) > 7
    far &= given & (ticks.trade_date != NO_DATE)
    mark(faults, far, Fault.TRADE_DATE_MALFORMED, unless=Fault.TIME_FUTURE | Fault.TIME_PAST)


def _are_near(ticks: Ticks, captured_us: Int64, recency: Recency) -> bool:
    """Whether all times are good by the first and the last of them, which is quick to say and nearly always so."""
    if not len(ticks):
        return True
    first, last = int(ticks.time_us.min()), int(ticks.time_us.max())
    oldest = wire.EARLIEST_US
    if recency.max_age_us is not None:
        oldest = max(oldest, int(captured_us.max()) - recency.max_age_us)
    if first < oldest or last > int(captured_us.min()) + recency.max_future_us:
        return False
    earliest, latest = int(ticks.trade_date.min()), int(ticks.trade_date.max())
    return latest - first // units.DAY_US <= 7 and last // units.DAY_US - earliest <= 7


_PRICE_UNREADABLE = (
    Fault.PRICE_NOT_A_NUMBER
    | Fault.PRICE_NOT_FINITE
    | Fault.PRICE_OUT_OF_RANGE
    | Fault.PRICE_TOO_PRECISE
    | Fault.NOT_AN_OBJECT
)
_SIZE_UNREADABLE = (
    Fault.SIZE_NOT_A_NUMBER
    | Fault.SIZE_NOT_FINITE
    | Fault.SIZE_OUT_OF_RANGE
    | Fault.SIZE_TOO_PRECISE
    | Fault.NOT_AN_OBJECT
)


def _judge_numbers(ticks: Ticks, faults: Faults, below: Mask) -> None:
    if _are_plain_trades(ticks):
        return
    kind = ticks.kind
    unknown = (kind == 0) | (kind >= len(KIND_NAMES))
    mark(faults, unknown, Fault.KIND_UNKNOWN, unless=Fault.KIND_UNKNOWN | Fault.NOT_AN_OBJECT)
    mark(faults, ticks.side > wire.Side.SELL, Fault.SIDE_UNKNOWN)

    quote = kind == wire.Kind.QUOTE
    mark(faults, ~quote & ~unknown & (ticks.price == ABSENT), Fault.PRICE_MISSING, unless=_PRICE_UNREADABLE)
    mark(faults, (kind == wire.Kind.TRADE) & (ticks.size == ABSENT), Fault.SIZE_MISSING, unless=_SIZE_UNREADABLE)
    empty = quote & (ticks.bid == ABSENT) & (ticks.ask == ABSENT)
    mark(faults, empty, Fault.QUOTE_EMPTY, unless=_PRICE_UNREADABLE)
    for side in ("bid", "ask"):
        _clear_side(ticks, side, below)

    for values in (ticks.price, ticks.bid, ticks.ask):
        given = values != ABSENT
        if given.any():
            mark(faults, (values <= 0) & given & ~below, Fault.PRICE_NOT_POSITIVE)
            far = (values > GREATEST_PRICE) | ((values < -GREATEST_PRICE) & below)
            mark(faults, far & given, Fault.PRICE_OUT_OF_RANGE)
    for values in (ticks.size, ticks.bid_size, ticks.ask_size, ticks.cum_volume):
        given = values != ABSENT
        if given.any():
            mark(faults, (values < 0) & given, Fault.SIZE_NEGATIVE)
            if values is not ticks.cum_volume:
                mark(faults, values > GREATEST_SIZE, Fault.SIZE_OUT_OF_RANGE)
    if ticks.day is not None:
        _judge_day(ticks, ticks.day, faults, below)
    value = np.abs(ticks.price / PRICE_UNIT) * (ticks.size / SIZE_UNIT)
    large = (value > GREATEST_VALUE) & (ticks.price != ABSENT) & (ticks.size > 0)
    mark(faults, large, Fault.SIZE_OUT_OF_RANGE, unless=Fault.PRICE_OUT_OF_RANGE | Fault.SIZE_OUT_OF_RANGE)


def _are_plain_trades(ticks: Ticks) -> bool:
    """Whether all are trades whose least and greatest numbers leave nothing to find, which is quick to say and nearly
    always so."""
    if not len(ticks) or ticks.day is not None or (ticks.kind != wire.Kind.TRADE).any():
        return False
    if ticks.side.max() > wire.Side.SELL:
        return False
    dearest, most = int(ticks.price.max()), int(ticks.size.max())
    if int(ticks.price.min()) <= 0 or dearest > GREATEST_PRICE or int(ticks.size.min()) < 0 or most > GREATEST_SIZE:
        return False
    if dearest / PRICE_UNIT * (most / SIZE_UNIT) > GREATEST_VALUE:
        return False
    for values, least, greatest in (
        (ticks.bid, 1, GREATEST_PRICE),
        (ticks.ask, 1, GREATEST_PRICE),
        (ticks.bid_size, 1, GREATEST_SIZE),
        (ticks.ask_size, 1, GREATEST_SIZE),
        (ticks.cum_volume, 0, GREATEST),
    ):
        if not is_absent(values) and not least <= int(values.min()) <= int(values.max()) <= greatest:
            return False
    return True


def _judge_day(ticks: Ticks, day: DayFigures, faults: Faults, below: Mask) -> None:
    """What snapshots tell of their day; of another kind of tick it is not looked at. A price of 0, which is none, is
    what a source says before the first trade, or where there is no limit: it counts as absent."""
    snapshot = ticks.kind == wire.Kind.SNAPSHOT
    for name in DAY_PRICES:
        values = getattr(day, name)
        if ((values == 0) & ~below).any():
            values = np.where((values == 0) & ~below, ABSENT, values)
            setattr(day, name, values)
        given = (values != ABSENT) & snapshot
        mark(faults, (values < 0) & given & ~below, Fault.PRICE_NOT_POSITIVE)
        far = (values > GREATEST_PRICE) | ((values < -GREATEST_PRICE) & below)
        mark(faults, far & given, Fault.PRICE_OUT_OF_RANGE)
    for lower, upper in ((day.low, day.high), (day.lower_limit, day.upper_limit)):
        inverted = (lower > upper) & (upper != ABSENT) & snapshot
        mark(faults, inverted, Fault.RANGE_INVERTED, unless=Fault.PRICE_NOT_POSITIVE | Fault.PRICE_OUT_OF_RANGE)
    given = (day.change_rate != ABSENT) & snapshot
    far = (np.abs(day.change_rate) > GREATEST_PRICE) | ((day.change_rate <= LOST_ALL) & ~below)
    mark(faults, far & given, Fault.CHANGE_RATE_OUT_OF_RANGE)
    given = (day.cum_value != ABSENT) & snapshot
    far = (np.abs(day.cum_value) > GREATEST) | ((day.cum_value < 0) & ~below)
    mark(faults, far & given, Fault.VALUE_OUT_OF_RANGE)


def _clear_side(ticks: Ticks, side: str, below: Mask) -> None:
    """Make a side of the book at which nobody is absent: one with a size of 0, or with a price of 0 (docs/protocol.md).
    Where 0 is a price like any other, a size tells that somebody is there."""
    prices, sizes = getattr(ticks, side), getattr(ticks, f"{side}_size")
    if not ((sizes == 0) | (prices == 0)).any():
        return
    nobody = (sizes == 0) | ((prices == 0) & ~(below & (sizes > 0)))
    setattr(ticks, side, np.where(nobody, ABSENT, prices))
    setattr(ticks, f"{side}_size", np.where(nobody, ABSENT, sizes))


def mark(faults: Faults, rows: Mask, fault: Fault, *, unless: int = 0) -> None:
    """Add a fault to these rows, but not to those that have one of `unless` already: one mistake is not told twice."""
    if rows.any():
        faults |= np.where(rows & ~_said(faults, unless), np.uint64(fault), np.uint64(0))


def _said(faults: Faults, any_of: int) -> Mask:
    """Which rows have one of these faults already."""
    said: Mask = (faults & np.uint64(any_of)) != 0
    return said
