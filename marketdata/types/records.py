"""Order books and events off the wire. Symbol, time, number and trading date of each row are held as those of ticks
are, so that they are judged by the same rules; what is theirs alone lies beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.types import decoded_batches, tick_arrays
from marketdata.types.decoded_batches import (
    Decoded,
    Faults,
    PackedBatch,
    Shared,
    WireBatch,
    column_bytes,
    columns_of,
    common_symbols,
    ends_of,
    record_text,
    rescale,
    tick_ids,
)
from marketdata.types.json_rows import read_rows
from marketdata.types.order_books import MarketEvent
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, NO_DATE, Int64, Ticks, decimal_text
from terminals import wire

_PRICE, _SIZE = wire.PRICE_SCALE, wire.SIZE_SCALE
BOOK_FIGURES = {
    "bid_total": _SIZE, "ask_total": _SIZE, "expected_price": _PRICE, "expected_size": _SIZE, "cum_volume": _SIZE,
    "mid_price": _PRICE,
}  # fmt: skip
"""What a book tells beside its levels, and in how many decimal places."""
_ENCODINGS = (wire.Encoding.BOOKS, wire.Encoding.EVENTS)
_AT_ENCODING = 8


@dataclass(slots=True, kw_only=True)
class BookColumns:
    """The levels of `len(books)` order books and what they tell beside them. `bids` and `asks`: int64 of the shape
    (rows, levels, 2), price and size of each level, best first, ABSENT behind the last one."""

    bids: Int64
    asks: Int64
    bid_total: Int64
    ask_total: Int64
    expected_price: Int64
    expected_size: Int64
    cum_volume: Int64
    mid_price: Int64

    def __len__(self) -> int:
        return len(self.bid_total)

    def take(self, chosen: npt.NDArray[Any] | slice) -> BookColumns:
        """The rows of a mask, of indices or of a slice, in that order."""
        return BookColumns(**{name: getattr(self, name)[chosen] for name in ("bids", "asks", *BOOK_FIGURES)})

    def record(self, row: int) -> dict[str, object]:
        """What is a book's alone, as a person would write it; absent values left out."""
        record: dict[str, object] = {"kind": "book"}
        for side in ("bids", "asks"):
            record[side] = [
                [
                    None if one == ABSENT else decimal_text(one, scale)
                    for one, scale in zip(level, (_PRICE, _SIZE), strict=True)
                ]
                for level in getattr(self, side)[row].tolist()
                if level != [ABSENT, ABSENT]
            ]
        for name, scale in BOOK_FIGURES.items():
            if (value := int(getattr(self, name)[row])) != ABSENT:
                record[name] = decimal_text(value, scale)
        return record


@dataclass(slots=True, kw_only=True)
class EventRows:
    """The words and bodies of events; `""` and `None` of one that is refused for it. `raw` is each as it came."""

    words: list[str]
    bodies: list[dict[str, Any] | None]
    raw: list[object]

    def __len__(self) -> int:
        return len(self.words)

    def take(self, chosen: npt.NDArray[Any] | slice) -> EventRows:
        """The rows of a mask, of indices or of a slice, in that order."""
        places = np.arange(len(self))[chosen].tolist()
        return EventRows(
            words=[self.words[one] for one in places],
            bodies=[self.bodies[one] for one in places],
            raw=[self.raw[one] for one in places],
        )

    def events(self, ticks: Ticks) -> list[MarketEvent]:
        """The events as they are stored; `ticks` has their symbols, times, ids and trading dates."""
        rows = zip(
            ticks.symbol.tolist(), ticks.time_us.tolist(), ticks.tick_id.tolist(), ticks.trade_date.tolist(),
            self.words, self.bodies, strict=True,
        )  # fmt: skip
        return [
            MarketEvent(
                time_us=time_us, event_id=tick_id, trade_date=trade_date, feed=ticks.feed, source_id=ticks.source_id,
                kind=word, symbol=ticks.symbols[symbol] if symbol >= 0 else "", body=body or {},
            )
            for symbol, time_us, tick_id, trade_date, word, body in rows
        ]  # fmt: skip


Content = BookColumns | EventRows


def _concatenate(parts: Sequence[Content]) -> Content:
    """What is of one kind after each other; books with fewer levels are filled up."""
    if len(parts) == 1:
        return parts[0]
    books = [part for part in parts if isinstance(part, BookColumns)]
    if not books:
        events = [part for part in parts if isinstance(part, EventRows)]
        return EventRows(
            words=[one for part in events for one in part.words],
            bodies=[one for part in events for one in part.bodies],
            raw=[one for part in events for one in part.raw],
        )
    levels = max(part.bids.shape[1] for part in books)
    sides = {
        side: np.concatenate([_filled_up(getattr(part, side), levels) for part in books]) for side in ("bids", "asks")
    }
    numbers = {name: np.concatenate([getattr(part, name) for part in books]) for name in BOOK_FIGURES}
    return BookColumns(**sides, **numbers)


