"""SQLite's part of the contract beyond today's ticks: days, figures, daily candles, books, events, caches.

There are no partitions: a day is moved and dropped in pieces, each a transaction short enough for other writers.
"""

from __future__ import annotations

import datetime
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from marketdata.storage.base import ALL_FEEDS, DAILY, EVENTS, HISTORY, MINUTES, PERIODS, TEMP, Part, Progress
from marketdata.storage.rows import UNITS
from marketdata.storage.sql import SharedSQL
from marketdata.types import minute_bars
from marketdata.types.checksums import FACTORS, KIND, PRIME, SIDE, SOURCE, TIME, Figure
from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT
from marketdata.types.units import date_of, day_of

PIECE = 20_000  # rows of a transaction while a day is moved: a fraction of a second
TABLES = """
CREATE TABLE IF NOT EXISTS market_data (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, trade_date INTEGER NOT NULL,
    open INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL, last INTEGER NOT NULL,
    volume INTEGER NOT NULL, value INTEGER NOT NULL, value_frac INTEGER NOT NULL, n INTEGER NOT NULL,
    regular_open INTEGER, regular_high INTEGER, regular_low INTEGER, regular_volume INTEGER,
    PRIMARY KEY (symbol, feed, trade_date)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS order_books (
    symbol TEXT NOT NULL, event_time INTEGER NOT NULL, tick_id INTEGER NOT NULL, trade_date INTEGER NOT NULL,
    feed TEXT NOT NULL, source INTEGER NOT NULL,
    bid_prices TEXT NOT NULL, bid_volumes TEXT NOT NULL, ask_prices TEXT NOT NULL, ask_volumes TEXT NOT NULL,
    bid_total INTEGER, ask_total INTEGER, expected_price INTEGER, expected_size INTEGER, cum_volume INTEGER,
    mid_price INTEGER,
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stock_prices (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, "timestamp" INTEGER NOT NULL, tick_id INTEGER NOT NULL,
    trade_date INTEGER NOT NULL, source INTEGER NOT NULL, category TEXT NOT NULL,
    current_price INTEGER NOT NULL, open_price INTEGER, high_price INTEGER, low_price INTEGER, prev_close INTEGER,
    change_rate INTEGER, volume INTEGER, value INTEGER, upper_limit INTEGER, lower_limit INTEGER,
    bid INTEGER, ask INTEGER,
    PRIMARY KEY (symbol, feed, "timestamp", tick_id, trade_date)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS market_events (
    event_time INTEGER NOT NULL, event_id INTEGER NOT NULL, trade_date INTEGER NOT NULL,
    feed TEXT NOT NULL, source INTEGER NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (event_time, event_id, trade_date)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_realtime_data (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, event_time INTEGER NOT NULL, tick_id INTEGER NOT NULL,
    price INTEGER NOT NULL, size INTEGER, updated_at INTEGER NOT NULL, PRIMARY KEY (symbol, feed)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_chart_data (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, timeframe TEXT NOT NULL, body TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (symbol, feed, timeframe)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cache_stats_data (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (symbol, feed, name)
) STRICT, WITHOUT ROWID;
"""
NAMES = (
    "market_data",
    "order_books",
    "stock_prices",
    "market_events",
    "cache_realtime_data",
    "cache_chart_data",
    "cache_stats_data",
)
_HASH = (
    f"(tick_id %% {PRIME} + 1) * ((event_time %% {PRIME} * {TIME}"
    + "".join(f" + coalesce({name} %% {PRIME} * {factor}, -{absent})" for name, (factor, absent) in FACTORS.items())
    + f" + kind * {KIND} + side * {SIDE} + source * {SOURCE}) %% {PRIME}) %% {PRIME}"
)
BAR_COLUMNS = (
    "symbol, minute_time, trade_date, open, high, low, close, volume, value, value_frac, n, rev,"
    " open_time, open_id, close_time, close_id"
)
TICK_COLUMNS = (
    "event_time", "kind", "side", *(f"coalesce({name}, {ABSENT})" for name in UNITS), "trade_date", "tick_id", "source",
)  # fmt: skip
_HALF = 10**9
_BAR_KEY = ("symbol", "feed", "minute_time", "trade_date")
_DAILY_COLUMNS = (
    "trade_date, open, high, low, close, last, volume, value, value_frac, n,"
    " regular_open, regular_high, regular_low, regular_volume"
)


def _day(date: datetime.date) -> int:
    return day_of(date)


def _date(days: int) -> datetime.date:
    return date_of(days)


def _total(column: str) -> str:
    """A sum that stays at MOST, either way; SUM alone ends the statement when it leaves 64 bits."""
    high, low = f"SUM(({column}) / {_HALF})", f"SUM(({column}) % {_HALF})"
    over = f"{high} + {low} / {_HALF}"
    return (
        f"CASE WHEN {over} >= {MOST // _HALF} THEN {MOST} WHEN {over} <= {-MOST // _HALF} THEN {-MOST}"
        f" ELSE {high} * {_HALF} + {low} END"
    )


