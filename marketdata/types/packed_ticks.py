"""Ticks of packed columns: batches of one feed, source and scale become the same arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from marketdata.types import day_figures, tick_arrays
from marketdata.types.day_figures import DAY_PRICES, DAY_SCALES, DayFigures
from marketdata.types.decoded_batches import (
    Decoded,
    PackedBatch,
    Shared,
    column_bytes,
    columns_of,
    common_symbols,
    ends_of,
    rescale,
    tick_ids,
)
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, DTYPES, NOTHING, PRICES, SIZES, Ticks
from terminals import wire


def decode(batches: Sequence[PackedBatch[wire.ColumnsLayout]]) -> list[Decoded]:
    """Batches of one feed, source and scale. A column that only some of them have is absent in the others' rows."""
    ends = ends_of(batches)
    rows, layout = ends[-1], batches[0].layout
    columns = tick_arrays.nothing(rows)
    faults = np.zeros(rows, np.uint64)
    symbols: list[str] = []
    day: DayFigures | None = None
    for column in columns_of(batches):
        name = _COLUMN_NAMES[column]
        values = np.frombuffer(column_bytes(column, _ABSENT_BYTES[column], batches), _WIRE_DTYPES[name])
        if name == "symbol":
            values, symbols = common_symbols(values, batches)
        elif name in PRICES:
            values = rescale(values, wire.PRICE_SCALE - layout.price_scale, faults, Fault.PRICE_OUT_OF_RANGE)
        elif name in SIZES:
            values = rescale(values, wire.SIZE_SCALE - layout.size_scale, faults, Fault.SIZE_OUT_OF_RANGE)
        elif name in DAY_SCALES:
            day = day_figures.absent(rows) if day is None else day
            exponent = 0 if name == "cum_value" else wire.PRICE_SCALE - layout.price_scale
            setattr(day, name, rescale(values, exponent, faults, _OUT_OF_RANGE[name]).astype(np.int64, copy=False))
            continue
        columns[name] = values.astype(DTYPES.get(name, np.int64), copy=False)
    feed, source_id = batches[0].header.feed, batches[0].given.source_id
    columns["tick_id"] = tick_ids([(one.given.batch, one.header.rows) for one in batches])
    shared = Shared(Ticks(feed=feed, source_id=source_id, symbols=symbols, day=day, **columns), faults)
    return [
        Decoded(
            header=one.header,
            faults=faults[end - one.header.rows : end],
            symbols=one.layout.symbols,
            given_dates=shared.ticks.trade_date[end - one.header.rows : end],
            shared=shared,
            start=end - one.header.rows,
        )
        for one, end in zip(batches, ends, strict=True)
    ]


_COLUMN_NAMES = {column: column.name.lower() for column in wire.Column}
_WIRE_DTYPES = {
    name: {2: "<u2", 1: "u1", 4: "<i4", 8: "<i8"}[wire.WIDTHS[column]] for column, name in _COLUMN_NAMES.items()
}
_ABSENT_BYTES = {
    column: np.array(
        wire.ABSENT_SYMBOL if column is wire.Column.SYMBOL else NOTHING.get(name, ABSENT), _WIRE_DTYPES[name]
    ).tobytes()
    for column, name in _COLUMN_NAMES.items()
}
"""Of each column a row in which nothing is given."""
_OUT_OF_RANGE = {
    **dict.fromkeys(DAY_PRICES, Fault.PRICE_OUT_OF_RANGE),
    "change_rate": Fault.CHANGE_RATE_OUT_OF_RANGE,
    "cum_value": Fault.VALUE_OUT_OF_RANGE,
}
