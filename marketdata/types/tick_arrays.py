"""Ticks as arrays, exact and in one unit: the form they have from the cable to the table.

Prices are int64 in 1e-8, sizes int64 in 1e-6, times int64 microseconds UTC; ABSENT (the least int64) says a value was
not given. What only polled snapshots tell of a day lies apart (`marketdata.types.day_figures`) and is None where no row
has any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from marketdata.types import day_figures
from marketdata.types.day_figures import DAY_SCALES, DayFigures
from terminals import wire

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

ABSENT = wire.ABSENT
NO_DATE = -(2**31)
PRICE_UNIT = 10**wire.PRICE_SCALE
SIZE_UNIT = 10**wire.SIZE_SCALE
GREATEST = 10**18 - 1  # what DECIMAL(18, x) holds
TICK_BITS = 13  # a batch has at most 5,000 rows
SEQ_BITS = 32
STREAM_BITS = 18
STREAM_SHIFT = SEQ_BITS + TICK_BITS  # from the id of a row to the stream it came by
KIND_NAMES = ("", "trade", "quote", "snapshot", "expected")
SIDE_NAMES = ("", "buy", "sell")

PRICES = ("price", "bid", "ask")
SIZES = ("size", "bid_size", "ask_size", "cum_volume")


def batch_number(stream: int, seq: int) -> int:
    """The ledger's number of batch `seq` of an ingest stream; `tick_id` = this << 13 | row keeps the order the source
    gave. ValueError if one of them is out of range."""
    if not 0 < stream < 1 << STREAM_BITS or not 0 < seq < 1 << SEQ_BITS:
        raise ValueError(f"stream {stream}, seq {seq}: a batch number holds 18 bits of stream and 32 bits of seq")
    return stream << SEQ_BITS | seq


@dataclass(slots=True, kw_only=True)
class Ticks:
    """`len(ticks)` events of one feed and source, column by column; `symbol` indexes `symbols`."""

    feed: str
    source_id: int
    symbols: list[str]
    symbol: Int32
    time_us: Int64
    kind: UInt8
    side: UInt8
    price: Int64
    size: Int64
    seq: Int64
    bid: Int64
    ask: Int64
    bid_size: Int64
    ask_size: Int64
    cum_volume: Int64
    trade_date: Int32
    tick_id: Int64
    day: DayFigures | None = None

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, chosen: npt.NDArray[Any]) -> Ticks:
        """The rows of a mask or of indices, in that order."""
        day = None if self.day is None else self.day.take(chosen)
        return replace(self, day=day, **{name: getattr(self, name)[chosen] for name in COLUMNS})

    def between(self, start: int, end: int) -> Ticks:
        """The rows from `start` up to `end`, in the same memory."""
        columns = {name: getattr(self, name)[start:end] for name in COLUMNS}
        day = None if self.day is None else self.day.take(slice(start, end))
        return Ticks(feed=self.feed, source_id=self.source_id, symbols=self.symbols, day=day, **columns)

    def record(self, row: int) -> dict[str, object]:
        """One row as a person would write it, absent values left out."""
        index = int(self.symbol[row])
        record: dict[str, object] = {"symbol": self.symbols[index] if 0 <= index < len(self.symbols) else None}
        record["time_us"] = None if self.time_us[row] == ABSENT else int(self.time_us[row])
        record["kind"] = KIND_NAMES[self.kind[row]] if self.kind[row] < len(KIND_NAMES) else int(self.kind[row])
        if self.side[row]:
            record["side"] = SIDE_NAMES[self.side[row]] if self.side[row] < len(SIDE_NAMES) else int(self.side[row])
        for name, scale in [*((n, wire.PRICE_SCALE) for n in PRICES), *((n, wire.SIZE_SCALE) for n in SIZES)]:
            value = int(getattr(self, name)[row])
            if value != ABSENT:
                record[name] = decimal_text(value, scale)
        for name, scale in DAY_SCALES.items() if self.day is not None else ():
            value = int(getattr(self.day, name)[row])
            if value != ABSENT:
                record[name] = decimal_text(value, scale)
        if self.seq[row] != ABSENT:
            record["seq"] = int(self.seq[row])
        return record


COLUMNS = tuple(f.name for f in fields(Ticks) if f.name not in ("feed", "source_id", "symbols", "day"))
DTYPES: dict[str, Any] = {"symbol": np.int32, "kind": np.uint8, "side": np.uint8, "trade_date": np.int32}
_PACKED = {name: np.dtype(DTYPES.get(name, np.int64)).newbyteorder("<") for name in COLUMNS}
"""Made once: each array keeps the one it was made with."""
NOTHING: dict[str, int] = {"symbol": -1, "kind": 0, "side": 0, "trade_date": NO_DATE}


def empty(feed: str = "", source_id: int = 0, rows: int = 0, symbols: list[str] | None = None) -> Ticks:
    """`rows` rows in which nothing is given."""
    columns: dict[str, Any] = {
        name: np.full(rows, NOTHING.get(name, ABSENT), DTYPES.get(name, np.int64)) for name in COLUMNS
    }
    return Ticks(feed=feed, source_id=source_id, symbols=symbols or [], **columns)


def nothing(rows: int) -> dict[str, npt.NDArray[Any]]:
    """Columns of so many rows in which nothing is given, for reading only: each is one value, seen from every row."""
    return {name: column[:rows] for name, column in _NOTHING_GIVEN.items()}


_NOTHING_GIVEN: dict[str, npt.NDArray[Any]] = {
    name: np.broadcast_to(np.array(NOTHING.get(name, ABSENT), DTYPES.get(name, np.int64)), 1 << 40) for name in COLUMNS
}


def is_absent(values: Int64) -> bool:
    """Whether no row has a value. Of a column of `nothing` that is known without looking at the rows."""
    if values.strides == (0,):
        return not len(values) or bool(values[0] == ABSENT)
    return bool((values == ABSENT).all())


def trading_dates(ticks: Ticks) -> list[int]:
    """The trading dates that occur (days since 1970), in order: nearly always one."""
    dates = ticks.trade_date
    if len(dates) and (dates == dates[0]).all():
        return [int(dates[0])]
    days: list[int] = np.unique(dates).tolist()
    return days


def concatenate(parts: Sequence[Ticks]) -> Ticks:
    """Ticks of one feed and source after each other; symbols are merged into one list."""
    if len(parts) == 1:
        return parts[0]
    index: dict[str, int] = {}
    moved = []
    for part in parts:
        places = np.array([index.setdefault(symbol, len(index)) for symbol in part.symbols] + [-1], np.int32)
        moved.append(places[part.symbol])  # -1 (absent) picks the last place, which is -1
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS if name != "symbol"}
    return Ticks(
        feed=parts[0].feed,
        source_id=parts[0].source_id,
        symbols=list(index),
        symbol=np.concatenate(moved),
        day=day_figures.concatenate((part.day, len(part)) for part in parts),
        **columns,
    )


def trades(ticks: Ticks) -> Mask:
    """Which ticks are trades that count: for candles, and as the latest trade. A print of size 0 tells a price at which
    nothing changed hands; it is kept and shown, and counts for nothing (docs/protocol.md)."""
    counted: Mask = (ticks.kind == wire.Kind.TRADE) & (ticks.size != 0)
    return counted


def with_day(ticks: Ticks) -> Ticks | None:
    """The snapshots that tell of their day; None if there are none. Day figures of another kind of tick are of no
    use."""
    if ticks.day is None:
        return None
    chosen = (ticks.kind == wire.Kind.SNAPSHOT) & ticks.day.given()
    return ticks.take(chosen) if chosen.any() else None


def symbol_ranks(ticks: Ticks) -> npt.NDArray[Any]:
    """The place of each row's symbol in alphabetical order, the last where none is given. In 16 bits unless there are
    more symbols than that: a stable sort of numpy counts those instead of comparing them."""
    count = len(ticks.symbols)
    ranks = np.empty(count + 1, np.uint16 if count < 1 << 16 else np.int32)
    ranks[sorted(range(count), key=ticks.symbols.__getitem__)] = np.arange(count)
    ranks[-1] = count
    ranked: npt.NDArray[Any] = ranks[ticks.symbol]
    return ranked


decimal_text = wire.numbers.write
"""A scaled integer as plain decimal text without trailing zeros: (480025000000, 8) is "4800.25"."""


def decimal_texts(values: Int64, scale: int) -> list[str]:
    """`decimal_text` of each."""
    whole, part = np.divmod(np.abs(values).view(np.uint64), np.uint64(10**scale))  # the least int64 has no positive
    form = f"%d.%0{scale}d"
    pairs = zip(whole.tolist(), part.tolist(), strict=True)
    texts = [(form % (units, rest)).rstrip("0") if rest else str(units) for units, rest in pairs]
    if (values < 0).any():
        texts = [f"-{text}" if below else text for text, below in zip(texts, (values < 0).tolist(), strict=True)]
    return texts


def numbered(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """The different names in the order in which they come, and each one's place among them."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return list(places), [places[name] for name in names]


