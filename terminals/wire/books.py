"""Order books as packed columns of their own: up to ten levels a side, and what a venue says beside them."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from terminals.wire import limits, packing
from terminals.wire.batch_header import BatchError, BatchHeader, Buffer, Encoding, check_rows, pack_header, parse_header
from terminals.wire.batches import check_scales

_BODY = struct.Struct("<HBBHBB")

Levels = Sequence[tuple[int, int]]
"""(price, size) of each level, best first."""


class BookColumn(IntEnum):
    """The columns a batch of books may have; the number is the id on the wire. A side's prices and sizes have as many
    values a row as the batch has levels."""

    SYMBOL = 1
    TIME_US = 2
    SEQ = 3
    TRADE_DATE = 4
    BID_PRICE = 5
    BID_SIZE = 6
    ASK_PRICE = 7
    ASK_SIZE = 8
    BID_TOTAL = 9
    ASK_TOTAL = 10
    EXPECTED_PRICE = 11
    EXPECTED_SIZE = 12
    CUM_VOLUME = 13
    MID_PRICE = 14


LEVEL_COLUMNS = (BookColumn.BID_PRICE, BookColumn.BID_SIZE, BookColumn.ASK_PRICE, BookColumn.ASK_SIZE)
_SINGLE = {
    one: {BookColumn.SYMBOL: 2, BookColumn.TRADE_DATE: 4}.get(one, 8) for one in BookColumn if one not in LEVEL_COLUMNS
}
_SINGLE_NAMES = tuple((one, one.name.lower()) for one in _SINGLE)
_NUMBERS = tuple((name, 2 ** (8 * _SINGLE[one] - 1)) for one, name in _SINGLE_NAMES if one is not BookColumn.SYMBOL)


def book_widths(levels: int) -> dict[BookColumn, int]:
    """Bytes a row of each column in a batch with so many levels."""
    return {one: _SINGLE.get(one, 8 * levels) for one in BookColumn}


@dataclass(frozen=True, slots=True)
class BooksLayout:
    """Where the columns of a batch lie: `offsets` count from the start of the payload, each a multiple of 8. Those of
    `LEVEL_COLUMNS` have `levels` values for each row, which follow each other; behind the last level of a side they are
    absent."""

    symbols: list[str]
    price_scale: int
    size_scale: int
    levels: int
    offsets: dict[BookColumn, int]


class Books:
    """Collects order books, writes them as columns. Numbers are mantissas: price x 10^price_scale, sizes x
    10^size_scale."""

    def __init__(self, price_scale: int = limits.PRICE_SCALE, size_scale: int = limits.SIZE_SCALE) -> None:
        if not 0 <= price_scale <= limits.PRICE_SCALE or not 0 <= size_scale <= limits.SIZE_SCALE:
            raise ValueError(f"price_scale is 0 to {limits.PRICE_SCALE}, size_scale 0 to {limits.SIZE_SCALE}")
        self.price_scale, self.size_scale = price_scale, size_scale
        self._rows: list[Mapping[str, Any]] = []
        self._levels = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """No further book may be added."""
        return len(self._rows) >= limits.BATCH_BOOKS

    def append(self, *, bids: Levels = (), asks: Levels = (), **fields: Any) -> None:
        """One book; None is absent. `fields`: `symbol`, `time_us`, `seq`, `trade_date` (days since 1970-01-01),
        `bid_total`, `ask_total`, `expected_price`, `expected_size`, `cum_volume`, `mid_price`. BatchError if a value
        fits no column, or a side has more than ten levels."""
        fields.pop("kind", None)
        if unknown := fields.keys() - {name for _, name in _SINGLE_NAMES}:
            raise BatchError("bad_batch", f"a book has no {', '.join(sorted(unknown))}")
        if fields.get("symbol") is not None:
            packing.check_symbol(fields["symbol"])
        for name, bound in _NUMBERS:
            value = fields.get(name)
            if value is not None and not (isinstance(value, int) and -bound < value < bound):
                raise BatchError("bad_batch", f"{name} is an integer from {1 - bound} to {bound - 1}, not {value!r}")
        for side, levels in (("bids", bids), ("asks", asks)):
            _check_levels(side, levels)
        self._levels = max(self._levels, len(bids), len(asks))
        self._rows.append({**fields, "bids": tuple(bids), "asks": tuple(asks)})

    def encode(self, seq: int, feed: str, captured_us: int) -> bytes:
        """The payload of the batch; BatchError if there are too many different symbols, or the feed can be none."""
        rows = len(self._rows)
        symbols = packing.distinct_symbols([row.get("symbol") for row in self._rows])
        parts = [b""]
        for column, name in _SINGLE_NAMES:
            values = [row.get(name) for row in self._rows]
            absent = values.count(None)
            if absent == rows:
                continue
            if column is BookColumn.SYMBOL:
                packed = packing.pack_symbols(values, symbols)
            else:
                packed = packing.pack_integers(name, values, _SINGLE[column], absent=absent)
            parts.append(packing.pack_column(column, _SINGLE[column], packed))
        for column, side, at in zip(LEVEL_COLUMNS, ("bids", "bids", "asks", "asks"), (0, 1, 0, 1), strict=True):
            if not any(row[side] for row in self._rows):
                continue
            flat: list[int] = []
            for row in self._rows:
                flat += [level[at] for level in row[side]]
                flat += [limits.ABSENT] * (self._levels - len(row[side]))
            packed = packing.pack_integers(column.name.lower(), flat, 8, absent=0)
            parts.append(packing.pack_column(column, 8 * self._levels, packed))
        body = _BODY.pack(len(symbols), self.price_scale, self.size_scale, len(parts) - 1, self._levels, 0)
        parts[0] = pack_header(seq, Encoding.BOOKS, feed, rows, captured_us) + body + packing.pack_dictionary(symbols)
        return b"".join(parts)


def parse_books(payload: Buffer, header: BatchHeader) -> BooksLayout:
    """Where each column lies. Checks every length, so that a reader may take the bytes without looking again.
    BatchError says what is wrong."""
    check_rows(header.rows, limits.BATCH_BOOKS)
    if len(payload) < header.body_offset + _BODY.size:
        raise BatchError("bad_batch", "the books body is shorter than its header")
    symbol_count, price_scale, size_scale, columns, levels, reserved = _BODY.unpack_from(payload, header.body_offset)
    check_scales(price_scale, size_scale, reserved)
    if levels > limits.BOOK_LEVELS:
        raise BatchError("bad_batch", f"{levels} levels, at most {limits.BOOK_LEVELS} a side")
    symbols, at = packing.parse_dictionary(payload, header.body_offset + _BODY.size, symbol_count)
    known = {int(one): (one, width) for one, width in book_widths(levels).items() if width}
    offsets = packing.parse_offsets(payload, at, columns, header.rows, known)
    for price, size in ((BookColumn.BID_PRICE, BookColumn.BID_SIZE), (BookColumn.ASK_PRICE, BookColumn.ASK_SIZE)):
        if (price in offsets) != (size in offsets):
            raise BatchError("bad_batch", f"{price.name.lower()} and {size.name.lower()} go together")
    return BooksLayout(symbols, price_scale, size_scale, levels, offsets)


def decode_books(payload: Buffer) -> list[dict[str, Any]]:
    """The books of a batch, each a dictionary of mantissas; absent is None, a side ends at the first level without a
    price and a size. For tools, not for speed."""
    header = parse_header(payload)
    layout = parse_books(payload, header)
    rows: list[dict[str, Any]] = [dict.fromkeys(name for _, name in _SINGLE_NAMES) for _ in range(header.rows)]
    levels: dict[BookColumn, list[int | None]] = {}
    for column, start in layout.offsets.items():
        width = book_widths(layout.levels)[column]
        packed = payload[start : start + header.rows * width]
        if column in LEVEL_COLUMNS:
            levels[column] = packing.unpack_integers(packed, 8)
            continue
        for row, value in zip(rows, packing.unpack_integers(packed, width), strict=True):
            if column is not BookColumn.SYMBOL:
                row[column.name.lower()] = value
            elif value is not None and value < len(layout.symbols):
                row["symbol"] = layout.symbols[value]
    for side, price, size in (
        ("bids", BookColumn.BID_PRICE, BookColumn.BID_SIZE),
        ("asks", BookColumn.ASK_PRICE, BookColumn.ASK_SIZE),
    ):
        pairs = list(zip(levels.get(price, ()), levels.get(size, ()), strict=True))
        for number, row in enumerate(rows):
            of_row = pairs[number * layout.levels : (number + 1) * layout.levels]
            while of_row and of_row[-1] == (None, None):
                of_row.pop()
            row[side] = tuple(of_row)
    return rows


def _check_levels(side: str, levels: Levels) -> None:
    if len(levels) > limits.BOOK_LEVELS:
        raise BatchError("bad_batch", f"{side} has {len(levels)} levels, at most {limits.BOOK_LEVELS}")
    for level in levels:
        pair: Sequence[Any] = level
        if len(pair) != 2 or not all(isinstance(one, int) and -(2**63) < one < 2**63 for one in pair):
            raise BatchError("bad_batch", f"{side} has pairs of integers of 64 bits (price, size), not {level!r}")
