"""Batches of ticks as bytes: packed columns (fast), JSON rows (easy), or a counted gap.

The structure is checked here; whether a price makes sense in a market is not.
"""

import json
import re
import struct
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from terminals.wire import limits
from terminals.wire.answer_codes import BatchCode

_Buffer = bytes | bytearray | memoryview

_HEADER = struct.Struct("<QBBHIq8s")
_BODY = struct.Struct("<HBBHH")
_COLUMN = struct.Struct("<BBHI")
_FEED = re.compile(rb"[a-z0-9_]{1,16}")
_SYMBOL = re.compile(rb"[\x20-\x7e]{1,24}")
_NO_RESERVE = bytes(8)
_BIG_ENDIAN = sys.byteorder == "big"


class Encoding(IntEnum):
    """How the body of a batch is written."""

    COLUMNS = 1
    ROWS = 2
    GAP = 3


class Kind(IntEnum):
    """What a tick is. BOOK and STATUS are reserved: a row of theirs is refused as kind_unknown."""

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
    """The columns a batch may have; the number is the id on the wire."""

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


WIDTHS: Mapping[Column, int] = {
    one: {Column.SYMBOL: 2, Column.KIND: 1, Column.SIDE: 1, Column.TRADE_DATE: 4}.get(one, 8) for one in Column
}
_SIZES = (Column.SIZE, Column.BID_SIZE, Column.ASK_SIZE, Column.CUM_VOLUME)
_TYPECODES = {1: "B", 2: "H", 4: "i", 8: "q"}
_COLUMNS = {int(one): one for one in Column}
_ENCODINGS = {int(one): one for one in Encoding}
_NAMES = tuple(one.name.lower() for one in Column)
_MISSING_AS = {1: 0, 4: limits.ABSENT_DATE, 8: limits.ABSENT}