def _filled_up(side: Int64, levels: int) -> Int64:
    """One side of books with so many levels, those behind the last one absent."""
    filled = np.full((len(side), levels, 2), ABSENT, np.int64)
    filled[:, : side.shape[1]] = side
    return filled


@dataclass(frozen=True, slots=True)
class SharedRecords(Shared):
    """As `Shared`, with what the batches hold beside their ticks."""

    content: Content


@dataclass(slots=True, kw_only=True)
class DecodedRecords(Decoded):
    """A batch of order books or of events. `ticks` has what they have in common with ticks."""

    shared: SharedRecords

    @property
    def content(self) -> Content:
        """What it holds beside its ticks, as it came."""
        return self.shared.content.take(slice(self.start, self.start + len(self.faults)))

    @property
    def holds(self) -> type[Content]:
        """Which of the two it is."""
        return type(self.shared.content)

    def record(self, row: int) -> str:
        """JSON of a row, whole, so that it can be judged again: an event as it came, a book as its numbers say."""
        content, place = self.shared.content, self.start + row
        if isinstance(content, EventRows):
            raw = content.raw[place]
            shown: Any = {**raw, "kind": "status"} if isinstance(raw, dict) else raw
        else:
            ticks = self.ticks
            index, time_us, seq = int(ticks.symbol[row]), int(ticks.time_us[row]), int(ticks.seq[row])
            date = NO_DATE if self.given_dates is None else int(self.given_dates[row])
            shown = {
                "symbol": ticks.symbols[index] if index >= 0 else None,
                "time_us": None if time_us == ABSENT else time_us,
                **content.record(place),
                **({} if seq == ABSENT else {"seq": seq}),
                **({} if date == NO_DATE else {"trade_date": date}),
            }
        return record_text(shown)


def holds_records(payload: bytes) -> bool:
    """Whether a batch is written as order books or events are."""
    return len(payload) > _AT_ENCODING and payload[_AT_ENCODING] in _ENCODINGS


def joined(parts: Sequence[DecodedRecords]) -> tuple[Ticks, Content, Faults]:
    """What decoded batches of one feed and source hold, which is of one kind, after each other, and their faults, to be
    changed by the caller. What lies side by side already is not copied together."""
    ticks, faults = decoded_batches.joined(parts)
    pieces = [
        shared.content.take(slice(start, end))
        for shared, start, end in decoded_batches.stretches(parts)
        if isinstance(shared, SharedRecords)
    ]
    return ticks, _concatenate(pieces), faults


def book_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row that `DecodedRecords.record` wrote of an order book, as a terminal gives it; None if it can be no book
    however it is judged."""
    try:
        row = _mantissas(record)
        wire.Books().append(**row)
    except (wire.BatchError, KeyError, TypeError, ValueError):
        return None
    return row


def payload_of_books(seq: int, feed: str, captured_us: int, rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A batch of books, each as `book_of` gives it."""
    books = wire.Books()
    for row in rows:
        books.append(**row)
    return books.encode(seq, feed, captured_us)


def _mantissas(record: Mapping[str, Any]) -> dict[str, Any]:
    """A book as the terminal gave it. KeyError, TypeError or ValueError if something of it is missing or no
    number."""
    row: dict[str, Any] = {name: record.get(name) for name in ("symbol", "time_us", "seq", "trade_date")}
    for name, scale in BOOK_FIGURES.items():
        if record.get(name) is not None:
            row[name] = _mantissa(record[name], scale)
    for side in ("bids", "asks"):
        row[side] = [(_mantissa(price, _PRICE), _mantissa(size, _SIZE)) for price, size in record[side]]
    return row


def _mantissa(text: object, scale: int) -> int:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no decimal text")
    return wire.numbers.read(text, scale)[0]


# --- from the wire ----------------------------------------------------------------------------------------------------


