"""Rows of features: at the end of each candle what was known of it and of those before it.

History is walked in stretches between which nothing that was known changed. Inside of one the ordinary arithmetic of
candles and indicators holds, for a value rests on its own candle and those before it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics import timeframes
from analytics.features import derived
from analytics.features.versions import FOREVER, Versions
from analytics.indicators import candles
from analytics.indicators.registry import Indicator, Number
from analytics.indicators.rolling import Float64
from analytics.timeframes import Timeframe
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.ticks import Int64, Mask

Chosen = Sequence[tuple[Indicator, dict[str, Number]]]
"""Indicators, each with all its parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Candles of one symbol as they were known at `known_us`, oldest first, and the values of each column beside them.
    Of an `unknown` one nothing can be told; its values are NaN."""

    bars: Bars
    known_us: Int64
    unknown: Mask
    values: dict[str, Float64]

    def __len__(self) -> int:
        return len(self.known_us)


def columns(chosen: Chosen) -> list[str]:
    """The names of all values, in their order."""
    return [*derived.ALL, *(name for indicator, _ in chosen for name in indicator.outputs)]


def reach(chosen: Chosen, timeframe: Timeframe) -> int:
    """How many candles before a row its values rest on."""
    anchored = any(indicator.anchored for indicator, _ in chosen)
    return max(
        derived.LOOKBACK,
        candles.most_of_anchor(timeframe) if anchored else 0,
        *(indicator.history(params) for indicator, params in chosen),
    )


def build(
    versions: Versions,
    timeframe: Timeframe,
    timezone: str,
    *,
    chosen: Chosen,
    grace_us: int,
    first_us: int,
    end_us: int,
) -> Rows:
    """The rows of the candles that begin at first_us <= time < end_us. A row is of `grace_us` after the end of its
    candle: whatever was committed by then is in it, and nothing else."""
    starts = np.unique(timeframe.starts(versions.bars.time_us, timezone))
    wanted = np.flatnonzero((starts >= first_us) & (starts < end_us))
    if not len(wanted):
        return _joined([], chosen, versions.bars.feed)
    ends = timeframe.ends(starts, timezone)
    known_us = ends + grace_us
    late = versions.since_us > versions.ends_us + grace_us
    breaks = np.unique(np.concatenate([versions.since_us[late], versions.until_us[versions.until_us < FOREVER]]))
    back = reach(chosen, timeframe) + changed(versions)

    stretch = np.searchsorted(breaks, known_us[wanted], side="right")
    parts = []
    for rows in np.split(wanted, np.flatnonzero(np.diff(stretch)) + 1):
        first, last = int(rows[0]), int(rows[-1])
        moment = int(known_us[first])
        held = (versions.since_us <= moment) & (moment < versions.until_us)
        held |= ~late & (versions.since_us > moment)  # in time, with a minute that ends within this stretch
        held &= (versions.bars.time_us >= starts[max(first - back, 0)]) & (versions.bars.time_us < ends[last])
        parts.append(_part(versions.take(held), timeframe, timezone, chosen, int(starts[first]), grace_us))
    return _joined(parts, chosen, versions.bars.feed)


def last(versions: Versions, timeframe: Timeframe, timezone: str, first_us: int, back: int) -> Versions:
    """What rows of candles from `first_us` on may still rest on, with `back` candles before a row."""
    starts = timeframe.starts(versions.bars.time_us, timezone)
    earlier = np.unique(starts[starts < first_us])[-(back + changed(versions)) :]
    return versions.take(starts >= (earlier[0] if len(earlier) else first_us))


def changed(versions: Versions) -> int:
    """How many minutes there are of which a candle was not always known, at most."""
    found = (versions.since_us > versions.ends_us) | (versions.until_us < FOREVER)
    return len(np.unique(versions.bars.time_us[found]))


def _part(held: Versions, timeframe: Timeframe, timezone: str, chosen: Chosen, first_us: int, grace_us: int) -> Rows:
    order = np.lexsort((held.bars.open_id, held.bars.open_time, held.bars.trade_date, held.bars.time_us))
    bars = timeframes.widen(held.bars.take(order), timeframe, timezone)
    unknown = np.isin(bars.time_us, timeframe.starts(held.bars.time_us[held.unknown], timezone))
    inputs = candles.inputs(bars, timeframe)
    for name in ("high", "low", "close", "volume", "price"):
        inputs[name][unknown] = np.nan
    values = {name: compute(inputs) for name, compute in derived.ALL.items()}
    for indicator, params in chosen:
        values |= indicator.values(inputs, params)
    shown = bars.time_us >= first_us
    return Rows(
        bars=bars.take(shown),
        known_us=timeframe.ends(bars.time_us[shown], timezone) + grace_us,
        unknown=unknown[shown],
        values={name: found[shown] for name, found in values.items()},
    )


def _joined(parts: list[Rows], chosen: Chosen, feed: str) -> Rows:
    nothing = np.zeros(0)
    return Rows(
        bars=minute_bars.joined([minute_bars.empty(feed), *(part.bars for part in parts)]),
        known_us=np.concatenate([np.zeros(0, np.int64), *(part.known_us for part in parts)]),
        unknown=np.concatenate([np.zeros(0, np.bool_), *(part.unknown for part in parts)]),
        values={
            name: np.concatenate([nothing, *(part.values[name] for part in parts)]) for name in columns(chosen)
        },
    )  # fmt: skip
