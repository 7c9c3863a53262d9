"""Rows of features: at the end of each candle what was known of it and of those before it.

History is walked in stretches between which nothing that was known changed. Inside of one the ordinary arithmetic of
candles and indicators holds, for a value rests on its own candle and those before it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.features import derived
from analytics.features.versions import FOREVER, Versions
from analytics.indicators import candles
from analytics.indicators.registry import Indicator, Number
from analytics.indicators.rolling import Float64
from analytics.series import timeframes
from analytics.series.timeframes import Timeframe
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Int64, Mask

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
    of = timeframe.starts(versions.bars.time_us, timezone)
    starts = np.unique(of)
    wanted = np.flatnonzero((starts >= first_us) & (starts < end_us))
    if not len(wanted):
        return _joined([], chosen, versions.bars.feed)
    known_us = timeframe.ends(starts, timezone) + grace_us
    # Row i sees a version if since <= i < until; a row before that of its candle looks at none of it.
    own = np.searchsorted(starts, of)
    since = np.maximum(np.searchsorted(known_us, versions.since_us), own)
    until = np.searchsorted(known_us, versions.until_us)
    seen = np.flatnonzero(since < until)
    seen = seen[np.argsort(own[seen], kind="stable")]
    versions, own, since, until = versions.take(seen), own[seen], since[seen], until[seen]
    back = reach(chosen, timeframe) + _uncovered(versions.bars, until - since, len(starts) - own)
    # What changes while a row still looks at its candle begins a stretch.
    late, over = since > own, until < len(starts)
    breaks = np.concatenate([since[late & (own >= since - back)], until[over & (own >= until - back)]])

    parts: list[Rows] = []
    for rows in np.split(wanted, np.searchsorted(wanted, np.unique(breaks))):
        if not len(rows):
            continue
        first, last = int(rows[0]), int(rows[-1])
        near = slice(*np.searchsorted(own, [first - back, last + 1]))
        held = (until[near] > first) & ((since[near] <= first) | ~late[near])
        part = versions.take(np.flatnonzero(held) + near.start)
        parts.append(_part(part, timeframe, timezone, chosen, int(starts[first]), grace_us))
    return _joined(parts, chosen, versions.bars.feed)


def last(versions: Versions, timeframe: Timeframe, timezone: str, first_us: int, back: int) -> Versions:
    """What rows of candles from `first_us` on may still rest on, with `back` candles before a row."""
    starts = timeframe.starts(versions.bars.time_us, timezone)
    earlier = np.unique(starts[starts < first_us])[-(back + absent(versions)) :]
    return versions.take(starts >= (earlier[0] if len(earlier) else first_us))


def absent(versions: Versions) -> int:
    """How many minutes there are, at most, of which there was no candle at some moment after their end: at that moment
    a row rests on a candle more before them."""
    return _uncovered(versions.bars, versions.until_us - versions.since_us, FOREVER - versions.ends_us)


def _uncovered(bars: Bars, stretch: Int64, whole: Int64) -> int:
    """How many minutes have no trading date whose versions' stretches, which do not overlap, are together the whole."""
    if not len(bars):
        return 0
    order = np.lexsort((bars.trade_date, bars.time_us))
    minute, date = bars.time_us[order], bars.trade_date[order]
    first = np.append(0, np.flatnonzero((minute[1:] != minute[:-1]) | (date[1:] != date[:-1])) + 1)
    always = np.add.reduceat(stretch[order], first) >= whole[order][first]
    return len(np.unique(minute)) - len(np.unique(minute[first][always]))


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
