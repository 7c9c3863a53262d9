"""MariaDB's part of the contract beyond today's ticks: days moved by partition, figures, daily candles, books, events,
caches (docs/adr/0010)."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connections

from marketdata.storage.base import HISTORY, MINUTES, TEMP, Progress, StorageError, TickKey
from marketdata.storage.mariadb import cluster, events, partitions
from marketdata.storage.mariadb.columns import (
    BAR_LINE,
    DAY,
    SELECT_BAR,
    SELECT_DAILY,
    SHOWN_LINE,
    TICK_COLUMNS,
    micros,
    replace_statement,
    scaled,
)
from marketdata.storage.mariadb.periods import PIECE, MariaDBPeriods
from marketdata.storage.mariadb.tables import MOVING
from marketdata.storage.rows import UNITS, moment
from marketdata.storage.server_sql import PATIENCE_S
from marketdata.types.checksums import FACTORS, KIND, PRIME, SIDE, SOURCE, TIME, Figure
from marketdata.types.minute_bars import Bars

_FOREIGN_ROWS = {1737, 1526}  # a row of another partition
DUPLICATE = 1062


def _hash() -> str:
    """A row's hash as `marketdata.types.checksums` has it; TO_SECONDS and CAST are the cheapest way MariaDB has to
    integers."""
    units = UNITS | {"seq": 1}

    def whole(name: str) -> str:
        return name if units[name] == 1 else f"CAST({name} * {units[name]} AS SIGNED)"

    micros = "(TO_SECONDS(event_time) - 62167219200) * 1000000 + MICROSECOND(event_time)"
    parts = [f"({micros}) %% {PRIME} * {TIME}"]
    parts += [f"IFNULL({whole(name)} %% {PRIME} * {factor}, -{absent})" for name, (factor, absent) in FACTORS.items()]
    parts += [f"CAST(kind AS SIGNED) * {KIND}", f"IFNULL(CAST(side AS SIGNED), 0) * {SIDE}"]
    parts.append(f"CAST(source AS SIGNED) * {SOURCE}")
    return f"(tick_id %% {PRIME} + 1) * (({' + '.join(parts)}) %% {PRIME}) %% {PRIME}"


class MariaDBHistory(MariaDBPeriods):
    """What `MariaDB` inherits; it adds today's ticks and minute candles."""

    tick_tables = (TEMP, MOVING, HISTORY)
    TIME_US, DAYS = micros("event_time"), DAY
    INDEX = "JSON_VALUE(body, '$.index')"
    NOW = "NOW(6)"
    # In this order: the first still sees the time that is there.
    NEWER = (
        "ON DUPLICATE KEY UPDATE body = IF(VALUES(updated_at) > updated_at, VALUES(body), body),"
        " updated_at = GREATEST(updated_at, VALUES(updated_at))"
    )
    TICK_COLUMNS, BAR, DAILY_BAR, HASH = TICK_COLUMNS, SELECT_BAR, SELECT_DAILY, _hash()
    NUMBERS, SHOWN = BAR_LINE, SHOWN_LINE

    def _beyond(self, sign: str, key: TickKey) -> tuple[str, list[Any]]:
        # Not as a pair, of which the server makes no range of the key.
        at = moment(key.time_us)
        return f"event_time {sign}= %s AND (event_time {sign} %s OR tick_id {sign} %s)", [at, at, key.tick_id]

    def move_day(self, date: datetime.date, *, progress: Progress, count: bool = True) -> int:
        for table in (TEMP, HISTORY):
            partitions.forget(self._place(table))  # another process may have dropped what we made
        self.ensure_partitions([date], (TEMP, HISTORY))
        self._refuse_unequal_nodes()
        moved = self._arrive(progress, count=count).get(date, 0)  # whatever a killed run left on its way
        own = all(any(part.start == date for part in self.partitions(table)) for table in (TEMP, HISTORY))
        if own and self._has_rows(TEMP, date) and not self._has_rows(HISTORY, date):
            progress("taking the day out of temp_market_data")
            self._alter(f"ALTER TABLE {TEMP} EXCHANGE PARTITION p{date:%Y%m%d} WITH TABLE {MOVING}")
            moved += self._arrive(progress, count=count).get(date, 0)
        return moved + self._move_in_pieces(TEMP, date, progress)

    def _refuse_unequal_nodes(self) -> None:
        """A node without the partition that is exchanged next would lose the day."""

        def contents(query: cluster.Query) -> cluster.Contents:
            waiting = query(f"SELECT trade_date FROM {MOVING} LIMIT 1")
            return cluster.partitions_of(query, TEMP) | cluster.partitions_of(query, HISTORY) | {MOVING: waiting}

        if found := cluster.differences(self.connection, self._query, contents):
            raise StorageError(f"the nodes of the cluster differ, nothing was moved: {'; '.join(found)}")

    def differences(self, periods: Mapping[str, tuple[datetime.date, datetime.date]]) -> list[str]:
        if not cluster.is_member(self._query):
            return []
        rows = {table: self._row_as_text(table)[0] for table in periods}

        def contents(query: cluster.Query) -> cluster.Contents:
            found: cluster.Contents = {}
            for table, (start, end) in periods.items():
                found |= cluster.partitions_of(query, table)
                found |= cluster.rows_of(query, table, rows[table], start, end)
            return found

        with self.long_running():
            return cluster.differences(self.connection, self._query, contents)

    def _arrive(self, progress: Progress, *, count: bool) -> dict[datetime.date, int]:
        """Bring what lies in MOVING to HISTORY; how many rows that were, by trading date."""
        moved: dict[datetime.date, int] = {}
        while found := self._query(f"SELECT trade_date FROM {MOVING} LIMIT 1"):
            date: datetime.date = found[0][0]
            partitions.forget(self._place(HISTORY))
            self.ensure_partitions([date], (HISTORY,))
            own = any(part.start == date for part in self.partitions(HISTORY))
            if not own or self._has_rows(HISTORY, date) or not self._exchange(date, progress):
                rows = self._move_in_pieces(MOVING, date, progress)
            elif not count:
                rows = 0
            else:
                rows = self._count_moved(date)
            moved[date] = moved.get(date, 0) + rows
        return moved

    def _exchange(self, date: datetime.date, progress: Progress) -> bool:
        """The whole of MOVING becomes the day's partition. The server looks at every row first; readers and the writers
        of today go on meanwhile. False if there are rows of other dates, too."""
        progress("bringing the day into market_data_tick")

        def exchange() -> bool:
            try:
                cluster.alter(
                    self._query,
                    f"ALTER TABLE {HISTORY} EXCHANGE PARTITION p{date:%Y%m%d} WITH TABLE {MOVING}",
                    "lock_wait_timeout = 2",
                )
            except DatabaseError as error:
                if error.args and error.args[0] in _FOREIGN_ROWS:
                    return False
                raise
            return True

        return self._with_lock_retry(
            exchange,
            busy=lambda: (
                f"{HISTORY} stays in use by others; the longest: {self._users()}. The day is whole for every reader; it"
                " is moved on with the next try."
            ),
            patience_s=PATIENCE_S,
            pause_s=(0.05, 0.3),
        )

    def _move_in_pieces(self, table: str, date: datetime.date, progress: Progress) -> int:
        moved = 0
        while True:
            bound = self._query(
                f"(SELECT symbol, event_time, tick_id FROM {table} WHERE trade_date = %s"
                f" ORDER BY symbol, event_time, tick_id LIMIT 1 OFFSET {PIECE - 1})",
                [date],
            )
            chosen, params = "t.trade_date = %s", [date]
            if bound:
                symbol, at, tick_id = bound[0]
                chosen += (
                    " AND (t.symbol < %s OR (t.symbol = %s AND (t.event_time < %s OR (t.event_time = %s AND"
                    " t.tick_id <= %s))))"
                )
                params += [symbol, symbol, at, at, tick_id]
            with self.transaction():
                self._query(f"INSERT IGNORE INTO {HISTORY} SELECT * FROM {table} t WHERE {chosen}", params)
                # Only what has arrived: a late tick may have come between the two statements.
                gone = self._changed(
                    f"DELETE t FROM {table} t JOIN {HISTORY} h USING (symbol, event_time, tick_id, trade_date)"
                    f" WHERE {chosen}",
                    params,
                )
            moved += gone
            if gone:
                progress(f"{moved:,} ticks moved")
            if not bound or not gone:
                return moved

    # --- figures ----------------------------------------------------------------------------------------------------

    def tick_figures(
        self, date: datetime.date, *, tables: Sequence[str] | None = None, threads: int = 1
    ) -> dict[tuple[str, str], Figure]:
        places = (TEMP, MOVING, HISTORY) if tables is None else (*tables, *([MOVING] if TEMP in tables else []))
        if threads > 1 and not self.connection.in_atomic_block:
            return self._shared_figures(date, places)
        return self._figures(date, places)

    def _shared_figures(self, date: datetime.date, tables: Sequence[str]) -> dict[tuple[str, str], Figure]:
        """Two connections, each half of the symbols."""
        codes = [code for (code,) in self._query("SELECT code FROM symbol ORDER BY CAST(code AS BINARY)")]
        if len(codes) < 2:
            return self._figures(date, tables)
        middle = codes[len(codes) // 2]

        def half(sign: str) -> dict[tuple[str, str], Figure]:
            alias = self.connection.alias
            try:
                return type(self)(connections[alias])._figures(date, tables, f" AND symbol {sign} %s", [middle])
            finally:
                connections[alias].close()

        with ThreadPoolExecutor(2, thread_name_prefix="figures") as pool:
            first, second = pool.map(half, ("<", ">="))
        return first | second

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        if self.connection.in_atomic_block:
            yield
            return
        self._query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            yield
        finally:
            with contextlib.suppress(DatabaseError):  # a connection that broke has no transaction any more
                self._query("ROLLBACK")

    def notice_silence(self) -> None:
        """The library's own time-outs notice a silent server; a host that is gone while an hour is allowed, the
        kernel."""
        with socket.socket(fileno=os.dup(self.connection.connection.fileno())) as wire:
            if wire.family in (socket.AF_INET, socket.AF_INET6):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)

    @contextmanager
    def long_running(self) -> Iterator[None]:
        options = self.connection.settings_dict["OPTIONS"]
        before = dict(options)
        self.connection.close()
        options.update(read_timeout=3600, write_timeout=3600)
        try:
            yield
        finally:
            options.clear()
            options.update(before)
            self.connection.close()

    # --- candles ----------------------------------------------------------------------------------------------------

    @contextmanager
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> Iterator[None]:
        # REPEATABLE READ locks the gaps as well: no candle of these symbols appears before we end. Who has stored ticks
        # but not yet merged them waits here, and we do not see his ticks; who has merged them, we wait for.
        self._query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with self.transaction():
            marks = ", ".join(["%s"] * len(symbols))
            self._query(
                f"SELECT COUNT(*) FROM (SELECT 1 FROM {MINUTES} WHERE symbol IN ({marks}) AND feed = %s FOR UPDATE) l",
                [*symbols, feed],
            )
            yield

    def _write_minutes(self, bars: Bars) -> int:
        self._query(replace_statement(bars))  # of a row that was there the server counts two
        return len(bars)

    def _row_as_text(self, table: str) -> tuple[str, bool]:
        """An expression that is a row of any table as text, and whether the table has trading dates."""
        columns = self._query(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
            [table],
        )
        quote = self.connection.ops.quote_name
        shown = [
            f"IFNULL(HEX({quote(name)}), '~')" if "blob" in kind or "binary" in kind else f"IFNULL({quote(name)}, '~')"
            for name, kind in columns
        ]
        return f"CONCAT_WS('|', {', '.join(shown)})", any(name == "trade_date" for name, _ in columns)

    def table_figures(self, table: str) -> dict[str, Figure]:
        row, has_dates = self._row_as_text(table)
        rows = self._query(
            f"SELECT {'trade_date' if has_dates else chr(39) * 2}, COUNT(*), SUM(CRC32({row}))"
            f" FROM {self.connection.ops.quote_name(table)} GROUP BY 1"
        )
        return {str(date): Figure(int(count), int(total or 0) % PRIME) for date, count, total in rows if count}

    # --- books, events, caches --------------------------------------------------------------------------------------

    def _moment(self, us: int) -> str:
        return moment(us)

    def _micros(self, column: str) -> str:
        return micros(column)

    def _scaled(self, column: str, unit: int) -> str:
        return scaled(column, unit)

    def _insertion(self, table: str, names: Sequence[str], replace: Sequence[str]) -> tuple[str, str]:
        return f"{'REPLACE' if replace else 'INSERT IGNORE'} INTO {table} ({', '.join(names)}) VALUES", ""

    def _explain_warnings(self) -> None:
        """What is ignored for another reason than being there is an error."""
        if not self.connection.connection.warning_count():
            return
        strange = [row for row in self._query("SHOW WARNINGS LIMIT 20") if row[1] != DUPLICATE]
        if strange:
            raise StorageError(f"MariaDB refused rows: {strange[0][2]} (error {strange[0][1]})")

    def keep_events(self) -> str:
        engine = self._query(
            "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_NAME = 'cache_realtime_data'"
        )
        if (
            engine and engine[0][0] != settings.CACHE_ENGINE
        ):  # the setting was changed; the table is filled again anyway
            self._alter(f"ALTER TABLE cache_realtime_data ENGINE = {settings.CACHE_ENGINE}")
        return events.keep(self._query)

    @property
    def clock_sql(self) -> str:
        return micros("SYSDATE(6)")
