"""MariaDB, the main database: LOAD DATA LOCAL from memory, exact decimals, tables partitioned by trading date."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from django.db import DatabaseError, InterfaceError

from marketdata import bars as bars_module
from marketdata.bars import Bars
from marketdata.storage import partitions
from marketdata.storage.base import Storage, StorageError, TickKey
from marketdata.storage.loadfile import UNITS, LoadFile, date_text, moments
from marketdata.storage.sqlite import ticks_from_rows
from marketdata.ticks import ABSENT, Ticks

_ASCII = "CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
_TICKS = f"""
CREATE TABLE IF NOT EXISTS temp_market_data (
    symbol VARCHAR(24) {_ASCII}, event_time DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed VARCHAR(16) {_ASCII}, source TINYINT UNSIGNED NOT NULL,
    kind ENUM('trade','quote','snapshot','expected','book','status') NOT NULL, side ENUM('buy','sell') NULL,
    price DECIMAL(18,8) NULL, size DECIMAL(18,4) NULL, seq BIGINT NULL,
    bid DECIMAL(18,8) NULL, ask DECIMAL(18,8) NULL, bid_size DECIMAL(18,4) NULL, ask_size DECIMAL(18,4) NULL,
    cum_volume DECIMAL(18,4) NULL,
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) ENGINE=InnoDB PARTITION BY RANGE COLUMNS (trade_date) (PARTITION pmax VALUES LESS THAN (MAXVALUE))
"""
_MINUTES = f"""
CREATE TABLE IF NOT EXISTS market_data_minute (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, minute_time DATETIME NOT NULL, trade_date DATE NOT NULL,
    open DECIMAL(18,8) NOT NULL, high DECIMAL(18,8) NOT NULL, low DECIMAL(18,8) NOT NULL, close DECIMAL(18,8) NOT NULL,
    volume DECIMAL(24,4) NOT NULL, value DECIMAL(36,12) NOT NULL, n BIGINT NOT NULL, rev INT NOT NULL,
    open_time DATETIME(6) NOT NULL, open_id BIGINT NOT NULL, close_time DATETIME(6) NOT NULL, close_id BIGINT NOT NULL,
    PRIMARY KEY (symbol, feed, minute_time, trade_date)
) ENGINE=InnoDB PARTITION BY RANGE COLUMNS (trade_date) (PARTITION pmax VALUES LESS THAN (MAXVALUE))
"""
# Assignments run from left to right and see what the ones before them did: open_time and close_time come last.
_MERGE = """
ON DUPLICATE KEY UPDATE
    rev = rev + VALUES(rev),
    open = IF((VALUES(open_time), VALUES(open_id)) < (open_time, open_id), VALUES(open), open),
    close = IF((VALUES(close_time), VALUES(close_id)) > (close_time, close_id), VALUES(close), close),
    high = GREATEST(high, VALUES(high)), low = LEAST(low, VALUES(low)),
    volume = volume + VALUES(volume), value = value + VALUES(value), n = n + VALUES(n),
    open_id = IF((VALUES(open_time), VALUES(open_id)) < (open_time, open_id), VALUES(open_id), open_id),
    open_time = LEAST(open_time, VALUES(open_time)),
    close_id = IF((VALUES(close_time), VALUES(close_id)) > (close_time, close_id), VALUES(close_id), close_id),
    close_time = GREATEST(close_time, VALUES(close_time))
