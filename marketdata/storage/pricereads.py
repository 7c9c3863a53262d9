"""Reading and removing rows of stock_prices: the same questions to every database."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from marketdata.storage.base import PERIODS, PRICES, TickKey
from marketdata.storage.keys import NEAR_DAYS
from marketdata.storage.rows import PRICE_UNITS, nearby
from marketdata.storage.sidetables import SideTables
from marketdata.types.stock_prices import StockPrice
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import DAY_US, day_of

_TOGETHER = 100  # symbols of a statement
_FIELDS = (
    "symbol", "time_us", "tick_id", "trade_date", "source_id", "category", "price", "open", "high", "low",
    "prev_close", "change_rate", "volume", "value", "upper_limit", "lower_limit", "bid", "ask",
)  # fmt: skip
"""Of a `StockPrice`, in the order in which they are asked for."""


class PriceReads(SideTables):
    """What a backend inherits once it has the words."""

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
        time, (way, sign) = self._time(), ("ASC", ">") if ascending else ("DESC", "<")
        if after is not None:  # within the bounds, by which a database finds its way in the key
            start_us = max(start_us, after.time_us) if ascending else start_us
            end_us = end_us if ascending else min(end_us, after.time_us + 1)
        where = f"symbol = %s AND feed = %s AND {time} >= %s AND {time} < %s AND trade_date >= %s AND trade_date <= %s"
        params: list[Any] = [symbol, feed, self._moment(start_us), self._moment(end_us)]
        params += self._dates_near(start_us, end_us)
        if after is not None:
            where += f" AND ({time} {sign} %s OR tick_id {sign} %s)"
            params += [self._moment(after.time_us), after.tick_id]
        most = "" if limit is None else f" LIMIT {limit:d}"
        return self._prices(f"{self._select()} WHERE {where} ORDER BY {time} {way}, tick_id {way}{most}", params, feed)

    def day_price_series(self, date: datetime.date) -> list[tuple[str, str]]:
        where, near = self._of_date(date)
        sql = f"SELECT 1 FROM {PRICES} WHERE {where} LIMIT 1"
        return sorted(one for one in self._price_series(date) if self._query(sql, [*one, *near]))

    def _price_series(self, date: datetime.date) -> Iterator[tuple[str, str]]:
        """The (symbol, feed) that may have prices of a trading date, from one to the next in the key."""
        period = "trade_date >= %s AND trade_date < %s"
        bounds = [self._day(day_of(bound)) for bound in PERIODS[PRICES](date)]
        sql = f"SELECT symbol, feed FROM {PRICES} WHERE {period}"
        found = self._query(f"{sql} ORDER BY symbol, feed LIMIT 1", bounds)
        while found:
            symbol, feed = found[0]
            yield symbol, feed
            found = self._query(f"{sql} AND symbol = %s AND feed > %s ORDER BY feed LIMIT 1", [*bounds, symbol, feed])
            if not found:
                found = self._query(f"{sql} AND symbol > %s ORDER BY symbol, feed LIMIT 1", [*bounds, symbol])

    def _of_date(self, date: datetime.date) -> tuple[str, list[Any]]:
        """What rows of a (symbol, feed) and of a trading date meet, with its parameters behind those two."""
        day, time = day_of(date), self._time()
        near = [self._moment((day + days) * DAY_US) for days in (-NEAR_DAYS, NEAR_DAYS + 1)]
        where = f"symbol = %s AND feed = %s AND {time} >= %s AND {time} < %s AND trade_date = %s"
        return where, [*near, self._day(day)]

    def read_day_prices(self, date: datetime.date, symbol: str, feed: str) -> list[StockPrice]:
        where, near = self._of_date(date)
        sql = f"{self._select()} WHERE {where} ORDER BY {self._time()}, tick_id"
        return self._prices(sql, [symbol, feed, *near], feed)

    def latest_prices(self, symbols: Sequence[str], feed: str) -> list[StockPrice]:
        found: list[StockPrice] = []
        for start in range(0, len(symbols), _TOGETHER):
            found += self._prices(*self._latest_statement(symbols[start : start + _TOGETHER], feed), feed)
        return found

    def _latest_statement(self, symbols: Sequence[str], feed: str) -> tuple[str, list[Any]]:
        """What asks for the newest row of each of these symbols, with its parameters."""
        each = f"{self._select()} WHERE symbol = %s AND feed = %s {self._newest()}"
        statement = " UNION ALL ".join(f"SELECT * FROM ({each}) AS q{number}" for number in range(len(symbols)))
        return statement, [word for symbol in symbols for word in (symbol, feed)]

    def _newest(self) -> str:
        return f"ORDER BY {self._time()} DESC, tick_id DESC LIMIT 1"

    def category_prices(self, category: str, feed: str, start_us: int, end_us: int, *, limit: int) -> list[StockPrice]:
        time = self._time()
        where = (
            f"category = %s AND feed = %s AND {time} >= %s AND {time} < %s AND trade_date >= %s AND trade_date <= %s"
        )
        params = [category, feed, self._moment(start_us), self._moment(end_us), *self._dates_near(start_us, end_us)]
        # By the time alone the index gives the order; with more MariaDB would read and sort all of the period.
        found = self._prices(f"{self._select()} WHERE {where} ORDER BY {time} DESC LIMIT {limit:d}", params, feed)
        return sorted(found, key=lambda one: (one.time_us, one.symbol, one.tick_id), reverse=True)

    def _dates_near(self, start_us: int, end_us: int) -> list[Any]:
        """The trading dates that events of this time may have, by which partitions are chosen."""
        bounds = ((start_us, -NEAR_DAYS), (end_us, NEAR_DAYS))
        return [self._day(day_of(nearby(at, days))) for at, days in bounds]

    def delete_prices(self, ticks: Ticks) -> int:
        if not len(ticks):
            return 0
        symbols = [ticks.symbols[index] for index in ticks.symbol.tolist()]
        times, dates = map(self._moment, ticks.time_us.tolist()), map(self._day, ticks.trade_date.tolist())
        keys = zip(symbols, [ticks.feed] * len(ticks), times, ticks.tick_id.tolist(), dates, strict=True)
        with self.connection.cursor() as cursor:
            cursor.executemany(
                f"DELETE FROM {PRICES} WHERE symbol = %s AND feed = %s AND {self._time()} = %s AND tick_id = %s"
                " AND trade_date = %s",
                list(keys),
            )
            return max(int(cursor.rowcount), 0)

    def _time(self) -> str:
        """The column, which is called like a type."""
        return self.connection.ops.quote_name("timestamp")

    def _select(self) -> str:
        numbers = ", ".join(self._scaled(column, unit) for column, unit in PRICE_UNITS.items())
        key = f"symbol, {self._micros(self._time())}, tick_id, {self.DAYS}, source, category"
        return f"SELECT {key}, {numbers} FROM {PRICES}"

    def _prices(self, sql: str, params: Sequence[Any], feed: str) -> list[StockPrice]:
        return [StockPrice(feed=feed, **dict(zip(_FIELDS, row, strict=True))) for row in self._query(sql, params)]
