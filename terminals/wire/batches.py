"""Batches of ticks as bytes: packed columns (fast) or JSON rows (easy).

The structure is checked here; whether a price makes sense in a market is not.
"""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from terminals.wire import limits, packing
from terminals.wire.batch_header import (
    BatchError,
    BatchHeader,
    Buffer,
    Encoding,
    check_rows,
    pack_header,
    parse_header,
)

_BODY = struct.Struct("<HBBHH")


class Kind(IntEnum):
    """What a row is. Books and events have encodings of their own; a tick of these kinds is refused."""

    ABSENT = 0
    TRADE = 1
    QUOTE = 2
    SNAPSHOT = 3
    EXPECTED = 4
    BOOK = 5
    STATUS = 6


class Side(IntEnum):
    """Who was the aggressor of a trade."""

    UNKNOWN = 0
    BUY = 1
    SELL = 2


class Column(IntEnum):
    """The columns a batch may have; the number is the id on the wire. Those above `OLDEST_COLUMN` are what a snapshot
    says of the day."""

    SYMBOL = 1
    TIME_US = 2
    KIND = 3
    PRICE = 4
    SIZE = 5
    SIDE = 6
    SEQ = 7
    BID = 8
    ASK = 9
    BID_SIZE = 10
    ASK_SIZE = 11
    CUM_VOLUME = 12
    TRADE_DATE = 13
    OPEN = 14
    HIGH = 15
    LOW = 16
    PREV_CLOSE = 17
    UPPER_LIMIT = 18
    LOWER_LIMIT = 19
    CHANGE_RATE = 20
    CUM_VALUE = 21


WIDTHS: Mapping[Column, int] = {
    one: {Column.SYMBOL: 2, Column.KIND: 1, Column.SIDE: 1, Column.TRADE_DATE: 4}.get(one, 8) for one in Column
}
_SIZES = (Column.SIZE, Column.BID_SIZE, Column.ASK_SIZE, Column.CUM_VOLUME)
_KNOWN = {int(one): (one, width) for one, width in WIDTHS.items()}
_NAMES = tuple(one.name.lower() for one in Column)
_OF_EACH = tuple(one for one in Column if one <= limits.OLDEST_COLUMN)
_OF_DAY = tuple(one for one in Column if one > limits.OLDEST_COLUMN)
_DAY_NAMES = tuple(one.name.lower() for one in _OF_DAY)


@dataclass(frozen=True, slots=True)
class ColumnsLayout:
    """Where the columns of a batch lie: `offsets` count from the start of the payload, each a multiple of 8."""

    symbols: list[str]
    price_scale: int
    size_scale: int
    offsets: dict[Column, int]


class Columns:
    """Collects ticks, writes them as columns. Numbers are mantissas: price x 10^price_scale, sizes x 10^size_scale."""

    def __init__(self, price_scale: int = limits.PRICE_SCALE, size_scale: int = limits.SIZE_SCALE) -> None:
        if not 0 <= price_scale <= limits.PRICE_SCALE or not 0 <= size_scale <= limits.SIZE_SCALE:
            raise ValueError(f"price_scale is 0 to {limits.PRICE_SCALE}, size_scale 0 to {limits.SIZE_SCALE}")
        self.price_scale = price_scale
        self.size_scale = size_scale
        self._rows: list[tuple[Any, ...]] = []
        self._days: dict[int, Mapping[str, int | None]] = {}  # row -> what it says of the day

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def full(self) -> bool:
        """No further tick may be added."""
        return len(self._rows) >= limits.BATCH_ROWS

    def append(
        self,
        *,
        symbol: str | None = None,
        time_us: int | None = None,
        kind: int | None = Kind.TRADE,
        price: int | None = None,
        size: int | None = None,
        side: int | None = None,
        seq: int | None = None,
        bid: int | None = None,
        ask: int | None = None,
        bid_size: int | None = None,
        ask_size: int | None = None,
        cum_volume: int | None = None,
        trade_date: int | None = None,
        **day: int | None,
    ) -> None:
        """One tick. None is absent; `trade_date` counts days since 1970-01-01. `day` is what a snapshot says of the
        day: `open`, `high`, `low`, `prev_close`, `upper_limit`, `lower_limit` and `change_rate` (per cent) in the price
        scale, `cum_value` in 1e-2 of the currency. TypeError for another name."""
        if day:
            if unknown := day.keys() - set(_DAY_NAMES):
                raise TypeError(f"a tick has no {', '.join(sorted(unknown))}")
            self._days[len(self._rows)] = day
        self._rows.append(
            (symbol, time_us, kind, price, size, side, seq, bid, ask, bid_size, ask_size, cum_volume, trade_date)
        )

    def encode(self, seq: int, feed: str, captured_us: int) -> bytes:
        """The payload of the batch; BatchError if a value fits no column. The row limit is the caller's to keep."""
        rows = len(self._rows)
        columns: list[Sequence[Any]] = list(zip(*self._rows, strict=True)) if rows else [()] * len(_OF_EACH)
        symbols = packing.distinct_symbols(columns[0])
        size_scale = self.size_scale
        if size_scale > limits.OLDEST_SIZE_SCALE and (coarser := _coarser(columns, size_scale)):
            columns, size_scale = coarser, limits.OLDEST_SIZE_SCALE
        named = [*zip(_OF_EACH, columns, strict=True), *self._day_columns()]
        parts = [b""]
        for column, values in named:
            absent = values.count(None)
            if absent == rows:
                continue
            if column is Column.SYMBOL:
                packed = packing.pack_symbols(values, symbols)
            else:
                packed = packing.pack_integers(column.name.lower(), values, WIDTHS[column], absent=absent)
            parts.append(packing.pack_column(column, WIDTHS[column], packed))
        body = _BODY.pack(len(symbols), self.price_scale, size_scale, len(parts) - 1, 0)
        parts[0] = pack_header(seq, Encoding.COLUMNS, feed, rows, captured_us) + body + packing.pack_dictionary(symbols)
        return b"".join(parts)

    def _day_columns(self) -> list[tuple[Column, Sequence[Any]]]:
        if not self._days:
            return []
        said = [self._days.get(row, {}) for row in range(len(self._rows))]
        return [(column, [day.get(name) for day in said]) for column, name in zip(_OF_DAY, _DAY_NAMES, strict=True)]


