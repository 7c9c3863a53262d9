"""Order books and events off the wire. Symbol, time, number and trading date of each row are held as those of ticks
are, so that they are judged by the same rules; what is theirs alone lies beside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.types import ticks as ticks_module
from marketdata.types.order_books import Levels, MarketEvent, OrderBook
from marketdata.types.reject_reasons import Fault
from marketdata.types.ticks import ABSENT, NO_DATE, Decoded, Int64, Ticks, WireBatch, decimal_text
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

    def take(self, chosen: npt.NDArray[Any]) -> BookColumns:
        """The rows of a mask or of indices, in that order."""
        return BookColumns(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

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

    def books(self, ticks: Ticks) -> list[OrderBook]:
        """The books as they are stored; `ticks` has their symbols, times, ids and trading dates."""
        columns = [getattr(self, name).tolist() for name in BOOK_FIGURES]
        rows = zip(
            ticks.symbol.tolist(), ticks.time_us.tolist(), ticks.tick_id.tolist(), ticks.trade_date.tolist(),
            self.bids.tolist(), self.asks.tolist(), *columns, strict=True,
        )  # fmt: skip
        return [
            OrderBook(
                symbol=ticks.symbols[symbol], feed=ticks.feed, source_id=ticks.source_id, time_us=time_us,
                tick_id=tick_id, trade_date=trade_date, bids=_levels(bids), asks=_levels(asks),
                **{name: None if value == ABSENT else value for name, value in zip(BOOK_FIGURES, figures, strict=True)},
            )
            for symbol, time_us, tick_id, trade_date, bids, asks, *figures in rows
        ]  # fmt: skip


@dataclass(slots=True, kw_only=True)
class EventRows:
    """The words and bodies of events; `""` and `None` of one that is refused for it. `raw` is each as it came."""

    words: list[str]
    bodies: list[dict[str, Any] | None]
    raw: list[object]

    def __len__(self) -> int:
        return len(self.words)

    def take(self, chosen: npt.NDArray[Any]) -> EventRows:
        """The rows of a mask or of indices, in that order."""
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


@dataclass(slots=True, kw_only=True)
class DecodedRecords(Decoded):
    """A batch of order books or of events. `ticks` has what they have in common with ticks."""

    content: Content

    def record(self, row: int) -> str:
        """JSON of a row, whole, so that it can be judged again: an event as it came, a book as its numbers say."""
        if isinstance(self.content, EventRows):
            raw = self.content.raw[row]
            shown: Any = {**raw, "kind": "status"} if isinstance(raw, dict) else raw
        else:
            ticks = self.ticks
            index, time_us, seq = int(ticks.symbol[row]), int(ticks.time_us[row]), int(ticks.seq[row])
            date = NO_DATE if self.given_dates is None else int(self.given_dates[row])
            shown = {
                "symbol": ticks.symbols[index] if index >= 0 else None,
                "time_us": None if time_us == ABSENT else time_us,
                **self.content.record(row),
                **({} if seq == ABSENT else {"seq": seq}),
                **({} if date == NO_DATE else {"trade_date": date}),
            }
        text = json.dumps(shown, ensure_ascii=False, default=str)
        # JSON may name half a character, which no column holds.
        return text.encode("utf-8", "backslashreplace").decode()


def holds_records(payload: bytes) -> bool:
    """Whether a batch is written as order books or events are."""
    return len(payload) > _AT_ENCODING and payload[_AT_ENCODING] in _ENCODINGS


def decode(given: WireBatch) -> DecodedRecords:
    """Decode a batch of order books or events. `wire.BatchError` when the batch as a whole is unreadable; a wrong row
    is only a fault."""
    header = wire.parse_header(given.payload)
    if header.encoding == wire.Encoding.BOOKS:
        return _books(given, header)
    return _events(given, header)


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


def _envelope(given: WireBatch, header: wire.BatchHeader, kind: wire.Kind, rows: int) -> Ticks:
    ticks = ticks_module.empty(header.feed, given.source_id, rows)
    ticks.kind[:] = kind
    ticks.tick_id = (np.int64(given.batch) << ticks_module.TICK_BITS) + np.arange(rows, dtype=np.int64)
    return ticks


def _books(given: WireBatch, header: wire.BatchHeader) -> DecodedRecords:
    layout = wire.parse_books(given.payload, header)
    rows, levels = header.rows, layout.levels
    ticks = _envelope(given, header, wire.Kind.BOOK, rows)
    ticks.symbols = layout.symbols
    faults = np.zeros(rows, np.uint64)

    def column(which: wire.BookColumn, dtype: str, count: int) -> npt.NDArray[Any] | None:
        at = layout.offsets.get(which)
        return None if at is None else np.frombuffer(given.payload, dtype, count, at)

    def numbers(which: wire.BookColumn, scale: int, count: int) -> Int64:
        found = column(which, "<i8", count)
        if found is None:
            return np.full(count, ABSENT, np.int64)
        price = scale == _PRICE
        exponent = scale - (layout.price_scale if price else layout.size_scale)
        wrong = faults if count == rows else np.zeros(count, np.uint64)
        fault = Fault.PRICE_OUT_OF_RANGE if price else Fault.SIZE_OUT_OF_RANGE
        scaled = ticks_module.rescale(found.astype(np.int64), exponent, wrong, fault)
        if wrong is not faults and wrong.any():
            np.bitwise_or(faults, np.bitwise_or.reduce(wrong.reshape(rows, -1), axis=1), out=faults)
        return scaled

    if (symbols := column(wire.BookColumn.SYMBOL, "<u2", rows)) is not None:
        chosen = symbols.astype(np.int32)
        ticks.symbol = np.where(chosen < len(layout.symbols), chosen, np.int32(-1)).astype(np.int32)
    for which, name in ((wire.BookColumn.TIME_US, "time_us"), (wire.BookColumn.SEQ, "seq")):
        if (found := column(which, "<i8", rows)) is not None:
            setattr(ticks, name, found.astype(np.int64))
    if (dates := column(wire.BookColumn.TRADE_DATE, "<i4", rows)) is not None:
        ticks.trade_date = dates.astype(np.int32)
    sides = {
        side: np.stack([numbers(price, _PRICE, rows * levels), numbers(size, _SIZE, rows * levels)], axis=-1).reshape(
            rows, levels, 2
        )
        for side, price, size in (
            ("bids", wire.BookColumn.BID_PRICE, wire.BookColumn.BID_SIZE),
            ("asks", wire.BookColumn.ASK_PRICE, wire.BookColumn.ASK_SIZE),
        )
    }
    figures = {name: numbers(wire.BookColumn[name.upper()], scale, rows) for name, scale in BOOK_FIGURES.items()}
    return _decoded(header, ticks, faults, BookColumns(**sides, **figures))


def _events(given: WireBatch, header: wire.BatchHeader) -> DecodedRecords:
    raw = wire.parse_events(given.payload, header)
    ticks = _envelope(given, header, wire.Kind.STATUS, len(raw))
    faults, _ = ticks_module.read_rows(ticks, raw, ("time", "seq", "trade_date"))
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
    return _decoded(header, ticks, faults, EventRows(words=words, bodies=bodies, raw=raw))


def _decoded(
    header: wire.BatchHeader, ticks: Ticks, faults: npt.NDArray[np.uint64], content: Content
) -> DecodedRecords:
    return DecodedRecords(
        header=header,
        ticks=ticks,
        faults=faults,
        symbols=ticks.symbols,
        given_dates=ticks.trade_date,
        shared=ticks_module.Shared(ticks, faults),
        content=content,
    )


def _levels(side: list[list[int]]) -> Levels:
    return tuple((decimal_text(price, _PRICE), decimal_text(size, _SIZE)) for price, size in side if price != ABSENT)


def _text(value: int, scale: int) -> str | None:
    return None if value == ABSENT else decimal_text(value, scale)
