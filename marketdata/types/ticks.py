"""Ticks as arrays, exact and in one unit: the form they have from the cable to the table.

Prices are int64 in 1e-8, sizes int64 in 1e-6, times int64 microseconds UTC; ABSENT (the least int64) says a value was
not given. What only polled snapshots tell of a day lies apart (`marketdata.types.day_figures`) and is None where no row
has any.
"""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from marketdata.types import day_figures
from marketdata.types.day_figures import DAY_PRICES, DAY_SCALES, DayFigures
from marketdata.types.reject_reasons import Fault
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
_DTYPES: dict[str, Any] = {"symbol": np.int32, "kind": np.uint8, "side": np.uint8, "trade_date": np.int32}
_NOTHING: dict[str, int] = {"symbol": -1, "kind": 0, "side": 0, "trade_date": NO_DATE}


def empty(feed: str = "", source_id: int = 0, rows: int = 0, symbols: list[str] | None = None) -> Ticks:
    """`rows` rows in which nothing is given."""
    columns: dict[str, Any] = {
        name: np.full(rows, _NOTHING.get(name, ABSENT), _DTYPES.get(name, np.int64)) for name in COLUMNS
    }
    return Ticks(feed=feed, source_id=source_id, symbols=symbols or [], **columns)


def _nothing(rows: int) -> dict[str, npt.NDArray[Any]]:
    """Columns of at least so many rows in which nothing is given, for reading only."""
    if rows <= wire.BATCH_ROWS:
        return _NOTHING_GIVEN
    return {name: np.full(rows, _NOTHING.get(name, ABSENT), _DTYPES.get(name, np.int64)) for name in COLUMNS}


_NOTHING_GIVEN: dict[str, npt.NDArray[Any]] = {}
"""The columns of the longest batch, for all batches to share: what was not given need not be made for each."""
for _name in COLUMNS:
    _NOTHING_GIVEN[_name] = np.full(wire.BATCH_ROWS, _NOTHING.get(_name, ABSENT), _DTYPES.get(_name, np.int64))
    _NOTHING_GIVEN[_name].flags.writeable = False


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


# --- from the wire ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shared:
    """The ticks of several batches and their faults, in arrays that the batches share."""

    ticks: Ticks
    faults: npt.NDArray[np.uint64]


@dataclass(slots=True, kw_only=True)
class Decoded:
    """A batch off the wire: its ticks, and per row the faults found while reading it (0 = none). A batch of `gaps` has
    no rows. `noise` counts the rows in which float noise was taken off a number (`terminals.wire.numbers`). Batches
    that were decoded together share arrays and the list of symbols of their ticks; `symbols` are the batch's own."""

    header: wire.BatchHeader
    ticks: Ticks
    faults: npt.NDArray[np.uint64]
    symbols: list[str]
    raw: list[object] | None = None
    gaps: list[wire.Gap] = field(default_factory=list)
    noise: int = 0
    given_dates: Int32 | None = None  # trading dates as they came; judging fills in the others
    shared: Shared
    start: int = 0  # the row in `shared` with which it begins

    def record(self, row: int) -> str:
        """JSON of a row as the terminal gave it."""
        shown: Any = self.raw[row] if self.raw is not None else self.ticks.record(row)
        if self.raw is None and self.given_dates is not None and self.given_dates[row] != NO_DATE:
            shown["trade_date"] = str(_EPOCH.date() + datetime.timedelta(days=int(self.given_dates[row])))
        text = json.dumps(shown, ensure_ascii=False, default=str)  # whole, so that it can be judged again
        # JSON may name half a character, which no column holds.
        return text.encode("utf-8", "backslashreplace").decode()


class WireBatch(NamedTuple):
    """What came, and what it is called."""

    payload: bytes
    source_id: int
    batch: int