def decode_books(batches: Sequence[PackedBatch[wire.BooksLayout]]) -> list[DecodedRecords]:
    """Batches of order books of one feed, source, scale and number of levels. A column that only some of them have is
    absent in the others' rows."""
    header, layout = batches[0].header, batches[0].layout
    ends = ends_of(batches)
    rows, levels = ends[-1], layout.levels
    ticks = tick_arrays.empty(header.feed, batches[0].given.source_id, rows)
    ticks.kind[:] = wire.Kind.BOOK
    ticks.tick_id = tick_ids([(one.given.batch, one.header.rows) for one in batches])
    faults = np.zeros(rows, np.uint64)
    numbers = {name: np.full(rows, ABSENT, np.int64) for name in BOOK_FIGURES}
    sides: dict[wire.BookColumn, Int64] = {}
    given = columns_of(batches)
    for column in given if rows else ():
        name = column.name.lower()
        dtype = _WIRE_DTYPES.get(column, "<i8")
        nothing = _ABSENT_BYTES.get(column, _ABSENT_NUMBER)
        if column in wire.LEVEL_COLUMNS:
            nothing = _ABSENT_NUMBER * levels
        values = np.frombuffer(column_bytes(column, nothing, batches), dtype)
        if column is wire.BookColumn.SYMBOL:
            ticks.symbol, ticks.symbols = common_symbols(values, batches)
        elif column in _TICK_COLUMNS:
            setattr(ticks, name, values.astype(_TICK_COLUMNS[column]))
        else:
            scale = _LEVEL_SCALES.get(column) or BOOK_FIGURES[name]
            price = scale == _PRICE
            exponent = scale - (layout.price_scale if price else layout.size_scale)
            fault = Fault.PRICE_OUT_OF_RANGE if price else Fault.SIZE_OUT_OF_RANGE
            if column in _LEVEL_SCALES:
                sides[column] = rescale(values.reshape(rows, levels), exponent, faults, fault)
            else:
                numbers[name] = rescale(values, exponent, faults, fault)
    books = BookColumns(
        bids=_side(sides, wire.BookColumn.BID_PRICE, wire.BookColumn.BID_SIZE, (rows, levels)),
        asks=_side(sides, wire.BookColumn.ASK_PRICE, wire.BookColumn.ASK_SIZE, (rows, levels)),
        **numbers,
    )
    shared = SharedRecords(ticks, faults, books)
    return [
        _decoded(one.header, one.layout.symbols, shared, end - one.header.rows, end)
        for one, end in zip(batches, ends, strict=True)
    ]


def _side(
    sides: Mapping[wire.BookColumn, Int64], price: wire.BookColumn, size: wire.BookColumn, shape: tuple[int, int]
) -> Int64:
    """The levels of one side, which are given with price and size or not at all."""
    if price not in sides:
        return np.full((*shape, 2), ABSENT, np.int64)
    return np.stack([sides[price], sides[size]], axis=-1)


_LEVEL_SCALES = dict(zip(wire.LEVEL_COLUMNS, (_PRICE, _SIZE, _PRICE, _SIZE), strict=True))
_TICK_COLUMNS: dict[wire.BookColumn, Any] = {
    wire.BookColumn.TIME_US: np.int64, wire.BookColumn.SEQ: np.int64, wire.BookColumn.TRADE_DATE: np.int32,
}  # fmt: skip
_WIRE_DTYPES = {wire.BookColumn.SYMBOL: "<u2", wire.BookColumn.TRADE_DATE: "<i4"}
_ABSENT_NUMBER = np.array(ABSENT, "<i8").tobytes()
_ABSENT_BYTES = {
    wire.BookColumn.SYMBOL: np.array(wire.ABSENT_SYMBOL, "<u2").tobytes(),
    wire.BookColumn.TRADE_DATE: np.array(NO_DATE, "<i4").tobytes(),
}
"""A row in which nothing is given."""


def decode_events(given: WireBatch, header: wire.BatchHeader) -> DecodedRecords:
    """A batch of events. `wire.BatchError` when it is unreadable as a whole."""
    raw = wire.parse_events(given.payload, header)
    ticks = tick_arrays.empty(header.feed, given.source_id, len(raw))
    ticks.kind[:] = wire.Kind.STATUS
    ticks.tick_id = tick_ids([(given.batch, len(raw))])
    faults, _ = read_rows(ticks, raw, ("time", "seq", "trade_date"))
    words: list[str] = []
    bodies: list[dict[str, Any] | None] = []
    for row, record in enumerate(raw):
        given_event: Mapping[str, Any] = record if isinstance(record, dict) else {}
        word = given_event.get("event")
        words.append(str(word) if wire.is_event(word) else "")
        if isinstance(record, dict) and not words[-1]:
            faults[row] |= np.uint64(Fault.EVENT_MALFORMED)
        body = given_event.get("body")
        body = {} if body is None else body
        try:
            wire.check_body(body)
        except wire.BatchError:
            faults[row] |= np.uint64(Fault.BODY_MALFORMED)
            body = None
        bodies.append(body)
    shared = SharedRecords(ticks, faults, EventRows(words=words, bodies=bodies, raw=raw))
    return _decoded(header, ticks.symbols, shared, 0, len(raw))


def _decoded(
    header: wire.BatchHeader, symbols: list[str], shared: SharedRecords, start: int, end: int
) -> DecodedRecords:
    return DecodedRecords(
        header=header,
        faults=shared.faults[start:end],
        symbols=symbols,
        given_dates=shared.ticks.trade_date[start:end],
        shared=shared,
        start=start,
    )
