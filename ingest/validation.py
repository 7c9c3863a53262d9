"""Which ticks can be believed. Judges whole batches in arrays, adds reasons and keeps what it refuses; knows no database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketdata import sessions
from marketdata.faults import Fault
from marketdata.symbols import Rules
from marketdata.ticks import ABSENT, KIND_NAMES, NO_DATE, PRICE_UNIT, SIZE_UNIT, Int64, Mask, Ticks
from terminals import wire

Faults = npt.NDArray[np.uint32]

GREATEST_PRICE = 10**9 * PRICE_UNIT
GREATEST_SIZE = 10**10 * SIZE_UNIT
EARLIEST_US = 631_152_000_000_000  # 1990-01-01: before that it is a wrong clock, not history


@dataclass(frozen=True, slots=True, kw_only=True)
class Recency:
    """How far from the moment of receiving an event may lie, in microseconds. No `max_age_us`: a replay, any past will do."""

    max_future_us: int
    max_age_us: int | None


def judge(ticks: Ticks, faults: Faults, *, rules: Mapping[str, Rules], received_us: Int64, recency: Recency) -> Mask:
    """Add each row's faults to `faults`, set the trading dates, and say which rows are good."""
    _judge_symbols(ticks, faults, rules)
    _judge_times(ticks, faults, received_us, recency)
    _judge_numbers(ticks, faults)
    good: Mask = faults == 0
    return good


def _judge_symbols(ticks: Ticks, faults: Faults, rules: Mapping[str, Rules]) -> None:
    of_symbol = np.zeros(len(ticks.symbols) + 1, np.uint32)
    of_symbol[-1] = Fault.SYMBOL_MISSING
    kinds: dict[tuple[str, int], list[int]] = {}
    for index, code in enumerate(ticks.symbols):
        rule = rules.get(code)
        if rule is None:
            of_symbol[index] = Fault.SYMBOL_UNKNOWN
            continue
        if not rule.is_active:
            of_symbol[index] = Fault.SYMBOL_INACTIVE
        kinds.setdefault((rule.timezone, rule.trade_date_shift_s), []).append(index)
    found = of_symbol[ticks.symbol]
    unreadable = (faults & np.uint32(Fault.SYMBOL_UNKNOWN | Fault.NOT_AN_OBJECT)) != 0
    faults |= np.where(unreadable & (ticks.symbol < 0), 0, found).astype(np.uint32)
    _set_trade_dates(ticks, kinds)


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


def _judge_times(ticks: Ticks, faults: Faults, received_us: Int64, recency: Recency) -> None:
    absent = ticks.time_us == ABSENT
    malformed = (faults & np.uint32(Fault.TIME_MALFORMED)) != 0
    faults[absent & ~malformed & ((faults & np.uint32(Fault.NOT_AN_OBJECT)) == 0)] |= Fault.TIME_MISSING
    faults[ticks.time_us > received_us + recency.max_future_us] |= Fault.TIME_FUTURE
    oldest = np.full_like(received_us, EARLIEST_US)
    if recency.max_age_us is not None:
        oldest = np.maximum(oldest, received_us - recency.max_age_us)
    faults[(ticks.time_us < oldest) & ~absent] |= Fault.TIME_PAST
    # A date of its own may differ from the event's local date by a night session or a week-end, not by more.
    far = np.abs(ticks.trade_date.astype(np.int64) - ticks.time_us // sessions.DAY_US) > 7
    faults[far & ~absent & (ticks.trade_date != NO_DATE)] |= Fault.TRADE_DATE_MALFORMED


def _judge_numbers(ticks: Ticks, faults: Faults) -> None:
    trade = (ticks.kind == wire.Kind.TRADE) | (ticks.kind == wire.Kind.EXPECTED) | (ticks.kind == wire.Kind.SNAPSHOT)
    quote = ticks.kind == wire.Kind.QUOTE
    readable = (faults & np.uint32(Fault.NOT_AN_OBJECT)) == 0
    faults[((ticks.kind == 0) | (ticks.kind >= len(KIND_NAMES))) & readable & ((faults & np.uint32(Fault.KIND_UNKNOWN)) == 0)] |= (
        Fault.KIND_UNKNOWN
    )
    faults[ticks.side > wire.Side.SELL] |= Fault.SIDE_UNKNOWN

    said = np.uint32(
        Fault.PRICE_NOT_A_NUMBER | Fault.PRICE_NOT_FINITE | Fault.PRICE_OUT_OF_RANGE | Fault.PRICE_TOO_PRECISE
    )  # fmt: skip
    faults[trade & (ticks.price == ABSENT) & ((faults & said) == 0)] |= Fault.PRICE_MISSING
    said = np.uint32(Fault.SIZE_NOT_A_NUMBER | Fault.SIZE_NOT_FINITE | Fault.SIZE_OUT_OF_RANGE | Fault.SIZE_TOO_PRECISE)
    faults[(ticks.kind == wire.Kind.TRADE) & (ticks.size == ABSENT) & ((faults & said) == 0)] |= Fault.SIZE_MISSING
    for values in (ticks.price, ticks.bid, ticks.ask):
        given = values != ABSENT
        faults[given & (values <= 0)] |= Fault.PRICE_NOT_POSITIVE
        faults[given & (values > GREATEST_PRICE)] |= Fault.PRICE_OUT_OF_RANGE
    for values in (ticks.size, ticks.bid_size, ticks.ask_size, ticks.cum_volume):
        given = values != ABSENT
        faults[given & (values < 0)] |= Fault.SIZE_NEGATIVE
        faults[given & (values > (GREATEST_SIZE if values is not ticks.cum_volume else GREATEST_SIZE * 1000))] |= (
            Fault.SIZE_OUT_OF_RANGE
        )
    faults[quote & (ticks.bid == ABSENT) & (ticks.ask == ABSENT) & ((faults & np.uint32(Fault.PRICE_NOT_A_NUMBER)) == 0)] |= (
        Fault.QUOTE_EMPTY
    )