def encode_rows(seq: int, feed: str, captured_us: int, rows: Sequence[Mapping[str, object]]) -> bytes:
    """A batch as JSON objects: the easy way for other languages and for odd cells. Half a character stays the escape
    that JSON has for it."""
    body = json.dumps(list(rows), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return pack_header(seq, Encoding.ROWS, feed, len(rows), captured_us) + body


def parse_columns(payload: Buffer, header: BatchHeader) -> ColumnsLayout:
    """Where each column lies. Checks every length, so that a reader may take the bytes without looking again.
    BatchError says what is wrong."""
    check_rows(header.rows)
    if len(payload) < header.body_offset + _BODY.size:
        raise BatchError("bad_batch", "the columns body is shorter than its header")
    symbol_count, price_scale, size_scale, column_count, reserved = _BODY.unpack_from(payload, header.body_offset)
    check_scales(price_scale, size_scale, reserved)
    symbols, at = packing.parse_dictionary(payload, header.body_offset + _BODY.size, symbol_count)
    offsets = packing.parse_offsets(payload, at, column_count, header.rows, _KNOWN)
    return ColumnsLayout(symbols, price_scale, size_scale, offsets)


def check_scales(price_scale: int, size_scale: int, reserved: int) -> None:
    """BatchError if a body has scales that nobody keeps, or uses what is reserved."""
    if price_scale > limits.PRICE_SCALE or size_scale > limits.SIZE_SCALE or reserved:
        raise BatchError(
            "bad_batch",
            f"price_scale {price_scale} (0 to {limits.PRICE_SCALE}),"
            f" size_scale {size_scale} (0 to {limits.SIZE_SCALE}), reserved 0",
        )


def decode_columns(payload: Buffer) -> list[dict[str, Any]]:
    """The ticks of a columns batch, each a dictionary of mantissas; absent is None. For tools, not for speed."""
    header = parse_header(payload)
    layout = parse_columns(payload, header)
    rows: list[dict[str, Any]] = [dict.fromkeys(_NAMES) for _ in range(header.rows)]
    for column, start in layout.offsets.items():
        width, name = WIDTHS[column], column.name.lower()
        values = packing.unpack_integers(payload[start : start + header.rows * width], width)
        for row, value in zip(rows, values, strict=True):
            if column is not Column.SYMBOL:
                row[name] = value
            elif value is not None and value < len(layout.symbols):
                row[name] = layout.symbols[value]
    return rows


def parse_rows(payload: Buffer, header: BatchHeader, *, number: Callable[[str], object] = str) -> list[object]:
    """The JSON rows. Fractions come back as text and integers as int (as text beyond 25 digits): nothing is rounded,
    unless `number` makes something else of them.

    NaN and Infinity come back as those words, so that they spoil their row and not the batch. BatchError if the payload
    holds anything else."""
    check_rows(header.rows)
    try:
        text = bytes(payload[header.body_offset :]).decode("utf-8")
        rows = json.loads(
            text,
            parse_float=number,
            parse_constant=number,
            parse_int=lambda digits: int(digits) if len(digits) <= 25 else number(digits),
        )
    except (ValueError, RecursionError) as error:
        raise BatchError("bad_batch", f"the rows are no JSON: {str(error)[:200]}") from None
    if type(rows) is not list:
        raise BatchError("bad_batch", "the rows must be one JSON array")
    check_rows(len(rows))
    if len(rows) != header.rows:
        raise BatchError("bad_batch", f"{header.rows} rows announced, {len(rows)} found")
    return rows


def _coarser(columns: Sequence[Sequence[Any]], size_scale: int) -> list[Sequence[Any]] | None:
    """The columns with sizes in the oldest scale, which a server of any version reads; None if a size is finer."""
    ratio = 10 ** (size_scale - limits.OLDEST_SIZE_SCALE)
    changed = list(columns)
    for column in _SIZES:
        values = columns[column - 1]
        try:
            if any(value % ratio for value in values if value is not None and value != limits.ABSENT):
                return None
            changed[column - 1] = [
                value if value is None or value == limits.ABSENT else value // ratio for value in values
            ]
        except TypeError:
            return None  # told when the column is packed
    return changed
