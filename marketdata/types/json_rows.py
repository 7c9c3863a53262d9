"""Ticks of JSON rows, as terminals that cannot pack columns send them: each value is read exactly, or is a fault of its
row."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np

from marketdata.types import day_figures, tick_arrays
from marketdata.types.day_figures import DAY_PRICES, DAY_SCALES
from marketdata.types.decoded_batches import Decoded, Faults, Shared, WireBatch, tick_ids
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import KIND_NAMES, PRICES, SIDE_NAMES, SIZES, Ticks
from marketdata.types.units import day_of, microseconds
from terminals import wire


def decode(one: WireBatch, header: wire.BatchHeader) -> Decoded:
    """A batch of JSON rows of ticks. `wire.BatchError` when it is unreadable as a whole."""
    records = wire.parse_rows(one.payload, header)
    ticks = tick_arrays.empty(header.feed, one.source_id, len(records))
    faults, noise = read_rows(ticks, records)
    for row, record in enumerate(records):
        if isinstance(record, dict) and record.get("kind") in (None, ""):
            ticks.kind[row] = wire.Kind.TRADE
    ticks.tick_id = tick_ids([(one.batch, len(records))])
    return Decoded(
        header=header,
        faults=faults,
        symbols=ticks.symbols,
        raw=records,
        noise=noise,
        given_dates=ticks.trade_date,
        shared=Shared(ticks, faults),
    )


def read_rows(ticks: Ticks, records: Sequence[object], only: Collection[str] | None = None) -> tuple[Faults, int]:
    """Fill ticks from JSON rows, with their symbols and the fields `only` (None: all there are): each row's faults, and
    in how many rows a number had float noise."""
    faults = np.zeros(len(records), np.uint64)
    index: dict[str, int] = {}
    noise = 0
    chosen, of_day = _ROW_READERS, _DAY_READERS
    if only is not None:
        chosen, of_day = tuple(one for one in _ROW_READERS if one[0] in only), ()
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            faults[row] |= np.uint64(Fault.NOT_AN_OBJECT)
            continue
        symbol = record.get("symbol")
        if isinstance(symbol, str) and 0 < len(symbol) <= 24 and symbol.isascii() and symbol.isprintable():
            ticks.symbol[row] = index.setdefault(symbol, len(index))
        elif symbol is not None and symbol != "":
            faults[row] |= np.uint64(Fault.SYMBOL_UNKNOWN)
        readers = chosen if DAY_SCALES.keys().isdisjoint(record) else (*chosen, *of_day)
        found, noisy = _read_row(ticks, row, record, readers)
        faults[row] |= np.uint64(found)
        noise += noisy
    ticks.symbols = list(index)
    return faults, noise


def _read_row(ticks: Ticks, row: int, record: dict[str, Any], readers: Iterable[Reader]) -> tuple[int, bool]:
    """The row's faults, and whether a number had float noise."""
    found, noisy = 0, False
    for name, read, wrong in readers:
        value = record.get(name)
        if value is None or value == "":
            continue
        try:
            number, seen_through = read(value)
            if name in DAY_SCALES:
                ticks.day = day_figures.absent(len(ticks)) if ticks.day is None else ticks.day
                getattr(ticks.day, name)[row] = number
            else:
                getattr(ticks, name if name != "time" else "time_us")[row] = number
            noisy |= seen_through
        except _Unusable as unusable:
            found |= unusable.fault
        except (ValueError, TypeError, OverflowError):
            found |= wrong
    return found, noisy


class _Unusable(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


Read = Callable[[object], tuple[int, bool]]
"""Reads a value of a row: the integer, and whether a spreadsheet's way to write it was seen through."""
Reader = tuple[str, Read, Fault]
"""A field of a row, who reads it, and what is wrong if nobody can."""


def _number(scale: int, not_finite: Fault, too_precise: Fault, out_of_range: Fault) -> Read:
    """Decimal text or a JSON number (which comes as text or an integer) in 10**-scale, exactly."""

    def read(value: object) -> tuple[int, bool]:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(value)
        try:
            return wire.numbers.read(value if isinstance(value, str) else str(value), scale)
        except wire.numbers.NotFiniteError:
            raise _Unusable(not_finite) from None
        except wire.numbers.TooPreciseError:
            raise _Unusable(too_precise) from None
        except wire.numbers.TooLargeError:
            raise _Unusable(out_of_range) from None

    return read


_price = _number(wire.PRICE_SCALE, Fault.PRICE_NOT_FINITE, Fault.PRICE_TOO_PRECISE, Fault.PRICE_OUT_OF_RANGE)
_size = _number(wire.SIZE_SCALE, Fault.SIZE_NOT_FINITE, Fault.SIZE_TOO_PRECISE, Fault.SIZE_OUT_OF_RANGE)
# RFC 3339. The seconds may have any number of decimal places; what is finer than a microsecond is cut off.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,40})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _time(value: object) -> tuple[int, bool]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, False
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("a time has an offset, such as Z or +09:00")
    return microseconds(datetime.datetime.fromisoformat(value.upper())), False


def _named(names: tuple[str, ...], fault: Fault) -> Read:
    def read(value: object) -> tuple[int, bool]:
        if not isinstance(value, str) or value not in names:
            raise _Unusable(fault)
        return names.index(value), False

    return read


def _whole(value: object) -> tuple[int, bool]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    return wire.numbers.read_whole(str(value))


def _date(value: object) -> tuple[int, bool]:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(value)
    return day_of(datetime.date.fromisoformat(value)), False


_ROW_READERS: tuple[Reader, ...] = (
    ("time", _time, Fault.TIME_MALFORMED),
    ("kind", _named(KIND_NAMES, Fault.KIND_UNKNOWN), Fault.KIND_UNKNOWN),
    ("side", _named(SIDE_NAMES, Fault.SIDE_UNKNOWN), Fault.SIDE_UNKNOWN),
    *((name, _price, Fault.PRICE_NOT_A_NUMBER) for name in PRICES),
    *((name, _size, Fault.SIZE_NOT_A_NUMBER) for name in SIZES),
    ("seq", _whole, Fault.SEQ_MALFORMED),
    ("trade_date", _date, Fault.TRADE_DATE_MALFORMED),
)
_rate = _number(
    day_figures.RATE_SCALE,
    Fault.CHANGE_RATE_MALFORMED,
    Fault.CHANGE_RATE_MALFORMED,
    Fault.CHANGE_RATE_OUT_OF_RANGE,
)
_value = _number(day_figures.DAY_VALUE_SCALE, Fault.VALUE_MALFORMED, Fault.VALUE_MALFORMED, Fault.VALUE_OUT_OF_RANGE)
_DAY_READERS: tuple[Reader, ...] = (
    *((name, _price, Fault.PRICE_NOT_A_NUMBER) for name in DAY_PRICES),
    ("change_rate", _rate, Fault.CHANGE_RATE_MALFORMED),
    ("cum_value", _value, Fault.VALUE_MALFORMED),
)
