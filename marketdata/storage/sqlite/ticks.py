"""SQLite, the embedded default: exact scaled integers, clustered keys, no partitions. Today's ticks and minute candles;
`days` has the rest."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from django.db import DatabaseError, OperationalError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketdata.storage.base import BOOKS, HISTORY, MINUTES, PRICES, PRICES_BY_CATEGORY, TEMP, Blame, Flag, TickKey
from marketdata.storage.rows import UNITS, chosen_ticks, price_columns, ticks_from_rows
from marketdata.storage.sqlite.days import BAR_COLUMNS, NAMES, TABLES, SQLiteHistory
from marketdata.types import minute_bars
from marketdata.types.categories import UNKNOWN
from marketdata.types.minute_bars import VALUE_UNIT, Bars
from marketdata.types.records import BOOK_FIGURES
from marketdata.types.tick_arrays import ABSENT, GREATEST, SIZES, Int64, Ticks, packed_ratio
from terminals import wire

_TICKS = """
CREATE TABLE IF NOT EXISTS {table} (
    symbol TEXT NOT NULL, event_time INTEGER NOT NULL, tick_id INTEGER NOT NULL, trade_date INTEGER NOT NULL,
    feed TEXT NOT NULL, source INTEGER NOT NULL, kind INTEGER NOT NULL, side INTEGER NOT NULL,
    price INTEGER, size INTEGER, seq INTEGER, bid INTEGER, ask INTEGER, bid_size INTEGER, ask_size INTEGER, cum_volume
    INTEGER,
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) STRICT, WITHOUT ROWID
"""
_MINUTES = """
CREATE TABLE IF NOT EXISTS market_data_minute (
    symbol TEXT NOT NULL, feed TEXT NOT NULL, minute_time INTEGER NOT NULL, trade_date INTEGER NOT NULL,
    open INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL, close INTEGER NOT NULL,
    volume INTEGER NOT NULL, value INTEGER NOT NULL, value_frac INTEGER NOT NULL, n INTEGER NOT NULL, rev INTEGER NOT
    NULL,
    open_time INTEGER NOT NULL, open_id INTEGER NOT NULL, close_time INTEGER NOT NULL, close_id INTEGER NOT NULL,
    PRIMARY KEY (symbol, feed, minute_time, trade_date)
) STRICT, WITHOUT ROWID
"""
_SIZED: dict[str, tuple[str, ...]] = {
    TEMP: SIZES,
    HISTORY: SIZES,
    MINUTES: ("volume", "value_frac"),
    "market_data": ("volume", "value_frac", "regular_volume"),
    "cache_realtime_data": ("size",),
}
_MERGE = f"""
INSERT INTO market_data_minute (feed, {BAR_COLUMNS}) VALUES (?{", ?" * 16})
ON CONFLICT DO UPDATE SET
    open = iif((excluded.open_time, excluded.open_id) < (open_time, open_id), excluded.open, open),
    close = iif((excluded.close_time, excluded.close_id) > (close_time, close_id), excluded.close, close),
    high = max(high, excluded.high),
    low = min(low, excluded.low),
    volume = volume + excluded.volume,
    value = value + excluded.value + (value_frac + excluded.value_frac) / {VALUE_UNIT},
    value_frac = (value_frac + excluded.value_frac) % {VALUE_UNIT},
    n = n + excluded.n,
    rev = rev + excluded.rev,
    open_id = iif((excluded.open_time, excluded.open_id) < (open_time, open_id), excluded.open_id, open_id),
    open_time = min(open_time, excluded.open_time),
    close_id = iif((excluded.close_time, excluded.close_id) > (close_time, close_id), excluded.close_id, close_id),
    close_time = max(close_time, excluded.close_time)