def from_wire(payload: bytes, *, source_id: int, batch: int) -> Decoded:
    """Decode a batch. `wire.BatchError` when the batch as a whole is unreadable; a wrong row is only a fault."""
    (decoded,) = decode_together([WireBatch(payload, source_id, batch)])
    if isinstance(decoded, wire.BatchError):
        raise decoded
    return decoded


def decode_together(batches: Sequence[WireBatch]) -> list[Decoded | wire.BatchError]:
    """Decode batches, each as `from_wire` does, with the error in the place of one that is unreadable. Batches of
    columns of one feed, source and scale become the same arrays: a step costs the same for twelve rows as for all."""
    answers: dict[int, Decoded | wire.BatchError] = {}
    alike: dict[tuple[str, int, int, int], list[tuple[int, _ColumnsBatch]]] = {}
    for place, one in enumerate(batches):
        try:
            header = wire.parse_header(one.payload)
            if header.encoding == wire.Encoding.COLUMNS:
                layout = wire.parse_columns(one.payload, header)
                kind = (header.feed, one.source_id, layout.price_scale, layout.size_scale)
                alike.setdefault(kind, []).append((place, _ColumnsBatch(one, header, layout)))
            else:
                answers[place] = _decode_one(one, header)
        except wire.BatchError as error:
            answers[place] = error
    for members in alike.values():
        answers |= zip((place for place, _ in members), _from_columns([one for _, one in members]), strict=True)
    return [answers[place] for place in range(len(batches))]


def joined(parts: Sequence[Decoded]) -> tuple[Ticks, npt.NDArray[np.uint64]]:
    """The ticks of decoded batches of one feed and source after each other, and their faults, to be changed by the
    caller. What lies side by side already is not copied together."""
    pieces: list[tuple[Shared, int, int]] = []
    for part in parts:
        shared, start, end = part.shared, part.start, part.start + len(part.faults)
        if pieces and pieces[-1][0] is shared and pieces[-1][2] == start:
            start = pieces.pop()[1]
        pieces.append((shared, start, end))
    ticks = concatenate([shared.ticks.between(start, end) for shared, start, end in pieces])
    return ticks, np.concatenate([shared.faults[start:end] for shared, start, end in pieces])


class _ColumnsBatch(NamedTuple):
    given: WireBatch
    header: wire.BatchHeader
    layout: wire.ColumnsLayout


def _decode_one(one: WireBatch, header: wire.BatchHeader) -> Decoded:
    if header.encoding == wire.Encoding.ROWS:
        return _from_rows(one, header)
    nothing, faults = empty(header.feed, one.source_id), np.zeros(0, np.uint64)
    if header.encoding != wire.Encoding.GAP:
        raise wire.BatchError("bad_batch", f"a batch of {header.encoding.name.lower()} holds no ticks")
    gaps = wire.parse_gaps(one.payload, header)
    return Decoded(header=header, ticks=nothing, faults=faults, symbols=[], gaps=gaps, shared=Shared(nothing, faults))


