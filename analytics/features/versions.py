"""Candles as they were known, not as they are: each version of a minute candle with the stretch of time in which a
reader was told of it.

A late trade, a requeued one and one taken back change a candle that others have acted upon. Whoever learns from
history must see at each moment what could be seen then.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics import candles
from marketdata.types import minute_bars
from marketdata.types.minute_bars import MINUTE_US, Bars
from marketdata.types.ticks import Int64, Mask, Ticks

FOREVER = 2**63 - 1
"""Until when a version holds that nothing has changed since."""


@dataclass(slots=True, kw_only=True)
class Versions:
    """Minute candles of one symbol, a row for each version. Row i was what is known from `since_us[i]` (included; in
    microseconds UTC, the end of its minute at the earliest) to `until_us[i]` (not included). Of an `unknown` one it
    cannot be told any more what was known, and its figures are those of today."""

    bars: Bars
    since_us: Int64
    until_us: Int64
    unknown: Mask

    def __len__(self) -> int:
        return len(self.since_us)

    def take(self, chosen: Mask | Int64) -> Versions:
        """The versions of a mask or of indices, in that order."""
        return Versions(
            bars=self.bars.take(chosen),
            since_us=self.since_us[chosen],
            until_us=self.until_us[chosen],
            unknown=self.unknown[chosen],
        )

    @property
    def ends_us(self) -> Int64:
        """When the minute of each ends, in microseconds UTC."""
        return self.bars.time_us + MINUTE_US


def unchanged(bars: Bars) -> Versions:
    """Candles that were known with their minute's end and never changed."""
    return _whole(bars, unknown=False)


def untold(bars: Bars) -> Versions:
    """Candles that changed, and of which it is not known how: their trades are gone."""
    return _whole(bars, unknown=True)


def _whole(bars: Bars, *, unknown: bool) -> Versions:
    rows = len(bars)
    return Versions(
        bars=bars,
        since_us=bars.time_us + MINUTE_US,
        until_us=np.full(rows, FOREVER, np.int64),
        unknown=np.full(rows, unknown),
    )


def of_trades(ticks: Ticks, known_us: Int64, gone_us: Int64) -> Versions:
    """The versions of all candles that these trades of one symbol ever made. A trade counts from `known_us`, when it
    was committed, to `gone_us`, when it was taken back (FOREVER if it was not)."""
    parts = [_whole(minute_bars.empty(ticks.feed), unknown=False)]
    keys = np.stack([ticks.time_us // MINUTE_US, ticks.trade_date.astype(np.int64)], axis=1)
    for key in np.unique(keys, axis=0):
        rows = np.flatnonzero((keys == key).all(axis=1))
        parts.append(_of_minute(ticks.take(rows), known_us[rows], gone_us[rows], (int(key[0]) + 1) * MINUTE_US))
    return joined(parts)


def _of_minute(ticks: Ticks, known_us: Int64, gone_us: Int64, end_us: int) -> Versions:
    moments = np.unique(np.concatenate([known_us, gone_us]))
    moments = np.unique(np.maximum(moments, end_us))  # what changed while the minute was open is no version
    parts = [_whole(minute_bars.empty(ticks.feed), unknown=False)]
    for since_us, until_us in itertools.pairwise([*moments.tolist(), FOREVER]):
        bars = candles.build(ticks.take((known_us <= since_us) & (since_us < gone_us)))
        if len(bars) and since_us < until_us:
            one = _whole(bars, unknown=False)
            one.since_us[:], one.until_us[:] = since_us, until_us
            parts.append(one)
    return joined(parts)


def joined(parts: Sequence[Versions]) -> Versions:
    """Versions of one symbol's candles together."""
    return Versions(
        bars=minute_bars.joined([part.bars for part in parts]),
        since_us=np.concatenate([part.since_us for part in parts]),
        until_us=np.concatenate([part.until_us for part in parts]),
        unknown=np.concatenate([part.unknown for part in parts]),
    )
