"""Of what is stored beside ticks and candles: order books, the day of a symbol as snapshots told it, events."""

from __future__ import annotations

import abc
import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marketdata.storage.keys import Key, TickKey
from marketdata.storage.promises.database import Database
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.records import BookColumns
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import Ticks


class RecordStore(Database):
    """Order books, prices of snapshots, events."""

    @abc.abstractmethod
    def store_books(self, parts: Iterable[tuple[Ticks, BookColumns]]) -> int:
        """Store order books in bulk, those of several feeds together: `Ticks` has symbols, times, ids and trading dates
        of each part. Those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_books(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        limit: int,
        after: TickKey | None = None,
        ascending: bool = True,
    ) -> list[OrderBook]:
        """Order books with start_us <= time < end_us, ordered by (time, tick_id), at most `limit`."""

    @abc.abstractmethod
    def newest_books(self, feed: str, since_us: Mapping[str, int]) -> list[OrderBook]:
        """The newest order book, by (time, tick_id), of each of these symbols on a feed, no older than the symbol's
        time."""

    @abc.abstractmethod
    def day_book_symbols(self, date: datetime.date) -> list[str]:
        """The symbols that have order books of a trading date, sorted."""

    @abc.abstractmethod
    def read_day_books(
        self, date: datetime.date, symbol: str, *, after: Key | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """Order books of a trading date and symbol, ordered by (time, tick_id), behind `after`, at most `limit`. As
        they are stored: symbol, feed, time_us, tick_id, days since 1970, source, the four JSON arrays, and BOOK_FIGURES
        as integers."""

    @abc.abstractmethod
    def load_prices(self, ticks: Ticks, categories: Mapping[str, str]) -> int:
        """Store the day figures of these snapshots in bulk (`ticks.day`, which is there), each with the category of its
        symbol; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_prices(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
    ) -> list[StockPrice]:
        """Rows of stock_prices of a symbol and feed with start_us <= time < end_us, ordered by (time, tick_id), at most
        `limit`."""

    @abc.abstractmethod
    def latest_prices(self, symbols: Sequence[str], feed: str) -> list[StockPrice]:
        """The newest row of stock_prices, by (time, tick_id), of each of these symbols that has one on the feed. A step
        down the key each, in every month that is kept."""

    @abc.abstractmethod
    def day_price_series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) that have rows of stock_prices of a trading date, sorted."""

    @abc.abstractmethod
    def read_day_prices(self, date: datetime.date, symbol: str, feed: str) -> list[StockPrice]:
        """All rows of stock_prices of a trading date, symbol and feed, ordered by (time, tick_id)."""

    @abc.abstractmethod
    def category_prices(self, category: str, feed: str, start_us: int, end_us: int, *, limit: int) -> list[StockPrice]:
        """Rows of stock_prices of all symbols of a category on a feed with start_us <= time < end_us, the newest first,
        by (time, symbol, tick_id), at most `limit`; of several of the last time it is open which are left out."""

    @abc.abstractmethod
    def delete_prices(self, ticks: Ticks) -> int:
        """Remove the rows of these snapshots; returns how many there were."""

    @abc.abstractmethod
    def store_events(self, events: Sequence[MarketEvent]) -> int:
        """Store events; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def read_events(
        self,
        start_us: int,
        end_us: int,
        *,
        limit: int,
        kinds: Sequence[str] | None = None,
        codes: Sequence[tuple[str, int, int]] | None = None,
        feeds: Sequence[str] | None = None,
        index: str | None = None,
        after: Key | None = None,
        newest: bool = False,
    ) -> list[MarketEvent]:
        """Events with start_us <= time < end_us, ordered by (time, id): the first `limit` of them, or the last ones
        (`newest`). `after` leaves out what is not behind (with `newest`: before) this time and id; `codes` are the
        symbols wanted, each with first <= time < end, `kinds` the kinds and `feeds` the feeds; all of them when not
        given. `index` leaves out events whose body does not name this index; every body between the two times is
        looked into for it."""

    @abc.abstractmethod
    def read_day_events(self, date: datetime.date, *, after: Key | None, limit: int) -> list[tuple[Any, ...]]:
        """Events of a trading date, ordered by (time, id), behind `after`, at most `limit`. As they are stored:
        time_us, id, days since 1970, feed, source, kind, symbol, body as JSON."""
