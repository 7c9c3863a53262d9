"""Minute candles as arrays: a partial one (what a batch adds) and a whole one look the same, because merging is
associative."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from marketdata.types.tick_arrays import Int32, Int64, numbered, packed_ratio
from terminals import wire

VALUE_UNIT = 10**wire.VALUE_SCALE  # value is price x size: 1e-8 times 1e-6


MOST = 9 * 10**18
"""Volume (1e-6) and traded value (whole) of a minute candle are below this, either way: what would go beyond is refused
(docs/adr/0013). Sums of many candles stay there."""
Key = tuple[str, int, int]
"""Symbol, minute and trading date (days since 1970) of a candle."""


class SumTooLargeError(Exception):
    """Trades would take the volume or traded value of these candles of a feed to MOST; nothing may be kept of them."""

    def __init__(self, feed: str, keys: Iterable[Key]) -> None:
        self.feed, self.keys = feed, frozenset(keys)
        super().__init__(f"the volume or traded value of {len(self.keys)} candles of {feed} would be too large")


@dataclass(slots=True, kw_only=True)
class Bars:
    """One row per (symbol, minute) of a feed. Prices in 1e-8, volume in 1e-6; traded value = value + value_frac x
    1e-14, where value is rounded down and value_frac never negative.

    `open_time`/`open_id` and `close_time`/`close_id` are the (event time, tick_id) of the first and the last tick,
    which is what makes merging independent of order. `n` counts ticks, `rev` the corrections after the candle had
    closed.
    """

    feed: str
    symbols: list[str]
    symbol: Int32
    time_us: Int64
    trade_date: Int32
    open: Int64
    high: Int64
    low: Int64
    close: Int64
    volume: Int64
    value: Int64
    value_frac: Int64
    n: Int64
    rev: Int64
    open_time: Int64
    open_id: Int64
    close_time: Int64
    close_id: Int64

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, chosen: npt.NDArray[Any] | slice) -> Bars:
        """The rows of a mask, of indices or of a slice, in that order."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})


_OPENED, _CLOSED = ("open_time", "open_id"), ("close_time", "close_id")
COLUMNS = tuple(f.name for f in fields(Bars) if f.name not in ("feed", "symbols"))
_DTYPES: dict[str, Any] = {"symbol": np.int32, "trade_date": np.int32}


def sums(values: Int64, first: Int64) -> Int64:
    """The sums of the groups that begin at `first`; one that would be beyond MOST, either way, stays there."""
    if float(np.abs(values).max()) * len(values) < MOST:
        return np.add.reduceat(values, first)
    exact = np.add.reduceat(values.astype(object), first)
    return np.array([min(max(int(total), -MOST), MOST) for total in exact], np.int64)


def believable(bars: Bars) -> Bars:
    """The same candles; SumTooLargeError if a sum of one has reached MOST."""
    wrong = (bars.volume >= MOST) | (np.abs(bars.value) >= MOST)
    if wrong.any():
        raise SumTooLargeError(bars.feed, keys(bars.take(wrong)))
    return bars


def keys(bars: Bars) -> list[Key]:
    """What each candle is called."""
    columns = (bars.symbol.tolist(), bars.time_us.tolist(), bars.trade_date.tolist())
    return [(bars.symbols[index], minute, date) for index, minute, date in zip(*columns, strict=True)]


def empty(feed: str = "") -> Bars:
    """No candle at all."""
    return from_rows(feed, [])


def from_rows(feed: str, rows: list[tuple[Any, ...]]) -> Bars:
    """Candles from rows whose first value is the symbol and whose others follow the columns' order."""
    if not rows:
        return Bars(feed=feed, symbols=[], **{name: np.zeros(0, _DTYPES.get(name, np.int64)) for name in COLUMNS})
    symbols, chosen = numbered([row[0] for row in rows])
    numbers = np.array([row[1:] for row in rows], np.int64)
    return Bars(feed=feed, symbols=symbols, **{"symbol": np.array(chosen, np.int32), **_columns(numbers)})


def from_numbers(feed: str, symbol: str, numbers: Int64) -> Bars:
    """Candles of one symbol, a row each, with the columns after the symbol in their order; those left out at the end
    become 0."""
    columns = _columns(numbers)
    columns |= {name: np.zeros(len(numbers), np.int64) for name in COLUMNS[1:] if name not in columns}
    return Bars(feed=feed, symbols=[symbol], symbol=np.zeros(len(numbers), np.int32), **columns)


def _columns(numbers: Int64) -> dict[str, Any]:
    """The columns after the symbol, from rows that have some of them in their order."""
    columns = np.ascontiguousarray(numbers.T)
    return {
        name: column.astype(_DTYPES.get(name, np.int64), copy=False)
        for name, column in zip(COLUMNS[1:], columns, strict=False)
    }


