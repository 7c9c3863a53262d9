"""Which ticks can be believed. Judges whole batches in arrays, adds reasons and keeps what it refuses; knows no
database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.clocks import EARLIEST_US
from marketdata import sessions
from marketdata.faults import Fault
from marketdata.symbols import Rules
from marketdata.ticks import ABSENT, KIND_NAMES, NO_DATE, PRICE_UNIT, SIZE_UNIT, Int64, Mask, Ticks
from terminals import wire

Faults = npt.NDArray[np.uint32]

GREATEST_PRICE = 10**9 * PRICE_UNIT
GREATEST_SIZE = 10**10 * SIZE_UNIT
GREATEST_VALUE = 1e15  # price x size


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """How far from the moment of its capture an event may lie, in microseconds. No `max_age_us`: a replay, any past
    will do."""

    max_future_us: int
    max_age_us: int | None


def judge(ticks: Ticks, faults: Faults, *, rules: Mapping[str, Rules], captured_us: Int64, recency: Recency) -> Mask:
    """Add each row's faults to `faults`, set the trading dates, and say which rows are good. `captured_us`: when each
    row was captured, by the server's clock (`ingest.clocks`); how long it lay in a spool since does not matter."""
    below = _judge_symbols(ticks, faults, rules)
    _judge_times(ticks, faults, captured_us, recency)
    _judge_numbers(ticks, faults, below)
    good: Mask = faults == 0
    return good


def _judge_symbols(ticks: Ticks, faults: Faults, rules: Mapping[str, Rules]) -> Mask:
    """Also sets the trading dates. Returns which rows are of a market that has prices of zero and below."""
    of_symbol = np.zeros(len(ticks.symbols) + 1, np.uint32)
    of_symbol[-1] = np.uint32(Fault.SYMBOL_MISSING)
    below = np.zeros(len(ticks.symbols) + 1, np.bool_)
    kinds: dict[tuple[str, int], list[int]] = {}
    for index, code in enumerate(ticks.symbols):
        rule = rules.get(code)
        if rule is None:
            of_symbol[index] = np.uint32(Fault.SYMBOL_UNKNOWN)
            continue
        if not rule.is_active:
            of_symbol[index] = np.uint32(Fault.SYMBOL_INACTIVE)
        below[index] = rule.nonpositive_prices
        kinds.setdefault((rule.timezone, rule.trade_date_shift_s), []).append(index)
    found = of_symbol[ticks.symbol]
    told = _said(faults, Fault.SYMBOL_UNKNOWN | Fault.NOT_AN_OBJECT) & (ticks.symbol < 0)
    faults |= np.where(told, np.uint32(0), found)
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
            dates = sessions.trade_dates(ticks.time_us, timezone=timezone, shift_s=shift_s)
        elif rows.any():
            dates[rows] = sessions.trade_dates(ticks.time_us[rows], timezone=timezone, shift_s=shift_s)
    ticks.trade_date = dates


def _judge_times(ticks: Ticks, faults: Faults, captured_us: Int64, recency: Recency) -> None:
    given = ticks.time_us != ABSENT
    _mark(faults, ~given & ~_said(faults, Fault.TIME_MALFORMED | Fault.NOT_AN_OBJECT), Fault.TIME_MISSING)
    _mark(faults, ticks.time_us > captured_us + recency.max_future_us, Fault.TIME_FUTURE)
    oldest = np.full_like(captured_us, EARLIEST_US)
    if recency.max_age_us is not None:
        oldest = np.maximum(oldest, captured_us - recency.max_age_us)
    _mark(faults, given & (ticks.time_us < oldest), Fault.TIME_PAST)
    # A date of its own may differ from the event's local date by a night session or a week-end, not by more.
    far = np.abs(ticks.trade_date.astype(np.int64) - ticks.time_us // sessions.DAY_US) > 7
    far &= given & (ticks.trade_date != NO_DATE) & ~_said(faults, Fault.TIME_FUTURE | Fault.TIME_PAST)
    _mark(faults, far, Fault.TRADE_DATE_MALFORMED)


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
    kind = ticks.kind
    unknown = (kind == 0) | (kind >= len(KIND_NAMES))
    _mark(faults, unknown & ~_said(faults, Fault.KIND_UNKNOWN | Fault.NOT_AN_OBJECT), Fault.KIND_UNKNOWN)
    _mark(faults, ticks.side > wire.Side.SELL, Fault.SIDE_UNKNOWN)

    quote = kind == wire.Kind.QUOTE
    unpriced = ~quote & ~unknown & (ticks.price == ABSENT)
    _mark(faults, unpriced & ~_said(faults, _PRICE_UNREADABLE), Fault.PRICE_MISSING)
    unsized = (kind == wire.Kind.TRADE) & (ticks.size == ABSENT)
    _mark(faults, unsized & ~_said(faults, _SIZE_UNREADABLE), Fault.SIZE_MISSING)
    empty = quote & (ticks.bid == ABSENT) & (ticks.ask == ABSENT)
    _mark(faults, empty & ~_said(faults, _PRICE_UNREADABLE), Fault.QUOTE_EMPTY)
    for side in ("bid", "ask"):
        _clear_side(ticks, side, below)

    for values in (ticks.price, ticks.bid, ticks.ask):
        given = values != ABSENT
        _mark(faults, (values <= 0) & given & ~below, Fault.PRICE_NOT_POSITIVE)
        _mark(
            faults, ((values > GREATEST_PRICE) | ((values < -GREATEST_PRICE) & below)) & given, Fault.PRICE_OUT_OF_RANGE
        )
    for values in (ticks.size, ticks.bid_size, ticks.ask_size):
        _mark(faults, (values < 0) & (values != ABSENT), Fault.SIZE_NEGATIVE)
        _mark(faults, values > GREATEST_SIZE, Fault.SIZE_OUT_OF_RANGE)
    _mark(faults, (ticks.cum_volume < 0) & (ticks.cum_volume != ABSENT), Fault.SIZE_NEGATIVE)
    value = np.abs(ticks.price / PRICE_UNIT) * (ticks.size / SIZE_UNIT)
    sane = (
        (ticks.price != ABSENT) & (ticks.size > 0) & ~_said(faults, Fault.PRICE_OUT_OF_RANGE | Fault.SIZE_OUT_OF_RANGE)
    )
    _mark(faults, sane & (value > GREATEST_VALUE), Fault.SIZE_OUT_OF_RANGE)


def _clear_side(ticks: Ticks, side: str, below: Mask) -> None:
    """Make a side of the book at which nobody is absent: one with a size of 0, or with a price of 0 (docs/protocol.md).
    Where 0 is a price like any other, a size tells that somebody is there."""
    prices, sizes = getattr(ticks, side), getattr(ticks, f"{side}_size")
    nobody = (sizes == 0) | ((prices == 0) & ~(below & (sizes > 0)))
    if nobody.any():
        setattr(ticks, side, np.where(nobody, ABSENT, prices))
        setattr(ticks, f"{side}_size", np.where(nobody, ABSENT, sizes))


def _mark(faults: Faults, rows: Mask, fault: Fault) -> None:
    faults |= np.where(rows, np.uint32(fault), np.uint32(0))


def _said(faults: Faults, any_of: Fault) -> Mask:
    """Which rows have one of these faults already, so that one mistake is not told twice."""
    said: Mask = (faults & np.uint32(any_of)) != 0
    return said
