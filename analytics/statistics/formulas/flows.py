"""Who traded actively and in which sizes, by minute. Pure.

A trade is up when the feed says that the buyer came to the price, down when it was the seller. Where the feed does not
say, the tick rule tells: up when the last other price before it was lower, down when it was higher (C. Lee and M.
Ready, Journal of Finance 46 (1991)). A minute by itself cannot tell of the trades before its first change of price:
they are its `lead`, and `split` decides them by the minutes before. So a minute depends on its own trades alone, and
one that changes costs no other one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import ABSENT, SIZE_UNIT, Int64, Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

BOUNDS = (10, 100, 1_000, 10_000, 100_000)
"""Where the classes of trade sizes end, in shares; the last class has no end."""
CLASSES = len(BOUNDS) + 1
CHECKED = ("n", "rev", "volume", "value", "value_frac")
"""What of a candle tells that its minute has other trades than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """A row for each minute of a series in order: sizes in 1e-6, `sign` that of the minute's last change of price (0
    without one), `classes` how many trades there are of each class of size (minutes x CLASSES), and what is CHECKED of
    the candle when the trades were read."""

    time_us: Int64
    up: Int64
    down: Int64
    lead: Int64
    sign: Int64
    classes: Int64
    n: Int64
    rev: Int64
    volume: Int64
    value: Int64
    value_frac: Int64

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, chosen: npt.NDArray[Any]) -> Flows:
        """The rows of a mask or of indices, in that order."""
        return Flows(**{name: getattr(self, name)[chosen] for name in _COLUMNS})


_COLUMNS = tuple(one.name for one in fields(Flows))


def empty() -> Flows:
    """No minute at all."""
    columns = {name: np.zeros(0, np.int64) for name in _COLUMNS}
    return Flows(**{**columns, "classes": np.zeros((0, CLASSES), np.int64)})


def of_trades(trades: Ticks, candles: Bars) -> Flows:
    """Of the trades of one series, which are ordered by (time, tick_id) and count for candles; `candles` has the candle
    of each of their minutes, and a minute without a trade is all 0."""
    minute = trades.time_us // MINUTE_US * MINUTE_US
    row = np.searchsorted(candles.time_us, minute)
    inside = (row < len(candles)) & (candles.time_us[np.minimum(row, len(candles) - 1)] == minute)
    row, price, side = row[inside], trades.price[inside], trades.side[inside]
    size = np.where(trades.size[inside] == ABSENT, 0, trades.size[inside])
    rule, last = _tick_rule(row, price)
    signs = np.where(side == wire.Side.BUY, 1, np.where(side == wire.Side.SELL, -1, rule))
    shape = len(candles)
    sign = np.zeros(shape, np.int64)
    sign[row[last]] = rule[last]
    kind = np.searchsorted(np.array(BOUNDS) * SIZE_UNIT, size, side="right")
    classes = np.bincount(row * CLASSES + kind, minlength=shape * CLASSES).reshape(shape, CLASSES).astype(np.int64)
    return Flows(
        time_us=candles.time_us, sign=sign, classes=classes,
        **{name: _sums(row, np.where(signs == which, size, 0), shape)
           for name, which in (("up", 1), ("down", -1), ("lead", 0))},
        **{name: getattr(candles, name) for name in CHECKED},
    )  # fmt: skip


def _tick_rule(row: Int64, price: Int64) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """(sign of the last change of price within its minute, 0 before the first; which trades are a minute's last)."""
    first = np.ones(len(row), np.bool_)
    first[1:] = row[1:] != row[:-1]
    change = np.sign(np.diff(price, prepend=price[:1]))
    change[first] = 0
    place = np.arange(len(row))
    begin = np.maximum.accumulate(np.where(first, place, 0))
    known = np.maximum.accumulate(np.where(change != 0, place, -1))
    return np.where(known >= begin, change[np.maximum(known, 0)], 0), np.append(first[1:], True)[: len(row)]


def _sums(row: Int64, values: Int64, count: int) -> Int64:
    totals = np.zeros(count, np.int64)
    np.add.at(totals, row, values)
    return totals


def split(flows: Flows, open_: Int64, close: Int64) -> tuple[int, int]:
    """(up, down) volume over these minutes in 1e-6, by the open and close of each of their candles. What comes before
    the first change of price of them all is neither."""
    if not len(flows):
        return 0, 0
    entering = np.zeros(len(flows), np.int64)
    entering[1:] = np.sign(open_[1:] - close[:-1])
    both = np.column_stack((entering, flows.sign)).ravel()  # in the order in which prices changed
    known = np.maximum.accumulate(np.where(both != 0, np.arange(len(both)), -1))
    before = np.where(known >= 0, both[np.maximum(known, 0)], 0)[::2]
    return (
        int(flows.up.sum() + flows.lead[before > 0].sum()),
        int(flows.down.sum() + flows.lead[before < 0].sum()),
    )


def changed(kept: Flows, candles: Bars) -> npt.NDArray[np.bool_]:
    """A mask of the candles of a day, in the order of time, of which `kept` has no row made of the same trades."""
    if not len(kept):
        return np.ones(len(candles), np.bool_)
    place = np.minimum(np.searchsorted(kept.time_us, candles.time_us), len(kept) - 1)
    same: npt.NDArray[np.bool_] = kept.time_us[place] == candles.time_us
    for name in CHECKED:
        same &= getattr(kept, name)[place] == getattr(candles, name)
    return ~same


def merged(kept: Flows, fresh: Flows, times_us: Int64) -> Flows:
    """The rows of these minutes (microseconds UTC), oldest first; where both have one it is the fresh one."""
    wanted = np.isin(kept.time_us, times_us) & ~np.isin(kept.time_us, fresh.time_us)
    columns = {name: np.concatenate([getattr(kept, name)[wanted], getattr(fresh, name)]) for name in _COLUMNS}
    return Flows(**columns).take(np.argsort(columns["time_us"], kind="stable"))


def pack(flows: Flows, day: int) -> bytes:
    """As one msgpack blob; `day` is the trading date in days since 1970."""
    columns = [getattr(flows, name).astype("<i8", copy=False).tobytes() for name in _COLUMNS]
    packed: bytes = msgpack.packb([day, *columns])
    return packed


def unpack(blob: bytes) -> tuple[Flows, int]:
    """The inverse of `pack`."""
    day, *columns = msgpack.unpackb(blob)
    found = {name: np.frombuffer(one, "<i8") for name, one in zip(_COLUMNS, columns, strict=True)}
    return Flows(**{**found, "classes": found["classes"].reshape(-1, CLASSES)}), day
