"""The tables that are archived beside the ticks: what snapshots told, order books and events. How their files are
made is `marketdata.archive.day_files`'s. Rows of stock_prices are sorted by (symbol, feed, timestamp, tick_id), order
books by (symbol, event_time, tick_id), events by (event_time, event_id); levels and bodies are the JSON that the table
has.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from django.conf import settings

from marketdata.archive import day_files
from marketdata.archive.day_files import Rows, Table
from marketdata.models import Source, VoidedTick
from marketdata.storage import storage
from marketdata.storage.base import Key
from marketdata.storage.rows import PRICE_UNITS
from marketdata.types.records import BOOK_FIGURES
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import ABSENT

_FIELDS = {
    "current_price": "price", "open_price": "open", "high_price": "high", "low_price": "low",
    **{name: name for name in list(PRICE_UNITS)[4:]},
}  # fmt: skip
"""The numbers of stock_prices, and what they are called in a `StockPrice`."""
_SIDES = ("bid_prices", "bid_volumes", "ask_prices", "ask_volumes")
_BOOK = ("symbol", "feed", "event_time", "tick_id", "trade_date", "source", *_SIDES, *BOOK_FIGURES)
_EVENT = ("event_time", "event_id", "trade_date", "feed", "source", "kind", "symbol", "body")
PAGE_ROWS = 4_000
Raw = tuple[Any, ...]


def _prices(date: datetime.date) -> Iterator[Rows]:
    sources = dict(Source.objects.values_list("id", "code"))
    parts = (storage().read_day_prices(date, *series) for series in storage().day_price_series(date))
    for prices in _together(parts):
        yield _price_rows(prices, sources)


def _price_rows(prices: Sequence[StockPrice], sources: dict[int, str]) -> Rows:
    rows: Rows = {name: [getattr(one, name) for one in prices] for name in ("symbol", "feed", "category")}
    rows["source"] = [sources.get(one.source_id, str(one.source_id)) for one in prices]
    numbers = {**_FIELDS, "timestamp": "time_us", "trade_date": "trade_date", "tick_id": "tick_id"}
    for column, name in numbers.items():
        rows[column] = _integers([getattr(one, name) for one in prices])
    return rows


def _books(date: datetime.date) -> Iterator[Rows]:
    def of(symbol: str) -> Callable[[Key | None, int], list[Raw]]:
        return lambda after, limit: storage().read_day_books(date, symbol, after=after, limit=limit)

    places = _BOOK.index("event_time"), _BOOK.index("tick_id")
    parts = (part for symbol in storage().day_book_symbols(date) for part in _pages(of(symbol), places))
    yield from _raw_rows(parts, _BOOK, BOOKS)


def _events(date: datetime.date) -> Iterator[Rows]:
    def page(after: Key | None, limit: int) -> list[Raw]:
        return storage().read_day_events(date, after=after, limit=limit)

    yield from _raw_rows(_pages(page, (0, 1)), _EVENT, EVENTS)


def _pages(read: Callable[[Key | None, int], list[Raw]], places: tuple[int, int]) -> Iterator[list[Raw]]:
    """Page after page; `places` are those of time and number in a row."""
    after: Key | None = None
    while True:
        page = read(after, PAGE_ROWS)
        yield page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1][places[0]], page[-1][places[1]]


def _raw_rows(parts: Iterable[list[Raw]], names: Sequence[str], table: Table) -> Iterator[Rows]:
    sources = dict(Source.objects.values_list("id", "code"))
    for part in _together(parts):
        columns = dict(zip(names, map(list, zip(*part, strict=True)), strict=True))
        columns["source"] = [sources.get(number, str(number)) for number in columns["source"]]
        yield {name: columns[name] if name in table.words else _integers(columns[name]) for name in table.columns}


def _together(parts: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Parts whole, some together."""
    waiting: list[Any] = []
    size = 0
    for part in parts:
        waiting += part
        size += sum(len(value) for row in part if isinstance(row, tuple) for value in row if isinstance(value, str))
        if len(waiting) >= day_files.GROUP_ROWS or size >= day_files.GROUP_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _integers(values: Sequence[int | None]) -> Any:
    return np.array([ABSENT if value is None else value for value in values], np.int64)


def _past(days: Callable[[], int]) -> Callable[[datetime.date], bool]:
    """Whether a date is as long ago as rows are kept."""
    return lambda date: date < datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=days())


PRICES = Table(
    table="stock_prices",
    name="prices",
    columns=("symbol", "feed", "timestamp", "category", *PRICE_UNITS, "trade_date", "tick_id", "source"),
    words=("symbol", "feed", "category", "source"),
    scales={name: len(str(unit)) - 1 for name, unit in PRICE_UNITS.items()},
    time="timestamp",
    differences=("timestamp", "trade_date", "tick_id", "volume", "value"),
    texts=(),
    key=("symbol", "feed", "timestamp", "tick_id"),
    groups=_prices,
    voided=lambda date: set(VoidedTick.objects.filter(trade_date=date).values_list("tick_id", flat=True)),
    is_over=_past(lambda: settings.RETENTION_PRICES_DAYS),
)
BOOKS = Table(
    table="order_books",
    name="books",
    columns=("symbol", "feed", "event_time", *_SIDES, *BOOK_FIGURES, "trade_date", "tick_id", "source"),
    words=("symbol", "feed", *_SIDES, "source"),
    scales=BOOK_FIGURES,
    time="event_time",
    differences=("event_time", "trade_date", "tick_id"),
    texts=_SIDES,
    key=("symbol", "event_time", "tick_id"),
    groups=_books,
    voided=lambda date: (),
    is_over=_past(lambda: settings.RETENTION_BOOKS_DAYS),
)
EVENTS = Table(
    table="market_events",
    name="events",
    columns=("event_time", "feed", "kind", "symbol", "body", "trade_date", "event_id", "source"),
    words=("feed", "kind", "symbol", "body", "source"),
    scales={},
    time="event_time",
    differences=("event_time", "trade_date", "event_id"),
    texts=("body",),
    key=("event_time", "event_id"),
    groups=_events,
    voided=lambda date: (),
    is_over=_past(lambda: settings.RETENTION_EVENTS_DAYS),
)
ALL = (PRICES, BOOKS, EVENTS)