class BatchError(Exception):
    """A batch whose structure is wrong: `bad_batch_header`, `bad_batch` or `too_many_rows`."""

    def __init__(self, code: BatchCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: BatchCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What every batch says of itself. `body_offset` is where the body starts in the payload (a multiple of 8)."""

    seq: int
    encoding: Encoding
    feed: str
    rows: int
    captured_us: int
    body_offset: int


@dataclass(frozen=True, slots=True)
class ColumnsLayout:
    """Where the columns of a batch lie: `offsets` count from the start of the payload, each a multiple of 8."""

    symbols: list[str]
    price_scale: int
    size_scale: int
    offsets: dict[Column, int]


@dataclass(frozen=True, slots=True)
class Gap:
    """What a terminal had to drop: `rows` rows (0: nobody knows how many) from `from_us` to `to_us`, both included."""

    from_us: int
    to_us: int
    rows: int
    reason: str


def reseq(payload: _Buffer, seq: int) -> bytes:
    """The same batch under another number."""
    return seq.to_bytes(8, "little") + bytes(payload[8:])


def parse_header(payload: _Buffer) -> BatchHeader:
    """The header of any batch; BatchError `bad_batch_header`."""
    if len(payload) < _HEADER.size:
        raise BatchError("bad_batch_header", f"{len(payload)} bytes, a batch header has {_HEADER.size}")
    seq, encoding, feed_length, reserved, rows, captured_us, reserve = _HEADER.unpack_from(payload)
    if seq == 0 or seq > limits.MAX_SEQ:
        raise BatchError("bad_batch_header", f"seq {seq}, must be 1 to {limits.MAX_SEQ}")
    if encoding not in (1, 2, 3):
        raise BatchError("bad_batch_header", f"encoding {encoding}, known are 1 columns, 2 rows, 3 gap")
    if reserved or reserve != _NO_RESERVE:
        raise BatchError("bad_batch_header", "reserved bytes must be 0")
    body_offset = _HEADER.size + _padded(feed_length)
    feed = _feed(bytes(payload[_HEADER.size : body_offset]), feed_length)
    if len(payload) < body_offset or feed is None:
        raise BatchError("bad_batch_header", "feed must be 1 to 16 of a-z, 0-9, _ padded with zeros to 8 bytes")
    return BatchHeader(seq, _ENCODINGS[encoding], feed, rows, captured_us, body_offset)


def size_scale(payload: _Buffer) -> int:
    """The decimal places of the sizes of a batch of columns, whose header and body are right; 0 of any other."""
    header = parse_header(payload)
    return int(payload[header.body_offset + 3]) if header.encoding is Encoding.COLUMNS else 0


class Columns:
    """Collects ticks, writes them as columns. Numbers are mantissas: price x 10^price_scale, sizes x 10^size_scale."""

    def __init__(self, price_scale: int = limits.PRICE_SCALE, size_scale: int = limits.SIZE_SCALE) -> None:
        if not 0 <= price_scale <= limits.PRICE_SCALE or not 0 <= size_scale <= limits.SIZE_SCALE:
            raise ValueError(f"price_scale is 0 to {limits.PRICE_SCALE}, size_scale 0 to {limits.SIZE_SCALE}")
        self.price_scale = price_scale
        self.size_scale = size_scale
        self._rows: list[tuple[Any, ...]] = []

    def __len__(self) -> int:
        return len(self._rows)

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
    ) -> None:
        """One tick. None is absent; `trade_date` counts days since 1970-01-01."""
        self._rows.append(
            (symbol, time_us, kind, price, size, side, seq, bid, ask, bid_size, ask_size, cum_volume, trade_date)
        )

    def encode(self, seq: int, feed: str, captured_us: int) -> bytes:
        """The payload of the batch; BatchError if a value fits no column. The row limit is the caller's to keep."""
        rows = len(self._rows)
        columns: list[Sequence[Any]] = list(zip(*self._rows, strict=True)) if rows else [()] * len(Column)
        symbols = [one for one in dict.fromkeys(columns[0]) if one is not None]
        if len(symbols) >= limits.ABSENT_SYMBOL:
            raise BatchError("bad_batch", f"{len(symbols)} different symbols")
        size_scale = self.size_scale
        if size_scale > limits.OLDEST_SIZE_SCALE and (coarser := _coarser(columns, size_scale)):
            columns, size_scale = coarser, limits.OLDEST_SIZE_SCALE
        parts = [b""]
        count = 0
        for column, values in zip(Column, columns, strict=True):
            absent = values.count(None)
            if absent == rows:
                continue
            width = WIDTHS[column]
            parts.append(_COLUMN.pack(column, width, 0, 0))
            packed = _pack_symbols(values, symbols) if column is Column.SYMBOL else _pack(column, values, absent)
            parts.append(packed)
            parts.append(bytes(-len(packed) % 8))
            count += 1
        body = _BODY.pack(len(symbols), self.price_scale, size_scale, count, 0)
        parts[0] = _pack_header(seq, Encoding.COLUMNS, feed, rows, captured_us) + body + _pack_dictionary(symbols)
        return b"".join(parts)


def encode_rows(seq: int, feed: str, captured_us: int, rows: Sequence[Mapping[str, object]]) -> bytes:
    """A batch as JSON objects: the easy way for other languages and for odd cells."""
    body = json.dumps(list(rows), ensure_ascii=False, separators=(",", ":")).encode()
    return _pack_header(seq, Encoding.ROWS, feed, len(rows), captured_us) + body


def encode_gap(seq: int, feed: str, captured_us: int, from_us: int, to_us: int, rows: int, reason: str) -> bytes:
    """A batch that says how many rows were dropped, and between which event times."""
    gap = {"from_us": from_us, "to_us": to_us, "rows": rows, "reason": reason}
    body = json.dumps(gap, ensure_ascii=False, separators=(",", ":")).encode()
    return _pack_header(seq, Encoding.GAP, feed, 0, captured_us) + body


def checksum(payload: _Buffer) -> int:
    """What two batches are compared by: CRC-32 of the payload, its length above it. Never 0."""
    return len(payload) << 32 | zlib.crc32(payload)


def parse_columns(payload: _Buffer, header: BatchHeader) -> ColumnsLayout:
    """Where each column lies. Checks every length, so that a reader may take the bytes without looking again.
    BatchError says what is wrong."""
    _check_rows(header.rows)
    if len(payload) < header.body_offset + _BODY.size:
        raise BatchError("bad_batch", "the columns body is shorter than its header")
    symbol_count, price_scale, size_scale, column_count, reserved = _BODY.unpack_from(payload, header.body_offset)
    if price_scale > limits.PRICE_SCALE or size_scale > limits.SIZE_SCALE or reserved:
        raise BatchError(
            "bad_batch",
            f"price_scale {price_scale} (0 to {limits.PRICE_SCALE}),"
            f" size_scale {size_scale} (0 to {limits.SIZE_SCALE}), reserved 0",
        )
    symbols, at = _parse_dictionary(payload, header.body_offset + _BODY.size, symbol_count)
    offsets: dict[Column, int] = {}
    for _ in range(column_count):
        if len(payload) < at + _COLUMN.size:
            raise BatchError("bad_batch", f"{column_count} columns announced, {len(offsets)} found")
        number, width, reserved_16, reserved_32 = _COLUMN.unpack_from(payload, at)
        column = _COLUMNS.get(number)
        if column is None or column in offsets or width != WIDTHS[column] or reserved_16 or reserved_32:
            raise BatchError("bad_batch", f"column id {number} of width {width} is unknown, repeated or of wrong width")
        offsets[column] = at + _COLUMN.size
        end = offsets[column] + header.rows * width
        at = end + -end % 8
        if at > len(payload) or (at > end and any(payload[end:at])):
            raise BatchError("bad_batch", f"column {column.name.lower()} is cut short or not padded with zeros")
    if at != len(payload):
        raise BatchError("bad_batch", f"{len(payload) - at} bytes behind the last column")
    return ColumnsLayout(symbols, price_scale, size_scale, offsets)


def decode_columns(payload: _Buffer) -> list[dict[str, Any]]:
    """The ticks of a columns batch, each a dictionary of mantissas; absent is None. For tools, not for speed."""
    header = parse_header(payload)
    layout = parse_columns(payload, header)
    rows: list[dict[str, Any]] = [dict.fromkeys(_NAMES) for _ in range(header.rows)]
    for column, start in layout.offsets.items():
        width = WIDTHS[column]
        values = array(_TYPECODES[width], bytes(payload[start : start + header.rows * width]))
        if _BIG_ENDIAN:
            values.byteswap()
        name = column.name.lower()
        for row, value in zip(rows, values, strict=True):
            if column is Column.SYMBOL:
                row[name] = layout.symbols[value] if value < len(layout.symbols) else None
            elif column in (Column.KIND, Column.SIDE) or value != _MISSING_AS[width]:
                row[name] = value
    return rows


def parse_rows(payload: _Buffer, header: BatchHeader) -> list[object]:
    """The JSON rows. Fractions come back as text and integers as int (as text beyond 25 digits): nothing is rounded.

    NaN and Infinity come back as those words, so that they spoil their row and not the batch. BatchError if the payload
    holds anything else."""
    _check_rows(header.rows)
    try:
        text = bytes(payload[header.body_offset :]).decode("utf-8")
        rows = json.loads(text, parse_float=str, parse_int=_exact_integer, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise BatchError("bad_batch", f"the rows are no JSON: {str(error)[:200]}") from None
    if type(rows) is not list:
        raise BatchError("bad_batch", "the rows must be one JSON array")
    _check_rows(len(rows))
    if len(rows) != header.rows:
        raise BatchError("bad_batch", f"{header.rows} rows announced, {len(rows)} found")
    return rows


def parse_gap(payload: _Buffer, header: BatchHeader) -> Gap:
    """The gap a terminal reports. BatchError if it says none."""
    try:
        content: Any = json.loads(bytes(payload[header.body_offset :]).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BatchError("bad_batch", f"the gap is no JSON: {str(error)[:200]}") from None
    if not isinstance(content, dict) or header.rows != 0:
        raise BatchError("bad_batch", "a gap is one JSON object, and its header says 0 rows")
    values: list[Any] = [content.get(name) for name in ("from_us", "to_us", "rows", "reason")]
    from_us, to_us, rows, reason = values
    if any(type(one) is not int or not -(2**63) < one < 2**63 for one in values[:3]) or type(reason) is not str:
        raise BatchError("bad_batch", "a gap has integers from_us, to_us, rows and a text reason")
    if rows < 0 or from_us > to_us or not 1 <= len(reason) <= 200:
        raise BatchError("bad_batch", "a gap has rows >= 0, from_us <= to_us and a reason of 1 to 200 characters")
    return Gap(from_us, to_us, rows, reason.encode("utf-8", "replace").decode())


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


@lru_cache(maxsize=1000)
def _feed(padded: bytes, length: int) -> str | None:
    """A feed of a header; None if it cannot be one."""
    feed = padded[:length]
    return feed.decode("ascii") if _FEED.fullmatch(feed) and not any(padded[length:]) else None


@lru_cache(maxsize=20_000)
def _symbol(name: bytes) -> str | None:
    """A symbol of a dictionary; None if it cannot be one."""
    return name.decode("ascii") if _SYMBOL.fullmatch(name) else None


def _padded(length: int) -> int:
    return length + -length % 8


def _check_rows(rows: int) -> None:
    if rows > limits.BATCH_ROWS:
        raise BatchError("too_many_rows", f"{rows} rows, at most {limits.BATCH_ROWS} in a batch")


def _exact_integer(text: str) -> int | str:
    return int(text) if len(text) <= 25 else text


def _pack_header(seq: int, encoding: Encoding, feed: str, rows: int, captured_us: int) -> bytes:
    name = feed.encode("ascii", "replace")
    if not _FEED.fullmatch(name):
        raise BatchError("bad_batch_header", f"feed {feed!r} must be 1 to 16 of a-z, 0-9, _")
    head = _HEADER.pack(seq, encoding, len(name), 0, rows, captured_us, _NO_RESERVE)
    return head + name.ljust(_padded(len(name)), b"\0")


def _pack_dictionary(symbols: Sequence[str]) -> bytes:
    dictionary = bytearray()
    for symbol in symbols:
        name = symbol.encode("ascii", "replace")
        if not _SYMBOL.fullmatch(name) or name.decode() != symbol:
            raise BatchError("bad_batch", f"symbol {symbol!r} must be 1 to 24 printable ASCII characters")
        dictionary.append(len(name))
        dictionary += name
    return bytes(dictionary).ljust(_padded(len(dictionary)), b"\0")


def _parse_dictionary(payload: _Buffer, at: int, count: int) -> tuple[list[str], int]:
    start = at
    symbols: list[str] = []
    for _ in range(count):
        length = payload[at] if at < len(payload) else 0
        name = bytes(payload[at + 1 : at + 1 + length])
        symbol = _symbol(name)
        if len(name) != length or symbol is None:
            raise BatchError("bad_batch", f"symbol {len(symbols)} must be 1 to 24 printable ASCII characters")
        symbols.append(symbol)
        at += 1 + length
    end = start + _padded(at - start)
    if end > len(payload) or any(payload[at:end]):
        raise BatchError("bad_batch", "the symbol dictionary is cut short or not padded with zeros")
    if len(set(symbols)) != len(symbols):
        raise BatchError("bad_batch", "a symbol stands twice in the dictionary")
    return symbols, end


def _pack_symbols(values: Sequence[Any], symbols: Sequence[str]) -> bytes:
    numbers: dict[str | None, int] = {symbol: number for number, symbol in enumerate(symbols)}
    numbers[None] = limits.ABSENT_SYMBOL
    return _little(array("H", [numbers[value] for value in values]))


def _pack(column: Column, values: Sequence[Any], absent: int) -> bytes:
    width = WIDTHS[column]
    if absent:
        missing_as = _MISSING_AS[width]
        values = [missing_as if value is None else value for value in values]
    try:
        return _little(array(_TYPECODES[width], values))
    except (TypeError, OverflowError) as error:
        raise BatchError("bad_batch", f"column {column.name.lower()} holds {width}-byte integers: {error}") from None


def _little(values: "array[int]") -> bytes:
    if _BIG_ENDIAN:
        values.byteswap()
    return values.tobytes()