def concatenate(parts: list[Bars]) -> Bars:
    """Candles of one feed after each other; no two parts may share a symbol."""
    offsets = np.cumsum([0, *(len(part.symbols) for part in parts[:-1])])
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS if name != "symbol"}
    symbol = np.concatenate([part.symbol + np.int32(offset) for part, offset in zip(parts, offsets, strict=True)])
    return Bars(feed=parts[0].feed, symbols=[s for part in parts for s in part.symbols], symbol=symbol, **columns)


def joined(parts: list[Bars]) -> Bars:
    """Candles of one symbol after each other."""
    full = [part for part in parts if len(part)]
    if len(full) < 2:
        return full[0] if full else parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in full]) for name in COLUMNS}
    return Bars(feed=full[0].feed, symbols=full[0].symbols, **columns)


def merged(one: Bars, other: Bars) -> Bars:
    """Partial candles of one feed, put together where both sides have one of a symbol, and ordered by symbol; each side
    is ordered so and has a symbol once, and `symbol` means the same on both. The merge of the databases (`rev` is the
    sum). SumTooLargeError if a sum reaches MOST."""
    both = joined([one, other])
    order = np.argsort(both.symbol, kind="stable")
    both = both.take(order)
    twice = np.flatnonzero(both.symbol[1:] == both.symbol[:-1])
    if not len(twice):
        return both
    keep = np.ones(len(both), np.bool_)
    keep[twice + 1] = False
    left, right = both.take(twice), both.take(twice + 1)
    later = (right.open_time > left.open_time) | ((right.open_time == left.open_time) & (right.open_id > left.open_id))
    ends = (right.close_time > left.close_time) | (
        (right.close_time == left.close_time) & (right.close_id > left.close_id)
    )
    carried, fraction = np.divmod(left.value_frac + right.value_frac, VALUE_UNIT)
    together = replace(
        left,
        high=np.maximum(left.high, right.high), low=np.minimum(left.low, right.low),
        volume=_sum(left.volume, right.volume), value=_sum(left.value, right.value) + carried, value_frac=fraction,
        n=left.n + right.n, rev=left.rev + right.rev,
        **{name: np.where(later, getattr(left, name), getattr(right, name)) for name in ("open", *_OPENED)},
        **{name: np.where(ends, getattr(right, name), getattr(left, name)) for name in ("close", *_CLOSED)},
    )  # fmt: skip
    for name in COLUMNS:
        getattr(both, name)[twice] = getattr(believable(together), name)
    return both.take(keep)


def _sum(one: Int64, other: Int64) -> Int64:
    """The sums of numbers below MOST, which fit into 64 bits unless both are large; those stay at MOST."""
    large = np.abs(one.astype(np.float64) + other.astype(np.float64)) >= MOST
    found: Int64 = np.where(large, MOST, np.where(large, 0, one) + np.where(large, 0, other))
    return found


def changes(stored: Bars, wanted: Bars) -> tuple[list[int], Bars]:
    """What to do so that one symbol's stored candles become the wanted ones: minutes to delete, and candles to write,
    whose `rev` is one more than before where they differ from a stored one (which is not counted as a difference)."""
    compared = [name for name in COLUMNS if name not in ("rev", "symbol")]

    def rows(bars: Bars) -> dict[int, tuple[int, ...]]:
        return {row[0]: row for row in zip(*(getattr(bars, name).tolist() for name in compared), strict=True)}

    old, new = rows(stored), rows(wanted)
    chosen = [at for at, minute in enumerate(wanted.time_us.tolist()) if old.get(minute) != new[minute]]
    written = wanted.take(np.array(chosen, np.int64))
    before = dict(zip(stored.time_us.tolist(), stored.rev.tolist(), strict=True))
    written.rev = np.array(
        [before[minute] + 1 if minute in before else 0 for minute in written.time_us.tolist()], np.int64
    )
    return sorted(old.keys() - new.keys()), written


def pack(bars: Bars) -> bytes:
    """Candles as one msgpack blob."""
    columns = {name: getattr(bars, name).astype("<i8", copy=False).tobytes() for name in COLUMNS}
    packed: bytes = msgpack.packb([bars.feed, bars.symbols, columns, wire.SIZE_SCALE])
    return packed


def unpack(blob: bytes) -> Bars:
    """The inverse of `pack`."""
    feed, symbols, columns, *scale = msgpack.unpackb(blob)
    arrays = {
        name: np.frombuffer(columns[name], "<i8").astype(_DTYPES.get(name, np.int64), copy=False) for name in COLUMNS
    }
    if (factor := packed_ratio(*scale)) != 1:
        arrays["volume"], arrays["value_frac"] = arrays["volume"] * factor, arrays["value_frac"] * factor
    return Bars(feed=feed, symbols=symbols, **arrays)