def _from_columns(batches: Sequence[_ColumnsBatch]) -> list[Decoded]:
    """Batches of one feed, source and scale. A column that only some of them have is absent in the others' rows."""
    lengths = [header.rows for _, header, _ in batches]
    ends = list(itertools.accumulate(lengths))
    rows, layout = ends[-1], batches[0].layout
    columns = {name: column[:rows] for name, column in _nothing(rows).items()}
    faults = np.zeros(rows, np.uint64)
    symbols: list[str] = []
    day: DayFigures | None = None
    for column in sorted({column for one in batches for column in one.layout.offsets}):
        name = _COLUMN_NAMES[column]
        values = np.frombuffer(_column_bytes(column, batches), _WIRE_DTYPES[name])
        if name == "symbol":
            values, symbols = _common_symbols(values, lengths, [one.layout.symbols for one in batches])
        elif name in PRICES:
            values = rescale(values, wire.PRICE_SCALE - layout.price_scale, faults, Fault.PRICE_OUT_OF_RANGE)
        elif name in SIZES:
            values = rescale(values, wire.SIZE_SCALE - layout.size_scale, faults, Fault.SIZE_OUT_OF_RANGE)
        elif name in DAY_SCALES:
            day = day_figures.absent(rows) if day is None else day
            exponent = 0 if name == "cum_value" else wire.PRICE_SCALE - layout.price_scale
            setattr(day, name, rescale(values, exponent, faults, _OUT_OF_RANGE[name]).astype(np.int64, copy=False))
            continue
        columns[name] = values.astype(_DTYPES.get(name, np.int64), copy=False)
    feed, source_id = batches[0].header.feed, batches[0].given.source_id
    columns["tick_id"] = _tick_ids([one.given.batch for one in batches], lengths)
    shared = Shared(Ticks(feed=feed, source_id=source_id, symbols=symbols, day=day, **columns), faults)
    return [
        Decoded(
            header=one.header,
            ticks=shared.ticks.between(end - one.header.rows, end),
            faults=faults[end - one.header.rows : end],
            symbols=one.layout.symbols,
            given_dates=shared.ticks.trade_date[end - one.header.rows : end],
            shared=shared,
            start=end - one.header.rows,
        )
        for one, end in zip(batches, ends, strict=True)
    ]


def _column_bytes(column: wire.Column, batches: Sequence[_ColumnsBatch]) -> bytes:
    """The column of all batches as it is on the wire."""
    width = wire.WIDTHS[column]
    parts = []
    for (payload, _, _), header, layout in batches:
        at = layout.offsets.get(column)
        size = header.rows * width
        parts.append(payload[at : at + size] if at is not None else _ABSENT_BYTES[column][:size])
    return b"".join(parts)


def _common_symbols(
    chosen: npt.NDArray[np.uint16], lengths: Sequence[int], symbols: Sequence[list[str]]
) -> tuple[Int32, list[str]]:
    """The rows' places in one list of symbols instead of each batch's own, -1 where none is given, and that list."""
    index: dict[str, int] = {}
    places = [index.setdefault(symbol, len(index)) for own in symbols for symbol in own]
    counts = np.array([len(own) for own in symbols])
    given = chosen < np.repeat(counts, lengths)
    at = chosen + np.repeat(np.cumsum(counts) - counts, lengths)
    found = np.array([*places, -1], np.int32)[np.where(given, at, len(places))]
    return found, list(index)


def _tick_ids(numbers: Sequence[int], lengths: Sequence[int]) -> Int64:
    ends = np.cumsum(lengths, dtype=np.int64)
    first = (np.array(numbers, np.int64) << TICK_BITS) - ends + lengths
    ids: Int64 = np.repeat(first, lengths) + np.arange(ends[-1])
    return ids


_COLUMN_NAMES = {column: column.name.lower() for column in wire.Column}
_ABSENT_BYTES = {
    column: np.full(
        wire.BATCH_ROWS,
        wire.ABSENT_SYMBOL if column is wire.Column.SYMBOL else _NOTHING.get(name, ABSENT),
        {2: "<u2", 1: "u1", 4: "<i4", 8: "<i8"}[wire.WIDTHS[column]],
    ).tobytes()
    for column, name in _COLUMN_NAMES.items()
}
"""Of each column what a batch of the greatest length would have if nothing were given."""
_WIRE_DTYPES = {
    name: {2: "<u2", 1: "u1", 4: "<i4", 8: "<i8"}[wire.WIDTHS[column]] for column, name in _COLUMN_NAMES.items()
}


_OUT_OF_RANGE = {
    **dict.fromkeys(DAY_PRICES, Fault.PRICE_OUT_OF_RANGE),
    "change_rate": Fault.CHANGE_RATE_OUT_OF_RANGE,
    "cum_value": Fault.VALUE_OUT_OF_RANGE,
}