class SQLiteHistory(SharedSQL):
    """What `SQLite` inherits; it adds today's ticks and minute candles."""

    TIME_US, DAYS = "event_time", "trade_date"
    INDEX = "CAST(json_extract(body, '$.index') AS TEXT)"
    BY_DATE = False
    DATE = "%s"
    TICK_COLUMNS, BAR, DAILY_BAR, HASH = TICK_COLUMNS, BAR_COLUMNS, _DAILY_COLUMNS, _HASH
    NUMBERS = BAR_COLUMNS.partition(", ")[2]
    SHOWN = NUMBERS.partition(", open_time")[0]
    VALUE = "value, value_frac"
    SUM_VALUE = (
        f"{_total('r.value')} + SUM(r.value_frac) / {VALUE_UNIT} AS value,"
        f" SUM(r.value_frac) % {VALUE_UNIT} AS value_frac"
    )
    SUM = _total("{0}")

    def _raw(self) -> sqlite3.Connection:
        self.connection.ensure_connection()
        raw: sqlite3.Connection = self.connection.connection
        return raw

    # --- days -------------------------------------------------------------------------------------------------------

    def partitions(self, table: str) -> list[Part]:
        return []

    def default_partition_rows(self, table: str) -> int:
        return 0

    def dates(self, table: str) -> list[datetime.date]:
        rows = self._query(f"SELECT DISTINCT trade_date FROM {self.connection.ops.quote_name(table)} ORDER BY 1")
        return [_date(days) for (days,) in rows]

    def drop_days(self, table: str, dates: Sequence[datetime.date], *, unless: Callable[[], bool] | None = None) -> int:
        if table == TEMP:
            return 0  # there is no empty partition to drop, and its ticks wait to be moved
        quoted = self.connection.ops.quote_name(table)
        dropped = 0
        for date in dates:
            first, end = (_day(bound) for bound in PERIODS[table](date))
            inside = "trade_date >= %s AND trade_date < %s"
            gone = 0
            pieces: list[tuple[str, list[Any]]] = [(inside, [first, end])]
            if table != EVENTS:  # by symbol: each is a short range of the key
                symbols = self._query(f"SELECT DISTINCT symbol FROM {quoted}")
                pieces = [(f"symbol = %s AND {inside}", [symbol, first, end]) for (symbol,) in symbols]
            for where, params in pieces:
                with self.transaction():
                    if unless is not None and unless():
                        break
                    gone += self._changed(f"DELETE FROM {quoted} WHERE {where}", params)
            dropped += gone > 0
        if dropped and table in (MINUTES, DAILY):
            self.note_finished(ALL_FEEDS)
        return dropped

    def move_day(self, date: datetime.date, *, progress: Progress, count: bool = True) -> int:
        key, last, moved = "(symbol, event_time, tick_id)", ("", 0, 0), 0
        while True:
            with self.transaction():
                found = self._query(
                    f"SELECT symbol, event_time, tick_id FROM {TEMP} WHERE trade_date = %s AND {key} > (%s, %s, %s)"
                    f" ORDER BY symbol, event_time, tick_id LIMIT %s",
                    [_day(date), *last, PIECE],
                )
                if not found:
                    return moved
                chosen = f"trade_date = %s AND {key} > (%s, %s, %s) AND {key} <= (%s, %s, %s)"
                params = [_day(date), *last, *found[-1]]
                self._query(f"INSERT OR IGNORE INTO {HISTORY} SELECT * FROM {TEMP} WHERE {chosen}", params)
                moved += self._changed(f"DELETE FROM {TEMP} WHERE {chosen}", params)
            last = found[-1]
            progress(f"{moved:,} ticks moved")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        if self.connection.in_atomic_block:
            yield
            return
        self._query("BEGIN DEFERRED")  # reads without the writers' lock
        try:
            yield
        finally:
            self._query("ROLLBACK")

    @contextmanager
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> Iterator[None]:
        with self.transaction():  # whoever writes has the file to himself
            yield

    def _write_minutes(self, bars: Bars) -> int:
        columns = [getattr(bars, name).tolist() for name in minute_bars.COLUMNS[1:]]
        names = [bars.symbols[index] for index in bars.symbol.tolist()]
        return self._put(
            MINUTES,
            ["feed", *BAR_COLUMNS.split(", ")],
            [(bars.feed, *row) for row in zip(names, *columns, strict=True)],
            replace=_BAR_KEY,
        )

    def table_figures(self, table: str) -> dict[str, Figure]:
        raw = self._raw()
        raw.create_function("naru_crc", -1, lambda *row: zlib.crc32(repr(row).encode()), deterministic=True)
        quoted = self.connection.ops.quote_name(table)
        names = [row[1] for row in self._query(f"PRAGMA table_info({quoted})")]
        columns = ", ".join(self.connection.ops.quote_name(name) for name in names)
        group = "trade_date" if "trade_date" in names else "NULL"
        rows = self._query(f"SELECT {group}, count(*), sum(naru_crc({columns})) FROM {quoted} GROUP BY 1 ORDER BY 1")
        found = {}
        for date, count, checksum in rows:
            if count:
                text = "" if date is None else _date(date).isoformat() if isinstance(date, int) else date
                found[str(text)] = Figure(int(count), int(checksum or 0) % PRIME)
        return found

    # --- books, events, caches --------------------------------------------------------------------------------------

    def _moment(self, us: int) -> int:
        return us

    def _day(self, days: int) -> int:
        return days

    def _decimal(self, value: int, places: int) -> int:
        return value

    def _micros(self, column: str) -> str:
        return column

    def _scaled(self, column: str, unit: int) -> str:
        return column

    def _put(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        replace: Sequence[str] = (),
        stamp: str = "",
    ) -> int:
        names = [*columns, stamp] if stamp else columns
        marks = ", ".join(["?"] * len(columns) + ([self.clock_sql] if stamp else []))
        statement = f"INSERT OR {'REPLACE' if replace else 'IGNORE'} INTO {table} ({', '.join(names)}) VALUES ({marks})"
        with self.connection.wrap_database_errors:
            return max(self._raw().executemany(statement, rows).rowcount, 0)

    def clock_us(self) -> int:
        return time.time_ns() // 1000

    @property
    def clock_sql(self) -> str:
        return str(self.clock_us())  # the file has no clock but this machine's
