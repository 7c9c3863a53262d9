"""Order books, market events, the caches, and what else is the same question to every database, which brings its own
words for a time, a date, a decimal and for leaving alone what is there."""

from __future__ import annotations

import abc
import datetime
import decimal
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from marketdata.storage.base import CachedChart, CachedStats, Key, Latest, Series, Storage, TickKey
from marketdata.storage.keys import NEAR_DAYS
from marketdata.types.order_books import MarketEvent, OrderBook, json_arrays
from marketdata.types.records import BOOK_FIGURES, BookColumns
from marketdata.types.tick_arrays import ABSENT, Int64, Ticks
from marketdata.types.units import DAY_US, date_of, day_of
from terminals import wire

_TOGETHER = 100  # symbols of a statement
_BYTES = 1 << 20  # of bodies in a statement, well below what a server takes
_LATEST_KEY = ("symbol", "feed")
_LATEST = (*_LATEST_KEY, "event_time", "tick_id", "price", "size")
_SIDES = ("bid_prices", "bid_volumes", "ask_prices", "ask_volumes")
_BOOK = ("symbol", "event_time", "tick_id", "trade_date", "feed", "source", *_SIDES, *BOOK_FIGURES)
_EVENT = ("event_time", "event_id", "trade_date", "feed", "source", "kind", "symbol", "body")


def _among(column: str, wanted: Sequence[str]) -> str:
    """A condition with a parameter for each of these; false of everything if there are none."""
    return f"{column} IN ({', '.join(['%s'] * len(wanted))})" if wanted else "1 = 0"