def rescale(values: Int64, exponent: int, faults: npt.NDArray[np.uint64], fault: Fault) -> Int64:
    factor = 10**exponent
    limit = GREATEST // factor
    absent: Mask | None = None
    if len(values) and (values.min() < -limit or values.max() > limit):  # something is absent, or too large
        absent = values == ABSENT
        far = ((values > limit) | (values < -limit)) & ~absent
        faults[far] |= np.uint64(fault)
        absent |= far
        values = np.where(absent, 0, values)
    scaled_up: Int64 = values * factor
    return scaled_up if absent is None else np.where(absent, ABSENT, scaled_up)


def _from_rows(one: WireBatch, header: wire.BatchHeader) -> Decoded:
    records = wire.parse_rows(one.payload, header)
    ticks = empty(header.feed, one.source_id, len(records))
    faults, noise = read_rows(ticks, records)
    for row, record in enumerate(records):
        if isinstance(record, dict) and record.get("kind") in (None, ""):
            ticks.kind[row] = wire.Kind.TRADE
    ticks.tick_id = _tick_ids([one.batch], [len(records)])
    return Decoded(
        header=header,
        ticks=ticks,
        faults=faults,
        symbols=ticks.symbols,
        raw=records,
        noise=noise,
        given_dates=ticks.trade_date,
        shared=Shared(ticks, faults),
    )


def read_rows(
    ticks: Ticks, records: Sequence[object], only: Collection[str] | None = None
) -> tuple[npt.NDArray[np.uint64], int]:
    """Fill ticks from JSON rows, with their symbols and the fields `only` (None: all there are): each row's faults, and
    in how many rows a number had float noise."""
    faults = np.zeros(len(records), np.uint64)
    index: dict[str, int] = {}
    noise = 0
    chosen, of_day = _ROW_READERS, _DAY_READERS
    if only is not None:
        chosen, of_day = tuple(one for one in _ROW_READERS if one[0] in only), ()
    for row, record in enumerate(records):
        if not isinstance(record, dict):
            faults[row] |= np.uint64(Fault.NOT_AN_OBJECT)
            continue
        symbol = record.get("symbol")
        if isinstance(symbol, str) and 0 < len(symbol) <= 24 and symbol.isascii() and symbol.isprintable():
            ticks.symbol[row] = index.setdefault(symbol, len(index))
        elif symbol is not None and symbol != "":
            faults[row] |= np.uint64(Fault.SYMBOL_UNKNOWN)
        readers = chosen if DAY_SCALES.keys().isdisjoint(record) else (*chosen, *of_day)
        found, noisy = _read_row(ticks, row, record, readers)
        faults[row] |= np.uint64(found)
        noise += noisy
    ticks.symbols = list(index)
    return faults, noise


def _read_row(ticks: Ticks, row: int, record: dict[str, Any], readers: Iterable[Reader]) -> tuple[int, bool]:
    """The row's faults, and whether a number had float noise."""
    found, noisy = 0, False
    for name, read, wrong in readers:
        value = record.get(name)
        if value is None or value == "":
            continue
        try:
            number, seen_through = read(value)
            if name in DAY_SCALES:
                ticks.day = day_figures.absent(len(ticks)) if ticks.day is None else ticks.day
                getattr(ticks.day, name)[row] = number
            else:
                getattr(ticks, name if name != "time" else "time_us")[row] = number
            noisy |= seen_through
        except _Unusable as unusable:
            found |= unusable.fault
        except (ValueError, TypeError, OverflowError):
            found |= wrong
    return found, noisy