# --- packed, for the feed ---------------------------------------------------------------------------------------------


def pack(ticks: Ticks) -> bytes:
    """Ticks as one msgpack blob; columns in which nothing is given are left out."""
    columns = {}
    for name in COLUMNS:
        values = getattr(ticks, name)
        if not (is_absent(values) if name not in NOTHING else (values == NOTHING[name]).all()):
            columns[name] = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    packed: bytes = msgpack.packb([ticks.feed, ticks.source_id, len(ticks), ticks.symbols, columns, wire.SIZE_SCALE])
    return packed


def unpack(blob: bytes) -> Ticks:
    """The inverse of `pack`."""
    feed, source_id, rows, symbols, columns, *scale = msgpack.unpackb(blob)
    ticks = empty(feed, source_id, rows, symbols)
    factor = packed_ratio(*scale)
    for name, data in columns.items():
        if name in COLUMNS:
            values = np.frombuffer(data, _PACKED[name]).astype(DTYPES.get(name, np.int64), copy=False)
            if factor != 1 and name in SIZES:
                values = np.where(values == ABSENT, ABSENT, values * factor)
            setattr(ticks, name, values)
    return ticks


def packed_ratio(scale: int = wire.OLDEST_SIZE_SCALE) -> int:
    """What packed sizes of this scale are multiplied with. Blobs did not say theirs when it was the oldest; a Redis may
    still hold such."""
    return int(10 ** (wire.SIZE_SCALE - scale))


def used_symbols(ticks: Ticks) -> Iterable[str]:
    """The symbols that really occur, each once."""
    return (ticks.symbols[index] for index in np.unique(ticks.symbol).tolist() if index >= 0)
