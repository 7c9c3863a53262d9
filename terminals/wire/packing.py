"""Integers and symbols as packed bytes: what the columns of ticks and those of order books have in common."""

import re
import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from terminals.wire import limits
from terminals.wire.batch_header import BatchError, Buffer, padded

_COLUMN = struct.Struct("<BBHI")
_SYMBOL = re.compile(rb"[\x20-\x7e]{1,24}")
_TYPECODES = {1: "B", 2: "H", 4: "i", 8: "q"}
_ABSENT = {1: 0, 2: limits.ABSENT_SYMBOL, 4: limits.ABSENT_DATE, 8: limits.ABSENT}
_BIG_ENDIAN = sys.byteorder == "big"

ColumnT = TypeVar("ColumnT", bound=int)


def pack_column(number: int, width: int, packed: bytes) -> bytes:
    """A column with its head, filled to a multiple of 8."""
    return _COLUMN.pack(number, width, 0, 0) + packed + bytes(-len(packed) % 8)


def pack_integers(name: str, values: Sequence[Any], width: int, *, absent: int) -> bytes:
    """The values of a column, of which `absent` are None. BatchError names the column if one does not fit."""
    if absent:
        missing_as = _ABSENT[width]
        values = [missing_as if value is None else value for value in values]
    try:
        return _little(array(_TYPECODES[width], values))
    except (TypeError, OverflowError) as error:
        raise BatchError("bad_batch", f"column {name} holds {width}-byte integers: {error}") from None


def unpack_integers(packed: Buffer, width: int) -> list[int | None]:
    """The inverse: absent is None, except in columns of one byte, where 0 says so itself."""
    values = array(_TYPECODES[width], bytes(packed))
    if _BIG_ENDIAN:
        values.byteswap()
    return list(values) if width == 1 else [None if value == _ABSENT[width] else value for value in values]


def pack_symbols(values: Sequence[Any], symbols: Sequence[str]) -> bytes:
    """The places of symbols (None: absent) in the dictionary of a batch."""
    numbers: dict[str | None, int] = {symbol: number for number, symbol in enumerate(symbols)}
    numbers[None] = limits.ABSENT_SYMBOL
    return _little(array("H", [numbers[value] for value in values]))


def distinct_symbols(values: Sequence[Any]) -> list[str]:
    """The dictionary of a batch; BatchError if there are too many."""
    symbols = [one for one in dict.fromkeys(values) if one is not None]
    if len(symbols) >= limits.ABSENT_SYMBOL:
        raise BatchError("bad_batch", f"{len(symbols)} different symbols")
    return symbols


def pack_dictionary(symbols: Sequence[str]) -> bytes:
    """The symbols by their lengths, filled to a multiple of 8; BatchError names one that can be none."""
    dictionary = bytearray()
    for symbol in symbols:
        name = check_symbol(symbol)
        dictionary.append(len(name))
        dictionary += name
    return bytes(dictionary).ljust(padded(len(dictionary)), b"\0")


def check_symbol(symbol: object) -> bytes:
    """A symbol as bytes; BatchError if it can be none."""
    name = symbol.encode("ascii", "replace") if isinstance(symbol, str) else b""
    if not _SYMBOL.fullmatch(name) or name.decode() != symbol:
        raise BatchError("bad_batch", f"symbol {symbol!r} must be 1 to 24 printable ASCII characters")
    return name


def parse_dictionary(payload: Buffer, at: int, count: int) -> tuple[list[str], int]:
    """The symbols that begin at an offset, and where they end. BatchError if they are cut short or can be none."""
    start, size = at, len(payload)
    symbols: list[str] = []
    for _ in range(count):
        begin = at + 1
        at = begin + (payload[at] if at < size else 0)
        symbol = _symbol(bytes(payload[begin:at]))
        if at > size or symbol is None:
            raise BatchError("bad_batch", f"symbol {len(symbols)} must be 1 to 24 printable ASCII characters")
        symbols.append(symbol)
    end = start + padded(at - start)
    if end > size or any(payload[at:end]):
        raise BatchError("bad_batch", "the symbol dictionary is cut short or not padded with zeros")
    if len(set(symbols)) != len(symbols):
        raise BatchError("bad_batch", "a symbol stands twice in the dictionary")
    return symbols, end


def parse_offsets(
    payload: Buffer, at: int, count: int, rows: int, known: Mapping[int, tuple[ColumnT, int]]
) -> dict[ColumnT, int]:
    """Where the values of each of `count` columns begin; `known` has each column's id and its bytes a row. They fill
    the payload to its end. BatchError says what is wrong."""
    offsets: dict[ColumnT, int] = {}
    for _ in range(count):
        if len(payload) < at + _COLUMN.size:
            raise BatchError("bad_batch", f"{count} columns announced, {len(offsets)} found")
        number, width, reserved_16, reserved_32 = _COLUMN.unpack_from(payload, at)
        column, wanted = known.get(number, (None, 0))
        if column is None or column in offsets or width != wanted or reserved_16 or reserved_32:
            raise BatchError("bad_batch", f"column id {number} of width {width} is unknown, repeated or of wrong width")
        offsets[column] = at + _COLUMN.size
        end = offsets[column] + rows * width
        at = padded(end)
        if at > len(payload) or (at > end and any(payload[end:at])):
            raise BatchError("bad_batch", f"column {number} is cut short or not padded with zeros")
    if at != len(payload):
        raise BatchError("bad_batch", f"{len(payload) - at} bytes behind the last column")
    return offsets


@lru_cache(maxsize=20_000)
def _symbol(name: bytes) -> str | None:
    """A symbol of a dictionary; None if it cannot be one."""
    return name.decode("ascii") if _SYMBOL.fullmatch(name) else None


def _little(values: "array[int]") -> bytes:
    if _BIG_ENDIAN:
        values.byteswap()
    return values.tobytes()