class _Unusable(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


Read = Callable[[object], tuple[int, bool]]
"""Reads a value of a row: the integer, and whether a spreadsheet's way to write it was seen through."""
Reader = tuple[str, Read, Fault]
"""A field of a row, who reads it, and what is wrong if nobody can."""


def _number(scale: int, not_finite: Fault, too_precise: Fault, out_of_range: Fault) -> Read:
    """Decimal text or a JSON number (which comes as text or an integer) in 10**-scale, exactly."""

    def read(value: object) -> tuple[int, bool]:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(value)
        try:
            return wire.numbers.read(value if isinstance(value, str) else str(value), scale)
        except wire.numbers.NotFiniteError:
            raise _Unusable(not_finite) from None
        except wire.numbers.TooPreciseError:
            raise _Unusable(too_precise) from None
        except wire.numbers.TooLargeError:
            raise _Unusable(out_of_range) from None

    return read


_price = _number(wire.PRICE_SCALE, Fault.PRICE_NOT_FINITE, Fault.PRICE_TOO_PRECISE, Fault.PRICE_OUT_OF_RANGE)
_size = _number(wire.SIZE_SCALE, Fault.SIZE_NOT_FINITE, Fault.SIZE_TOO_PRECISE, Fault.SIZE_OUT_OF_RANGE)
# RFC 3339. The seconds may have any number of decimal places; what is finer than a microsecond is cut off.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,40})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _time(value: object) -> tuple[int, bool]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, False
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("a time has an offset, such as Z or +09:00")
    return microseconds(datetime.datetime.fromisoformat(value.upper())), False


def microseconds(moment: datetime.datetime) -> int:
    """An aware datetime as microseconds since 1970, without going through a float."""
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _named(names: tuple[str, ...], fault: Fault) -> Read:
    def read(value: object) -> tuple[int, bool]:
        if not isinstance(value, str) or value not in names:
            raise _Unusable(fault)
        return names.index(value), False

    return read


def _whole(value: object) -> tuple[int, bool]:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)
    return wire.numbers.read_whole(str(value))


def _date(value: object) -> tuple[int, bool]:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(value)
    return datetime.date.fromisoformat(value).toordinal() - _EPOCH.toordinal(), False


_ROW_READERS: tuple[Reader, ...] = (
    ("time", _time, Fault.TIME_MALFORMED),
    ("kind", _named(KIND_NAMES, Fault.KIND_UNKNOWN), Fault.KIND_UNKNOWN),
    ("side", _named(SIDE_NAMES, Fault.SIDE_UNKNOWN), Fault.SIDE_UNKNOWN),
    *((name, _price, Fault.PRICE_NOT_A_NUMBER) for name in PRICES),
    *((name, _size, Fault.SIZE_NOT_A_NUMBER) for name in SIZES),
    ("seq", _whole, Fault.SEQ_MALFORMED),
    ("trade_date", _date, Fault.TRADE_DATE_MALFORMED),
)
_rate = _number(
    day_figures.RATE_SCALE,
    Fault.CHANGE_RATE_MALFORMED,
    Fault.CHANGE_RATE_MALFORMED,
    Fault.CHANGE_RATE_OUT_OF_RANGE,
)
_value = _number(day_figures.DAY_VALUE_SCALE, Fault.VALUE_MALFORMED, Fault.VALUE_MALFORMED, Fault.VALUE_OUT_OF_RANGE)
_DAY_READERS: tuple[Reader, ...] = (
    *((name, _price, Fault.PRICE_NOT_A_NUMBER) for name in DAY_PRICES),
    ("change_rate", _rate, Fault.CHANGE_RATE_MALFORMED),
    ("cum_value", _value, Fault.VALUE_MALFORMED),
)


# --- packed, for the feed ---------------------------------------------------------------------------------------------


def pack(ticks: Ticks) -> bytes:
    """Ticks as one msgpack blob; columns in which nothing is given are left out."""
    columns = {}
    for name in COLUMNS:
        values = getattr(ticks, name)
        if len(values) and not (values == _NOTHING.get(name, ABSENT)).all():
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
            dtype = np.dtype(_DTYPES.get(name, np.int64)).newbyteorder("<")
            values = np.frombuffer(data, dtype).astype(_DTYPES.get(name, np.int64), copy=False)
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
