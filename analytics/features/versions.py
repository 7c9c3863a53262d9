"""Candles as they were known, not as they are: each version of a minute candle with the stretch of time in which a
reader was told of it.

A late trade, a requeued one and one taken back change a candle that others have acted upon. Whoever learns from
history must see at each moment what could be seen then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analytics.series import candles
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Int64, Mask, Ticks
from marketdata.types.units import MINUTE_US

FOREVER = 2**63 - 1
"""Until when a version holds that nothing has changed since."""
TOGETHER = 100_000
"""Trades whose candles are made at once."""


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
    was committed, to `gone_us`, when it was taken back (FOREVER if it was not). What changed while a minute was open is
    no version."""
    ends_us = (ticks.time_us // MINUTE_US + 1) * MINUTE_US
    since, until = np.maximum(known_us, ends_us), np.maximum(gone_us, ends_us)
    rows = np.flatnonzero(tick_arrays.trades(ticks) & (since < until))
    rows = rows[np.lexsort((ticks.trade_date[rows], ticks.time_us[rows] // MINUTE_US))]
    found = (_of_candles(ticks.take(some), since[some], until[some]) for some in _by_candles(ticks, rows))
    return joined([_whole(minute_bars.empty(ticks.feed), unknown=False), *found])


def _by_candles(ticks: Ticks, rows: Int64) -> Iterator[Int64]:
    """Rows that are in the order of candles, about TOGETHER at a time, those of a candle never apart."""
    minute, date = ticks.time_us[rows] // MINUTE_US, ticks.trade_date[rows]
    first = np.append(0, np.flatnonzero((minute[1:] != minute[:-1]) | (date[1:] != date[:-1])) + 1)
    cuts = first[np.unique(np.searchsorted(first, np.arange(TOGETHER, len(rows), TOGETHER)).clip(max=len(first) - 1))]
    yield from (part for part in np.split(rows, cuts) if len(part))


def _of_candles(ticks: Ticks, since: Int64, until: Int64) -> Versions:
    """As `of_trades`, of trades that each count for a while, in the order of their candles."""
    minute, date = ticks.time_us // MINUTE_US, ticks.trade_date
    candle = np.append(0, np.cumsum((minute[1:] != minute[:-1]) | (date[1:] != date[:-1])))
    # A version for each candle and moment at which it changed; those of a candle lie together, in the order of time.
    ends = until < FOREVER
    of, moments = np.append(candle, candle[ends]), np.append(since, until[ends])
    order = np.lexsort((moments, of))
    new = np.append(True, (of[order][1:] != of[order][:-1]) | (moments[order][1:] != moments[order][:-1]))
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    of, moments = of[order][new], moments[order][new]
    behind = np.searchsorted(of, np.arange(candle[-1] + 1), side="right")  # the versions of each candle
    first, last = place[: len(candle)], behind[candle]
    last[ends] = place[len(candle) :]
    bars, there = _summed(ticks, first, last, len(of))
    next_us = np.append(moments[1:], FOREVER)
    next_us[behind - 1] = FOREVER
    made = _whole(bars, unknown=False)
    made.since_us, made.until_us = moments[there], next_us[there]
    return made


def _summed(ticks: Ticks, first: Int64, last: Int64, count: int) -> tuple[Bars, Int64]:
    """(The candles of `count` versions, in order, each of the trades with first <= version < last; which versions have
    one.) Every trade goes into the few nodes of a binary tree over the versions that make up its stretch, and each
    version is what the nodes above it have together: trades by the logarithm of versions, whatever they are."""
    size = 1 << max(count - 1, 0).bit_length()
    left, right, row = first + size, last + size, np.arange(len(first))
    nodes, rows = [], []
    while len(row):
        for chosen, node in ((left & 1 == 1, left), (right & 1 == 1, right - 1)):
            nodes.append(node[chosen])
            rows.append(row[chosen])
        left, right = (left + 1) >> 1, right >> 1
        going = left < right
        left, right, row = left[going], right[going], row[going]
    node, row = np.concatenate(nodes), np.concatenate(rows)
    names, node = np.unique(node, return_inverse=True)
    trades = replace(ticks.take(row), symbols=[f"{name:010d}" for name in names.tolist()], symbol=node.astype(np.int32))
    level = candles.build(trades)  # one candle for each node that has trades
    level.symbol[:] = names[level.symbol]
    found = level.take(level.symbol < 2)
    for depth in range(1, size.bit_length()):
        own = level.take((level.symbol >= 1 << depth) & (level.symbol < 2 << depth))
        children = found.take(np.repeat(np.arange(len(found)), 2))
        children.symbol = (found.symbol[:, None] * 2 + np.array([0, 1], np.int32)).ravel()
        found = minute_bars.merged(own, children.take(children.symbol - size < count))
    there = found.symbol.astype(np.int64) - size
    return replace(found, symbols=ticks.symbols, symbol=np.zeros(len(found), np.int32)), there


def joined(parts: Sequence[Versions]) -> Versions:
    """Versions of one symbol's candles together."""
    return Versions(
        bars=minute_bars.joined([part.bars for part in parts]),
        since_us=np.concatenate([part.since_us for part in parts]),
        until_us=np.concatenate([part.until_us for part in parts]),
        unknown=np.concatenate([part.unknown for part in parts]),
    )
