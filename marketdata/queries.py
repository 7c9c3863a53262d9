"""Questions to the stored data, answered in arrays. Pages go on after the key where the last one ended."""

from __future__ import annotations

from collections.abc import Sequence

from marketdata.bars import Bars
from marketdata.storage import TickKey, storage
from marketdata.ticks import Ticks


def read_ticks(
    symbols: Sequence[str],
    feed: str,
    start_us: int,
    end_us: int,
    *,
    kind: int,
    after: TickKey | None,
    limit: int,
    ascending: bool = True,
) -> list[tuple[str, Ticks]]:
    """At most `limit` ticks with start_us <= time < end_us: symbol after symbol in code order, each in time order."""
    found: list[tuple[str, Ticks]] = []
    for symbol, key in _after(symbols, after, ascending):
        ticks = storage().read_ticks(
            symbol, feed, start_us, end_us, kind=kind, after=key, limit=limit, ascending=ascending
        )
        if len(ticks):
            found.append((symbol, ticks))
            limit -= len(ticks)
        if limit <= 0:
            break
    return found


def read_minutes(
    symbols: Sequence[str],
    feed: str,
    start_us: int,
    end_us: int,
    *,
    after: TickKey | None,
    limit: int,
    ascending: bool = True,
) -> list[tuple[str, Bars]]:
    """At most `limit` minute candles with start_us <= minute < end_us: symbol after symbol in code order, each in
    time order."""
    found: list[tuple[str, Bars]] = []
    for symbol, key in _after(symbols, after, ascending):
        bars = storage().read_minutes(symbol, feed, start_us, end_us, after=key, limit=limit, ascending=ascending)
        if len(bars):
            found.append((symbol, bars))
            limit -= len(bars)
        if limit <= 0:
            break
    return found


def _after(symbols: Sequence[str], after: TickKey | None, ascending: bool) -> list[tuple[str, TickKey | None]]:
    ordered = sorted(set(symbols), reverse=not ascending)
    if after is None:
        return [(symbol, None) for symbol in ordered]
    return [
        (symbol, after if symbol == after.symbol else None)
        for symbol in ordered
        if (symbol >= after.symbol if ascending else symbol <= after.symbol)
    ]