class SideTables(Storage):
    """What a backend inherits once it has the words."""

    TIME_US: ClassVar[str]
    """`event_time` as microseconds since 1970."""
    DAYS: ClassVar[str]
    """`trade_date` as days since 1970."""
    AS_TEXT: ClassVar[str] = "{}"
    """A column of JSON as the text that was stored."""
    INDEX: ClassVar[str]
    """The index that an event's body names, as text; NULL without one."""
    NEWER: ClassVar[str] = (
        "ON CONFLICT (symbol, feed, {key}) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at"
        " WHERE {table}.updated_at < excluded.updated_at"
    )
    """Behind the rows of an insertion into a cache table: a newer row takes the place of an older one. `key` is the
    column beside symbol and feed."""
    BY_DATE: ClassVar[bool] = True
    """Whether rows of a trading date lie together."""

    @abc.abstractmethod
    def _moment(self, us: int) -> Any:
        """A time as a parameter."""

    @abc.abstractmethod
    def _day(self, days: int) -> Any:
        """A trading date as a parameter."""

    @abc.abstractmethod
    def _decimal(self, value: int, places: int) -> Any:
        """`value` / 10**places as a parameter."""

    @abc.abstractmethod
    def _micros(self, column: str) -> str:
        """A column of times as microseconds since 1970."""

    @abc.abstractmethod
    def _scaled(self, column: str, unit: int) -> str:
        """A column of decimals as integers, `unit` of which make one; NULL stays NULL."""

    @abc.abstractmethod
    def _put(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        replace: Sequence[str] = (),
        stamp: str = "",
    ) -> int:
        """Insert rows; those whose key is there are left alone, or replaced where `replace` names the key. The column
        `stamp` gets the database's own time. How many rows changed."""

    def _put_many(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """As `_put` of rows that may be many, by whatever is the quickest for the database."""
        return self._put(table, columns, rows)

    def _changed(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return max(int(cursor.rowcount), 0)

    def dates_within(self, table: str, start: datetime.date, end: datetime.date) -> list[datetime.date]:
        bounds = [self._day(day_of(bound)) for bound in (start, end)]
        rows = f"FROM {self.connection.ops.quote_name(table)} WHERE trade_date >= %s AND trade_date < %s"
        if end - start == datetime.timedelta(days=1):
            return [start] if self._query(f"SELECT 1 {rows} LIMIT 1", bounds) else []
        found = self._query(f"SELECT DISTINCT {self.DAYS} {rows}", bounds)
        return sorted(date_of(int(days)) for (days,) in found)

    def store_books(self, parts: Iterable[tuple[Ticks, BookColumns]]) -> int:
        rows: list[Sequence[Any]] = []
        for ticks, books in parts:
            dates = {day: self._day(day) for day in set(ticks.trade_date.tolist())}
            count, sides = len(ticks), np.concatenate((books.bids, books.asks))
            prices, sizes = (
                json_arrays(sides[:, :, at], scale) for at, scale in enumerate((wire.PRICE_SCALE, wire.SIZE_SCALE))
            )
            columns = (
                [ticks.symbols[index] for index in ticks.symbol.tolist()],
                self._moments(ticks.time_us),
                ticks.tick_id.tolist(),
                [dates[day] for day in ticks.trade_date.tolist()],
                *([one] * count for one in (ticks.feed, ticks.source_id)),
                prices[:count],
                sizes[:count],
                prices[count:],
                sizes[count:],
                *(self._decimals(getattr(books, name), places) for name, places in BOOK_FIGURES.items()),
            )
            rows += zip(*columns, strict=True)
        return self._put_many("order_books", _BOOK, rows)

    def _moments(self, times_us: Int64) -> Sequence[Any]:
        """Times as parameters."""
        return [self._moment(us) for us in times_us.tolist()]

    def _decimals(self, values: Int64, places: int) -> list[Any]:
        """Numbers in 10**-places as parameters, None where one is absent."""
        if (values == ABSENT).all():
            return [None] * len(values)
        return [None if value == ABSENT else self._decimal(value, places) for value in values.tolist()]

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
        way = "ASC" if ascending else "DESC"
        where = "symbol = %s AND feed = %s AND event_time >= %s AND event_time < %s"
        params: list[Any] = [symbol, feed, self._moment(start_us), self._moment(end_us)]
        if after is not None:
            condition, values = self._behind((after.time_us, after.tick_id), "tick_id", ascending)
            where, params = where + condition, params + values
        rows = self._query(
            f"SELECT {self._book_columns()} FROM order_books WHERE {where}"
            f" ORDER BY event_time {way}, tick_id {way} LIMIT %s",
            [*params, limit],
        )
        return [_book(row) for row in rows]

    def newest_books(self, feed: str, since_us: Mapping[str, int]) -> list[OrderBook]:
        each = (
            f"SELECT {self._book_columns()} FROM order_books WHERE symbol = %s AND feed = %s AND event_time >= %s"
            " ORDER BY event_time DESC, tick_id DESC LIMIT 1"
        )
        found: list[OrderBook] = []
        asked = sorted(since_us.items())
        for start in range(0, len(asked), _TOGETHER):
            part = asked[start : start + _TOGETHER]
            statement = " UNION ALL ".join(f"SELECT * FROM ({each}) AS q{number}" for number in range(len(part)))
            params = [word for symbol, at in part for word in (symbol, feed, self._moment(at))]
            found += map(_book, self._query(statement, params))
        return found

    def _book_columns(self) -> str:
        """What `_book` reads."""
        sides = ", ".join(f"{self.AS_TEXT.format(name)} AS {name}" for name in _SIDES)
        figures = ", ".join(f"{self._scaled(name, 10**places)} AS {name}" for name, places in BOOK_FIGURES.items())
        return f"symbol, feed, {self.TIME_US} AS time_us, tick_id, {self.DAYS} AS days, source, {sides}, {figures}"

    def _behind(self, key: Key, number: str, ascending: bool) -> tuple[str, list[Any]]:
        """Rows behind (descending: before) a time and number, to be added to a condition; not as a pair, of which not
        every database makes a range of the key."""
        sign, at = ">" if ascending else "<", self._moment(key[0])
        return f" AND event_time {sign}= %s AND (event_time {sign} %s OR {number} {sign} %s)", [at, at, key[1]]

    def day_book_symbols(self, date: datetime.date) -> list[str]:
        where, params = self._of_day(date, None, "tick_id")
        return sorted(
            symbol
            for symbol in self._book_symbols(date)
            if self._query(f"SELECT 1 FROM order_books WHERE symbol = %s AND {where} LIMIT 1", [symbol, *params])
        )

    def _book_symbols(self, date: datetime.date) -> Iterator[str]:
        """The symbols that may have order books of a trading date, from one to the next in the key."""
        where, params = ("trade_date = %s AND ", [self._day(day_of(date))]) if self.BY_DATE else ("", [])
        sql = f"SELECT symbol FROM order_books WHERE {where}symbol > %s ORDER BY symbol LIMIT 1"
        last = ""
        while found := self._query(sql, [*params, last]):
            last = found[0][0]
            yield last

    def read_day_books(
        self, date: datetime.date, symbol: str, *, after: Key | None, limit: int
    ) -> list[tuple[Any, ...]]:
        where, params = self._of_day(date, after, "tick_id")
        return self._query(
            f"SELECT {self._book_columns()} FROM order_books"
            f" WHERE symbol = %s AND {where} ORDER BY event_time, tick_id LIMIT %s",
            [symbol, *params, limit],
        )

    def _of_day(self, date: datetime.date, after: Key | None, number: str) -> tuple[str, list[Any]]:
        """Rows of a trading date behind a key, as a condition with its parameters; times as far from the date as those
        of its rows may be (`ingest.validation`), by which a database finds its way in the key."""
        day = day_of(date)
        near = [self._moment((day + days) * DAY_US) for days in (-NEAR_DAYS, NEAR_DAYS + 1)]
        where, params = "trade_date = %s AND event_time >= %s AND event_time < %s", [self._day(day), *near]
        if after is not None:
            condition, values = self._behind(after, number, ascending=True)
            where, params = where + condition, params + values
        return where, params

    def read_day_events(self, date: datetime.date, *, after: Key | None, limit: int) -> list[tuple[Any, ...]]:
        where, params = self._of_day(date, after, "event_id")
        return self._query(
            f"SELECT {self.TIME_US}, event_id, {self.DAYS}, feed, source, kind, symbol, {self.AS_TEXT.format('body')}"
            f" FROM market_events WHERE {where} ORDER BY event_time, event_id LIMIT %s",
            [*params, limit],
        )

    def store_events(self, events: Sequence[MarketEvent]) -> int:
        rows = [
            (
                self._moment(one.time_us), one.event_id, self._day(one.trade_date), one.feed, one.source_id, one.kind,
                one.symbol, json.dumps(one.body, ensure_ascii=False),
            )
            for one in events
        ]  # fmt: skip
        return self._put("market_events", _EVENT, rows)

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
        order = "DESC" if newest else "ASC"
        where, params = "event_time >= %s AND event_time < %s", [self._moment(start_us), self._moment(end_us)]
        for column, wanted in (("kind", kinds), ("feed", feeds)):
            if wanted is not None:
                where += f" AND {_among(column, wanted)}"
                params += wanted
        if codes is not None:
            whole = [code for code, first_us, last_us in codes if first_us <= start_us and end_us <= last_us]
            conditions = [_among("symbol", whole)]
            params += whole
            for code, first_us, last_us in codes:
                if first_us > start_us or end_us > last_us:
                    conditions.append("(symbol = %s AND event_time >= %s AND event_time < %s)")
                    params += [code, self._moment(first_us), self._moment(last_us)]
            where += f" AND ({' OR '.join(conditions)})"
        if index is not None:
            where += f" AND {self.INDEX} = %s"
            params.append(index)
        if after is not None:
            condition, values = self._behind(after, "event_id", not newest)
            where, params = where + condition, params + values
        rows = self._query(
            f"SELECT {self.TIME_US}, event_id, {self.DAYS}, feed, source, kind, symbol, {self.AS_TEXT.format('body')}"
            f" FROM market_events WHERE {where} ORDER BY event_time {order}, event_id {order} LIMIT %s",
            [*params, limit],
        )
        return [
            MarketEvent(
                time_us=at, event_id=i, trade_date=day, feed=feed_of, source_id=source, kind=what, symbol=symbol,
                body=json.loads(body, parse_float=decimal.Decimal),
            )
            for at, i, day, feed_of, source, what, symbol, body in (reversed(rows) if newest else rows)
        ]  # fmt: skip

    def put_latest(self, rows: Sequence[Latest]) -> None:
        newest = {(row.symbol, row.feed): row for row in rows}  # a statement may not touch a row twice
        values = [
            (
                row.symbol, row.feed, self._moment(row.time_us), row.tick_id,
                self._decimal(row.price, wire.PRICE_SCALE),
                None if row.size is None else self._decimal(row.size, wire.SIZE_SCALE),
            )
            for _, row in sorted(newest.items())
        ]  # fmt: skip
        self._put("cache_realtime_data", _LATEST, values, replace=_LATEST_KEY, stamp="updated_at")

    def put_stats(self, rows: Sequence[CachedStats]) -> None:
        self._put_cached("cache_stats_data", "name", {(r.symbol, r.feed, r.name, r.at_us): r.body for r in rows})

    def put_charts(self, rows: Sequence[CachedChart]) -> None:
        bodies = {(row.symbol, row.feed, row.timeframe, row.at_us): row.body for row in rows}
        self._put_cached("cache_chart_data", "timeframe", bodies)

    def _put_cached(self, table: str, key: str, bodies: Mapping[tuple[str, str, str, int], str]) -> None:
        """Write bodies by (symbol, feed, the column `key`, revision) into a cache table, of one key the newest."""
        newest = {row[:3]: (*row, bodies[row]) for row in sorted(bodies)}
        # Everybody in one order, so that nobody waits in a circle.
        for part in _statements([newest[row] for row in sorted(newest)]):
            self._changed(
                f"INSERT INTO {table} (symbol, feed, {key}, body, updated_at) VALUES"
                f" {', '.join(['(%s, %s, %s, %s, %s)'] * len(part))} {self.NEWER.format(table=table, key=key)}",
                [v for symbol, feed, name, at, body in part for v in (symbol, feed, name, body, self._moment(at))],
            )

    def read_stats(self, feed: str, name: str, symbols: Sequence[str]) -> list[CachedStats]:
        found = []
        for start in range(0, len(symbols), _TOGETHER):
            part = list(symbols[start : start + _TOGETHER])
            rows = self._query(
                f"SELECT symbol, {self.AS_TEXT.format('body')}, {self._micros('updated_at')} FROM cache_stats_data"
                f" WHERE feed = %s AND name = %s AND symbol IN ({', '.join(['%s'] * len(part))})",
                [feed, name, *part],
            )
            found += [
                CachedStats(symbol=symbol, feed=feed, name=name, body=body, at_us=int(at)) for symbol, body, at in rows
            ]
        return found

    def stats_series(self) -> list[Series]:
        return [(symbol, feed) for symbol, feed in self._query("SELECT DISTINCT symbol, feed FROM cache_stats_data")]

    def purge_caches(self, before_us: Mapping[str, int]) -> dict[str, int]:
        return {
            table: self._changed(
                f"DELETE FROM {self.connection.ops.quote_name(table)} WHERE updated_at < %s", [self._moment(before)]
            )
            for table, before in before_us.items()
        }


_Cached = tuple[str, str, str, int, str]  # the key, the revision, the body


def _statements(rows: Iterable[_Cached]) -> Iterator[list[_Cached]]:
    """Rows of cache tables by statements: at most `_TOGETHER` of them and about `_BYTES` of bodies in each."""
    part: list[_Cached] = []
    size = 0
    for row in rows:
        if part and (len(part) >= _TOGETHER or size + len(row[-1]) > _BYTES):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row[-1])
    if part:
        yield part


def _book(row: Sequence[Any]) -> OrderBook:
    """An order book as `_book_columns` asks for it."""
    symbol, feed, at, tick_id, day, source, *rest = row
    return OrderBook.of(
        symbol=symbol, feed=feed, time_us=at, tick_id=tick_id, trade_date=day, source_id=source,
        columns=rest[: len(_SIDES)], **dict(zip(BOOK_FIGURES, rest[len(_SIDES) :], strict=True)),
    )  # fmt: skip