RETURNING {BAR_COLUMNS}
"""

_TRANSIENT = ("locked", "busy", "disk I/O", "disk is full")
_INFRASTRUCTURE = (
    "readonly database",
    "unable to open",
    "no such table",
    "no such column",
    "has no column",
    "columns but",
    "malformed",
    "not a database",
    "out of memory",
    "not authorized",
    "access permission denied",
    "schema has changed",
    "locking protocol",
    "large file support",
)
_REMEDIES = {
    "disk is full": _("make room on the disk of the database file"),
    "locked": _("end the program that holds the database file"),
    "readonly": _("let the user of the workers write the database file and its folder"),
    "permission denied": _("let the user of the workers write the database file and its folder"),
    "unable to open": _("see that the database file and its folder are there and may be written"),
    "no such": _("run `manage.py migrate`, or restore the file from a backup"),
    "has no column": _("run `manage.py migrate`"),
    "columns but": _("run `manage.py migrate`"),
    "malformed": _("the file is damaged: stop, keep it, and restore a backup (docs/backups.md)"),
    "not a database": _("the file is damaged: stop, keep it, and restore a backup (docs/backups.md)"),
}
REMEDY_FILE = _("see the disk and the rights of the database file")


class SQLite(SQLiteHistory):
    """Ticks and candles in an SQLite file. One writer at a time: the file's own lock orders them."""

    vendor: ClassVar[str] = "sqlite"

    def create_tables(self) -> None:
        for table in (TEMP, HISTORY):
            self._query(_TICKS.format(table=table))
        for statement in (_MINUTES, *filter(str.strip, TABLES.split(";"))):
            self._query(statement)
        self._query(PRICES_BY_CATEGORY.format(time='"timestamp"'))
        known = {row[1] for row in self._query(f"PRAGMA table_info({BOOKS})")}
        for name in BOOK_FIGURES:
            if name not in known:  # made by an older version
                self._query(f"ALTER TABLE {BOOKS} ADD COLUMN {name} INTEGER")

    def refine_sizes(self) -> None:
        if self._query("PRAGMA user_version")[0][0] >= wire.SIZE_SCALE:
            return
        ratio = packed_ratio()
        self._refuse_what_is_too_large((GREATEST + 1) // ratio)
        for table, names in _SIZED.items():
            self._query(f"UPDATE {table} SET {', '.join(f'{name} = {name} * {ratio}' for name in names)}")
        self._query(f"PRAGMA user_version = {wire.SIZE_SCALE:d}")

    def drop_tables(self) -> None:
        for table in (TEMP, HISTORY, MINUTES, *NAMES):
            self._query(f"DROP TABLE IF EXISTS {table}")

    def ensure_partitions(self, dates: Iterable[datetime.date], tables: Sequence[str] = (TEMP, MINUTES)) -> None:
        """Nothing to do: one table holds every date."""

    def blame(self, error: BaseException) -> Blame:
        if not isinstance(error, DatabaseError):
            return Blame.UNKNOWN
        if isinstance(error, OperationalError) and any(word in str(error) for word in _TRANSIENT):
            return Blame.TRANSIENT
        return Blame.INFRASTRUCTURE if any(word in str(error) for word in _INFRASTRUCTURE) else Blame.UNKNOWN

    def remedy(self, error: BaseException) -> str | Promise:
        return next((words for word, words in _REMEDIES.items() if word in str(error)), REMEDY_FILE)

    def flags(self) -> list[Flag]:
        journal, synchronous = (str(self._query(f"PRAGMA {name}")[0][0]) for name in ("journal_mode", "synchronous"))
        return [
            Flag(
                name="synchronous", value=synchronous, wanted="2 (FULL)", is_right=synchronous in ("2", "3"),
                remedy=_(
                    "nothing but Naru's settings may set it; see that the file is on a local disk:"
                    " a commit must survive a power cut"
                ),
            ),
            Flag(
                name="journal_mode", value=journal, wanted="wal", is_right=journal == "wal", is_vital=False,
                remedy=_(
                    "nothing but Naru's settings may set it; see that the file is on a local disk:"
                    " readers would hold up the writer"
                ),
            ),
        ]  # fmt: skip

    def load(self, table: str, ticks: Ticks) -> int:
        names = np.array([*ticks.symbols, ""], object)
        columns: list[list[Any]] = [
            names[ticks.symbol].tolist(),
            ticks.time_us.tolist(),
            ticks.tick_id.tolist(),
            ticks.trade_date.tolist(),
            [ticks.feed] * len(ticks),
            [ticks.source_id] * len(ticks),
            ticks.kind.tolist(),
            ticks.side.tolist(),
        ]
        columns += [_nullable(getattr(ticks, name)) for name in UNITS]
        return self._insert(table, columns)

    def load_prices(self, ticks: Ticks, categories: Mapping[str, str]) -> int:
        names = np.array([*ticks.symbols, ""], object)
        words = np.array([*(categories.get(one, UNKNOWN) for one in ticks.symbols), UNKNOWN], object)
        columns: list[list[Any]] = [
            names[ticks.symbol].tolist(),
            [ticks.feed] * len(ticks),
            ticks.time_us.tolist(),
            ticks.tick_id.tolist(),
            ticks.trade_date.tolist(),
            [ticks.source_id] * len(ticks),
            words[ticks.symbol].tolist(),
        ]
        columns += [_nullable(values) for _, values, _ in price_columns(ticks)]
        return self._insert(PRICES, columns)

    def _insert(self, table: str, columns: Sequence[list[Any]]) -> int:
        """Insert rows, given column by column in the order of the table; those that are there are left alone."""
        with self.connection.wrap_database_errors:
            marks = ", ".join("?" * len(columns))
            cursor = self._raw().executemany(
                f"INSERT OR IGNORE INTO {self.connection.ops.quote_name(table)} VALUES ({marks})",
                zip(*columns, strict=True),
            )
        return max(cursor.rowcount, 0)

    def merge_minutes(self, bars: Bars) -> Bars:
        columns: list[list[Any]] = [[bars.symbols[index] for index in bars.symbol.tolist()]]
        columns += [getattr(bars, name).tolist() for name in minute_bars.COLUMNS[1:]]
        raw = self._raw()
        with self.connection.wrap_database_errors:
            merged, beyond = [], []
            for key, row in zip(minute_bars.keys(bars), zip(*columns, strict=True), strict=True):
                try:
                    merged.append(raw.execute(_MERGE, (bars.feed, *row)).fetchone())
                except sqlite3.IntegrityError as error:
                    if "REAL" not in str(error):  # what 64 bits do not hold becomes a float, which the table refuses
                        raise
                    beyond.append(key)
        if beyond:
            raise minute_bars.SumTooLargeError(bars.feed, beyond)
        if len(bars):
            self.note_finished(bars.feed, int(bars.time_us.min()))
        return minute_bars.believable(minute_bars.from_rows(bars.feed, merged))

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
        table: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Ticks:
        names, select = ([], self.TICK) if columns is None else self._chosen(columns)
        where, params = (
            ["symbol = %s", "feed = %s", "event_time >= %s", "event_time < %s"],
            [symbol, feed, start_us, end_us],
        )
        if kind is not None:
            where.append("kind = %s")
            params.append(kind)
        if after is not None:
            where.append(f"(event_time, tick_id) {'>' if ascending else '<'} (%s, %s)")
            params += [after.time_us, after.tick_id]
        way = "ASC" if ascending else "DESC"
        places = (TEMP, HISTORY) if table is None else (table,)
        parts = [
            f"SELECT * FROM (SELECT {select} FROM {self.connection.ops.quote_name(place)}"
            f" WHERE {' AND '.join(where)} ORDER BY event_time {way}, tick_id {way} LIMIT %s)"
            for place in places
        ]
        most, time = -1 if limit is None else limit, "event_time" if columns is None else "time_us"
        rows = self._query(
            f"{' UNION ALL '.join(parts)} ORDER BY {time} {way}, tick_id {way} LIMIT %s",
            [*[*params, most] * len(places), most],
        )
        return ticks_from_rows(feed, symbol, rows) if columns is None else chosen_ticks(feed, symbol, rows, names)


def _nullable(values: Int64) -> list[int | None]:
    """A column's values, None where one is absent."""
    shown: list[int | None] = values.tolist()
    return [None if value == ABSENT else value for value in shown] if (values == ABSENT).any() else shown