"""
_MINUTE_INSERT = (
    "INSERT INTO market_data_minute (feed, symbol, minute_time, trade_date, open, high, low, close, volume, value, n,"
    " rev, open_time, open_id, close_time, close_id) VALUES "
)
# Scaled integers are quoted: bare, MariaDB reads 1e-8 as a double, which holds 15 of a DECIMAL's 18 digits.
_MINUTE_ROW = "%s,'%s','%s','%de-8','%de-8','%de-8','%de-8','%de-4',%d.%012d,%d,%d,'%s',%d,'%s',%d)"


def _micros(column: str) -> str:
    return f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column})"


def _scaled(column: str, unit: int) -> str:
    return f"CAST({column} * {unit} AS SIGNED)"


_PRICE, _SIZE = 10**8, 10**4
_SELECT_BAR = ", ".join(
    [
        "symbol",
        _micros("minute_time"),
        "TO_DAYS(trade_date) - 719528",
        *(_scaled(name, _PRICE) for name in ("open", "high", "low", "close")),
        _scaled("volume", _SIZE),
        "CAST(FLOOR(value) AS SIGNED)",
        "CAST((value - FLOOR(value)) * 1000000000000 AS SIGNED)",
        "n",
        "rev",
        _micros("open_time"),
        "open_id",
        _micros("close_time"),
        "close_id",
    ]
)
_SELECT_TICK = ", ".join(
    [
        _micros("event_time"),
        "kind + 0",
        "COALESCE(side + 0, 0)",
        *(f"COALESCE({_scaled(name, unit)}, {ABSENT})" for name, unit in UNITS.items()),
        "TO_DAYS(trade_date) - 719528",
        "tick_id",
        "source",
    ]
)

_DUPLICATE = 1062

# Lock wait, deadlock, node not ready, error during COMMIT (outcome unknown: the claim row answers), server gone,
# shutting down, cannot connect, too many connections, read-only after a failover; then: row changed under a snapshot,
# packets broken on the way, too many connections of a user, interrupted, statement timed out, handshake lost, TLS
# broken.
_TRANSIENT = {
    1205, 1213, 1047, 1180, 2006, 2013, 2055, 1053, 1927, 2002, 2003, 1040, 1290, 1836, 1021, 1114, 1030,
    1020, 1158, 1159, 1160, 1161, 1203, 1226, 1317, 1792, 1969, 2012, 2026,
}  # fmt: skip


class MariaDB(Storage):
    """Ticks and candles in MariaDB >= 10.6."""

    vendor: ClassVar[str] = "mysql"

    def create_tables(self) -> None:
        for statement in (_TICKS, _MINUTES):
            self._query(statement)

    def drop_tables(self) -> None:
        for table in ("temp_market_data", "market_data_minute"):
            self._query(f"DROP TABLE IF EXISTS {table}")
            partitions.forget(self._place(table))

    def _place(self, table: str) -> partitions.Place:
        settings = self.connection.settings_dict
        return (str(settings["HOST"]), str(settings["PORT"]), str(settings["NAME"]), table)

    def ensure_partitions(self, dates: Iterable[datetime.date]) -> None:
        dates = list(dates)
        for table, period in (("temp_market_data", partitions.DAY), ("market_data_minute", partitions.MONTH)):
            partitions.ensure(self._query, self._place(table), dates, period)

    def is_transient(self, error: BaseException) -> bool:
        if isinstance(error, InterfaceError):
            return True
        return isinstance(error, DatabaseError) and bool(error.args) and error.args[0] in _TRANSIENT

    def load(self, table: str, ticks: Ticks) -> int:
        with contextlib.closing(LoadFile(ticks)) as file:
            stored = file.load(self.connection, table)
            # LOCAL also clips what does not fit, and says so in a warning only; the count came with the answer.
            if stored < len(ticks) or self.connection.connection.warning_count():
                self._explain_warnings()
            return stored

    def _explain_warnings(self) -> None:
        strange = [row for row in self._query("SHOW WARNINGS LIMIT 20") if row[1] != _DUPLICATE]
        if strange:
            raise StorageError(f"MariaDB refused rows: {strange[0][2]} (error {strange[0][1]})")

    def merge_minutes(self, bars: Bars) -> Bars:
        if not len(bars):
            return bars
        columns = {name: getattr(bars, name).tolist() for name in bars_module.COLUMNS}
        # Only those that have a candle: a batch may name others, of rows that were refused for their symbol.
        symbols = {index: self._literal(bars.symbols[index]) for index in set(columns["symbol"])}
        lines = zip(
            [symbols[index] for index in columns["symbol"]],
            moments(bars.time_us),
            [date_text(day) for day in columns["trade_date"]],
            *(columns[name] for name in ("open", "high", "low", "close", "volume", "value", "value_frac", "n", "rev")),
            moments(bars.open_time),
            columns["open_id"],
            moments(bars.close_time),
            columns["close_id"],
            strict=True,
        )
        row = f"({self._literal(bars.feed)}," + _MINUTE_ROW
        rows = [row % line for line in lines]
        merged = self._query(_MINUTE_INSERT + ",".join(rows) + _MERGE + " RETURNING " + _SELECT_BAR)
        return bars_module.from_rows(bars.feed, merged)

    def _literal(self, text: str) -> str:
        # Feeds and symbols are ASCII without quotes or backslashes by the time they get here; anything else is a
        # defect.
        if not text.isascii() or "'" in text or "\\" in text or "%" in text:
            raise StorageError(f"{text!r} cannot be a symbol or feed")
        return f"'{text}'"

    def read_ticks(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        kind: int | None = None,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
        table: str = "temp_market_data",
    ) -> Ticks:
        where = ["symbol = %s", "feed = %s", "event_time >= %s", "event_time < %s"]
        params: list[object] = [symbol, feed, _moment(start_us), _moment(end_us)]
        if kind is not None:
            where.append("kind = %s")
            params.append(int(kind))  # an enumeration would be quoted as text
        way, sign = ("ASC", ">") if ascending else ("DESC", "<")
        if after is not None:
            where.append(f"event_time {sign}= %s AND (event_time {sign} %s OR tick_id {sign} %s)")
            params += [_moment(after.time_us), _moment(after.time_us), after.tick_id]
        rows = self._query(
            f"SELECT {_SELECT_TICK} FROM {self.connection.ops.quote_name(table)} WHERE {' AND '.join(where)}"
            f" ORDER BY event_time {way}, tick_id {way}" + ("" if limit is None else f" LIMIT {limit:d}"),
            params,
        )
        return ticks_from_rows(feed, symbol, rows)

    def read_minutes(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
    ) -> Bars:
        where = ["symbol = %s", "feed = %s", "minute_time >= %s", "minute_time < %s"]
        params: list[object] = [symbol, feed, _moment(start_us), _moment(end_us)]
        way, sign = ("ASC", ">") if ascending else ("DESC", "<")
        if after is not None:
            where.append(f"minute_time {sign} %s")
            params.append(_moment(after.time_us))
        rows = self._query(
            f"SELECT {_SELECT_BAR} FROM market_data_minute WHERE {' AND '.join(where)} ORDER BY minute_time {way}"
            + ("" if limit is None else f" LIMIT {limit:d}"),
            params,
        )
        return bars_module.from_rows(feed, rows)

    def series(self) -> list[tuple[str, str]]:
        return [
            (row[0], row[1])
            for row in self._query("SELECT DISTINCT symbol, feed FROM market_data_minute ORDER BY 1, 2")
        ]

    def count(self, table: str) -> int:
        return int(self._query(f"SELECT count(*) FROM {self.connection.ops.quote_name(table)}")[0][0])


# What DATETIME can hold; a question may reach further.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


def _moment(time_us: int) -> str:
    return str(np.datetime_as_string(np.datetime64(min(max(time_us, _FIRST_US), _LAST_US), "us")))
