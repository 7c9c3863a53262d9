"""Voided ticks as arrays again, exactly as they were; and ticks of several sources as parts of one source each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from marketdata.models import VoidedTick
from marketdata.types import day_figures, tick_arrays
from marketdata.types.day_figures import DAY_SCALES
from marketdata.types.tick_arrays import KIND_NAMES, PRICES, SIDE_NAMES, SIZES, TICK_BITS, Ticks
from marketdata.types.units import day_of
from terminals import wire


def parts(rows: Sequence[VoidedTick]) -> list[Ticks]:
    """Voided ticks of one symbol and feed as they were, in their order, a part for each source."""
    if not rows:
        return []
    ticks = tick_arrays.empty(rows[0].feed, rows[0].source_id, len(rows), [rows[0].symbol])
    ticks.symbol[:] = 0
    for at, row in enumerate(rows):
        record: dict[str, Any] = json.loads(row.record)
        ticks.tick_id[at], ticks.time_us[at] = row.tick_id, row.time_us
        ticks.trade_date[at] = day_of(row.trade_date)
        ticks.kind[at] = KIND_NAMES.index(record["kind"]) if isinstance(record["kind"], str) else record["kind"]
        side = record.get("side", "")
        ticks.side[at] = SIDE_NAMES.index(side) if isinstance(side, str) else side
        for names, scale in ((PRICES, wire.PRICE_SCALE), (SIZES, wire.SIZE_SCALE)):
            for name in names:
                if name in record:
                    getattr(ticks, name)[at] = int(Decimal(record[name]).scaleb(scale))
        for name in DAY_SCALES.keys() & record.keys():
            ticks.day = day_figures.absent(len(rows)) if ticks.day is None else ticks.day
            getattr(ticks.day, name)[at] = int(Decimal(record[name]).scaleb(DAY_SCALES[name]))
        if "seq" in record:
            ticks.seq[at] = record["seq"]
    return list(by_source(ticks, {row.tick_id: row.source_id for row in rows}))


def categories(rows: Sequence[VoidedTick]) -> dict[str, str]:
    """The categories of the symbols whose day the voided snapshots told of, as they were stored."""
    told = ((row.symbol, json.loads(row.record).get("category")) for row in rows)
    return {symbol: category for symbol, category in told if category is not None}


def of_batch(batch: int) -> list[Ticks]:
    """The ticks of a batch that are voided now, as they were: by symbol, feed and source."""
    series: dict[tuple[str, str], list[VoidedTick]] = {}
    for row in VoidedTick.objects.filter(tick_id__gte=batch << TICK_BITS, tick_id__lt=(batch + 1) << TICK_BITS):
        series.setdefault((row.symbol, row.feed), []).append(row)
    return [part for rows in series.values() for part in parts(rows)]


def by_source(ticks: Ticks, sources: Mapping[int, int]) -> Iterator[Ticks]:
    """The ticks by source, for arrays have one. `sources` names it for each tick_id."""
    of = np.array([sources[tick_id] for tick_id in ticks.tick_id.tolist()], np.int64)
    for source in np.unique(of).tolist():
        yield replace(ticks.take(of == source), source_id=int(source))
