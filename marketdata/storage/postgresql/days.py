"""PostgreSQL's part of the contract beyond today's ticks: days moved by partition, figures, daily candles, books,
events, caches (docs/adr/0009)."""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
import random
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError
from psycopg import OperationalError
from psycopg.pq import TransactionStatus

from marketdata.storage import portable
from marketdata.storage.base import (
    BOOKS,
    DAILY,
    EPOCH_DATE,
    EVENTS,
    HISTORY,
    MINUTES,
    PERIODS,
    PRICE_DIGITS,
    SIZE_DIGITS,
    TEMP,
    VALUE_DIGITS,
    VOLUME_DIGITS,
    Part,
    Progress,
    Series,
    StorageBusyError,
    Window,
)
from marketdata.storage.candlereads import CandleReads
from marketdata.storage.postgresql import partitions
from marketdata.storage.postgresql.columns import (
    DAY,
    INSERT_MINUTES,
    KEY,
    MINUTE_COLUMNS,
    SELECT_BAR,
    VALUE,
    micros,
    minute_lists,
    moment,
    number,
    scaled,
    total,
)
from marketdata.storage.postgresql.copy_rows import KINDS, SIDES
from marketdata.storage.postgresql.partitions import Bounds
from marketdata.storage.rows import UNITS
from marketdata.types import minute_bars
from marketdata.types.checksums import FACTORS, KIND, PRIME, SIDE, SOURCE, TIME, Figure, of_series
from marketdata.types.minute_bars import Bars
from marketdata.types.ticks import PRICE_UNIT

T = TypeVar("T")
PIECE = 10_000
BRIEF_MS = 150
CALM_MS = 3_000
PATIENCE_S = 60.0
ROOM_S = 10.0
LOCK_TIMEOUT, DEADLOCK, CANCELLED = "55P03", "40P01", "57014"
MINUTE_LOCK = 0x6E617275
"""First half of the advisory locks on minute candles: shared by whoever merges, alone for who owns them."""
_PRICE, _SIZE, _BIG = f"NUMERIC{PRICE_DIGITS}", f"NUMERIC{SIZE_DIGITS}", f"NUMERIC{VOLUME_DIGITS}"
_WORD = 'VARCHAR({}) COLLATE "C" NOT NULL'
_SYMBOL, _FEED, _TIME = _WORD.format(24), _WORD.format(16), "TIMESTAMPTZ(6) NOT NULL"
NAMES = (DAILY, BOOKS, EVENTS, "cache_realtime_data", "cache_chart_data", "cache_stats_data")
log = logging.getLogger(__name__)


def tables() -> list[str]:
    """CREATE statements of all tables but ticks and minute candles."""
    return [
        f"""
CREATE TABLE IF NOT EXISTS market_data (
    symbol {_SYMBOL}, feed {_FEED}, trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    last {_PRICE} NOT NULL, volume {_BIG} NOT NULL, value NUMERIC{VALUE_DIGITS} NOT NULL, n BIGINT NOT NULL,
    regular_open {_PRICE}, regular_high {_PRICE}, regular_low {_PRICE}, regular_volume {_BIG}
    {partitions.parted(DAILY)}""",
        # JSON and not JSONB: the numbers stay as they were written.
        f"""
CREATE TABLE IF NOT EXISTS order_books (
    symbol {_SYMBOL}, event_time {_TIME}, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed {_FEED}, source SMALLINT NOT NULL,
    bid_prices JSON NOT NULL, bid_volumes JSON NOT NULL, ask_prices JSON NOT NULL, ask_volumes JSON NOT NULL
    {partitions.parted(BOOKS)}""",
        f"""
CREATE TABLE IF NOT EXISTS market_events (
    event_time {_TIME}, event_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed {_FEED}, source SMALLINT NOT NULL, kind {_WORD.format(32)}, symbol {_SYMBOL}, body JSON NOT NULL
    {partitions.parted(EVENTS)}""",
        # What is unlogged is empty after a crash, and filled again; it costs no log.
        f"""
CREATE UNLOGGED TABLE IF NOT EXISTS cache_realtime_data (
    symbol {_SYMBOL}, feed {_FEED}, event_time {_TIME}, tick_id BIGINT NOT NULL,
    price {_PRICE} NOT NULL, size {_SIZE}, updated_at {_TIME}, PRIMARY KEY (symbol, feed)
)""",
        *(
            f"""
CREATE TABLE IF NOT EXISTS {table} (
    symbol {_SYMBOL}, feed {_FEED}, {key} {_WORD.format(32)}, body JSON NOT NULL, updated_at {_TIME},
    PRIMARY KEY (symbol, feed, {key})
); CREATE INDEX IF NOT EXISTS {table}_updated ON {table} (updated_at)"""
            for table, key in (("cache_chart_data", "timeframe"), ("cache_stats_data", "name"))
        ),
    ]


def _hash() -> str:
    """A row's hash as `marketdata.types.checksums` has it, in bigints; the percent signs are doubled for parameters."""
    units = UNITS | {"seq": 1}
    parts = [f"{micros('event_time')} %% {PRIME} * {TIME}"]
    parts += [
        f"COALESCE({scaled(name, units[name])} %% {PRIME} * {factor}, -{absent})"
        for name, (factor, absent) in FACTORS.items()
    ]
    parts += [f"{number('kind', KINDS)} * {KIND}", f"{number('side', SIDES)} * {SIDE}", f"source * {SOURCE}"]
    return f"(tick_id %% {PRIME} + 1) * (({' + '.join(parts)}) %% {PRIME}) %% {PRIME}"


_HASH = _hash()
_DAILY_COLUMNS = ", ".join(
    [
        DAY,
        *(scaled(name, PRICE_UNIT) for name in ("open", "high", "low", "close", "last")),
        total("volume"),
        VALUE,
        "n",
        *(scaled(name, PRICE_UNIT) for name in ("regular_open", "regular_high", "regular_low")),
        total("regular_volume"),
    ]
)
_REPLACE = INSERT_MINUTES + ", ".join(f"{name} = EXCLUDED.{name}" for name in MINUTE_COLUMNS if name not in KEY)


def sqlstate(error: BaseException) -> str | None:
    """The five letters PostgreSQL gives an error; None where the error is the connection's."""
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state


def _wait(raw: Any, wait: Callable[..., Any], silence_s: float, gen: Any, **how: Any) -> Any:
    """As psycopg's own wait, and no longer than `silence_s`; a server that is silent leaves no usable connection."""
    how["timeout"] = silence_s if how.get("timeout") is None else how["timeout"]
    try:
        return wait(gen, **how)
    except OperationalError as error:
        if raw.pgconn.transaction_status != TransactionStatus.ACTIVE:
            raise
        raw.pgconn.finish()
        raise OperationalError(f"the database did not answer within {how['timeout']:g} s") from error


class PostgreSQLHistory(CandleReads):
    """What `PostgreSQL` inherits; it adds today's ticks and minute candles."""

    TIME_US, DAYS, AS_TEXT = micros("event_time"), DAY, "{}::text"
    BAR, DAILY_BAR = SELECT_BAR, _DAILY_COLUMNS

    def _query(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall()) if cursor.description else []

    def _changed(self, sql: str, params: Sequence[Any] = ()) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return max(int(cursor.rowcount), 0)

    # --- changing tables ----------------------------------------------------------------------------------------------

    def _alone(self, work: Callable[[], T], *, what: str, table: str, patience_s: float) -> T:
        """Change tables in one transaction, waiting BRIEF_MS for a lock at a time, for whoever comes meanwhile waits
        behind us; again and again until `patience_s` is over."""
        until = time.monotonic() + patience_s
        while True:
            try:
                with self.transaction():
                    return work()
            except DatabaseError as error:
                if sqlstate(error) not in (LOCK_TIMEOUT, DEADLOCK, CANCELLED):
                    raise
                if time.monotonic() > until:
                    raise StorageBusyError(
                        f"{what} waited {patience_s:g} s for others to let go of {table}; the longest in use:"
                        f" {self._users(table)}. End them or wait; nothing was changed."
                    ) from error
            time.sleep(random.uniform(0.02, 0.15))  # noqa: S311 - jitter, not a secret

    def _calm(self, *places: str) -> None:
        """Keep upkeep of the server's own out of these partitions. It lets go only of who has waited for a second,
        which nobody else notices here; the locks that others would wait behind come later, and briefly."""
        self._query(f"SET LOCAL lock_timeout = {CALM_MS}")
        self._query(f"LOCK TABLE {', '.join(places)} IN SHARE UPDATE EXCLUSIVE MODE")
        self._query(f"SET LOCAL lock_timeout = {BRIEF_MS}")

    def _users(self, table: str) -> str:
        with contextlib.suppress(DatabaseError):
            rows = self._query(
                "SELECT a.pid, a.usename, extract(epoch FROM clock_timestamp() - a.xact_start)::int, left(a.query, 80)"
                " FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() AND a.pid IN"
                " (SELECT l.pid FROM pg_locks l WHERE l.relation = to_regclass(%s) AND l.granted)"
                " ORDER BY a.xact_start LIMIT 3",
                [table],
            )
            if rows:
                return "; ".join(f"process {pid} of {user}, {seconds} s: {query}" for pid, user, seconds, query in rows)
        return "unknown"

    # --- days ---------------------------------------------------------------------------------------------------------

    def _place(self, table: str) -> partitions.Place:
        settings_dict = self.connection.settings_dict
        return (str(settings_dict["HOST"]), str(settings_dict["PORT"]), str(settings_dict["NAME"]), table)

    def ensure_partitions(self, dates: Iterable[datetime.date], tables: Sequence[str] = (TEMP, MINUTES)) -> None:
        dates = list(dates)
        for table in tables:
            known = partitions.known(self._place(table))
            missing = sorted({bounds for date in dates if (bounds := PERIODS[table](date))[0] not in known})
            there = set(self._bounds(table)) if missing else set()
            for bounds in missing:
                if bounds in there or self._make(table, bounds):
                    known.add(bounds[0])

    def _make(self, table: str, bounds: Bounds) -> bool:
        """A partition for a period; what fell into the one for everything else moves there. False if there was no
        moment for it: rows have to wait there, then, and `strays` counts them."""

        def work() -> None:
            rest = partitions.rest(table)
            self._calm(rest)  # and one maker at a time
            if bounds in self._bounds(table):
                return
            self._query(partitions.create(table, bounds))
            # Who has begun to ask knows the partitions that there were, and must not find rows gone from one of them:
            # while rows are brought nobody may have begun.
            if self._query(partitions.stray(table, bounds)):
                self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
            self._query(f"LOCK TABLE {rest} IN ACCESS EXCLUSIVE MODE")  # ATTACH would take it anyway
            if self._query(partitions.stray(table, bounds)):
                self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
                self._query(partitions.bring(table, bounds))
            self._query(partitions.attach(table, bounds))

        try:
            self._alone(work, what=f"a partition for {bounds[0]}", table=partitions.rest(table), patience_s=ROOM_S)
        except StorageBusyError as error:
            log.warning("no partition made table=%s start=%s error=%s", table, bounds[0], error)
            return False
        return True

    def _bounds(self, table: str) -> list[Bounds]:
        rows = self._query(
            "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = to_regclass(%s)",
            [table],
        )
        return sorted(found for (text,) in rows if (found := partitions.bounds_of(text)) is not None)

    def partitions(self, table: str) -> list[Part]:
        rows = self._query(
            # Statistics may be missing or late, but a partition with pages is not without rows.
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), pg_total_relation_size(c.oid),"
            " CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint ELSE pg_relation_size(c.oid) / 100 END"
            " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(%s)",
            [table],
        )
        parts = [
            Part(table=table, name=name, start=bounds[0], end=bounds[1], rows=int(count), bytes=int(size or 0))
            for name, text, size, count in rows
            if (bounds := partitions.bounds_of(text)) is not None
        ]
        return sorted(parts, key=lambda part: part.start or EPOCH_DATE)

    def strays(self, table: str) -> int:
        return self.count(partitions.rest(table))

    def dates(self, table: str) -> list[datetime.date]:
        asked, found = [], set()
        for start, end in self._bounds(table):
            inside = f"FROM {table} WHERE trade_date >= DATE '{start}' AND trade_date < DATE '{end}'"
            if end - start == datetime.timedelta(1):
                asked.append(f"SELECT DATE '{start}' WHERE EXISTS (SELECT 1 {inside})")
            else:
                asked.append(f"SELECT DISTINCT trade_date {inside}")
        asked.append(f"SELECT DISTINCT trade_date FROM {partitions.rest(table)}")
        for piece in range(0, len(asked), 100):
            found |= {date for (date,) in self._query(" UNION ALL ".join(asked[piece : piece + 100]))}
        return sorted(found)

    def drop_days(self, table: str, dates: Sequence[datetime.date]) -> int:
        dropped = 0
        there = set(self._bounds(table))
        for bounds in dict.fromkeys(PERIODS[table](date) for date in dates):
            if bounds in there:
                name = partitions.name(table, bounds[0])

                gone: list[str] = []

                def work(name: str = name, gone: list[str] = gone) -> None:
                    self._calm(name, partitions.rest(table))
                    self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
                    if table == TEMP and self._query(f"SELECT 1 FROM {name} LIMIT 1"):
                        return  # a worker has just committed to it
                    self._query(f"DROP TABLE {name}")
                    gone.append(name)

                self._alone(work, what=f"dropping {name}", table=table, patience_s=PATIENCE_S)
                dropped += len(gone)
        partitions.forget(self._place(table))
        return dropped

    def move_day(self, date: datetime.date, *, progress: Progress, count: bool = True) -> int:
        for table in (TEMP, HISTORY):
            partitions.forget(self._place(table))
        self.ensure_partitions([date], (TEMP, HISTORY))
        bounds = PERIODS[TEMP](date)
        own = all(bounds in self._bounds(table) for table in (TEMP, HISTORY))
        moved = 0
        if own and self._has_rows(TEMP, date) and not self._has_rows(HISTORY, date):
            progress("bringing the day into market_data_tick")
            gone = self._alone(lambda: self._exchange(bounds), what=f"moving {date}", table=TEMP, patience_s=PATIENCE_S)
            if gone and count:
                moved = int(self._query(f"SELECT count(*) FROM {HISTORY} WHERE trade_date = %s", [date])[0][0])
        return moved + self._move_in_pieces(date, progress)

    def _exchange(self, bounds: Bounds) -> bool:
        """The day's full partition and the empty one of history change places, in one transaction: whoever asks comes
        before it or after it. False if history has rows of that day after all.

        TEMP is locked first, as every reader does."""
        both = [partitions.name(table, bounds[0]) for table in (TEMP, HISTORY)]
        self._calm(*both, partitions.rest(TEMP), partitions.rest(HISTORY))
        for table in (TEMP, HISTORY):
            self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
        if self._query(f"SELECT 1 FROM {both[1]} LIMIT 1"):
            return False
        for statement in partitions.exchange(TEMP, HISTORY, bounds):
            self._query(statement)
        return True

    def _has_rows(self, table: str, date: datetime.date) -> bool:
        return bool(self._query(f"SELECT 1 FROM {table} WHERE trade_date = %s LIMIT 1", [date]))

    def _move_in_pieces(self, date: datetime.date, progress: Progress) -> int:
        order = "symbol, event_time, tick_id"
        moved = 0
        while True:
            bound = self._query(
                f"SELECT {order} FROM {TEMP} WHERE trade_date = %s ORDER BY {order} LIMIT 1 OFFSET {PIECE - 1}", [date]
            )
            chosen, params = "trade_date = %s", [date]
            if bound:
                chosen += f" AND ({order}) <= (%s, %s, %s)"
                params += bound[0]
            # One statement: a row that it deletes is the row that it inserts, or one that was there.
            gone = self._query(
                f"WITH gone AS (DELETE FROM {TEMP} WHERE {chosen} RETURNING *),"
                f" came AS (INSERT INTO {HISTORY} SELECT * FROM gone ON CONFLICT DO NOTHING)"
                " SELECT count(*) FROM gone",
                params,
            )[0][0]
            moved += int(gone)
            if gone:
                progress(f"{moved:,} ticks moved")
            if not bound or not gone:
                return moved

    # --- figures ------------------------------------------------------------------------------------------------------

    def tick_figures(
        self, date: datetime.date, *, tables: Sequence[str] | None = None, threads: int = 1
    ) -> dict[tuple[str, str], Figure]:
        """The server shares the work among processes of its own (max_parallel_workers_per_gather); `threads` is
        theirs to choose."""
        places = sorted(tables or (TEMP, HISTORY), key=lambda table: table != TEMP)
        parts = [
            f"(SELECT symbol, feed, count(*), sum({_HASH}) FROM {self.connection.ops.quote_name(table)}"
            " WHERE trade_date = %s GROUP BY symbol, feed)"
            for table in places
        ]
        found: dict[tuple[str, str], Figure] = {}
        for symbol, feed, count, hashes in self._query(" UNION ALL ".join(parts), [date] * len(places)):
            key = (symbol, feed)
            found[key] = found.get(key, Figure()) + of_series(symbol, feed, int(count), int(hashes))
        return found

    def day_rows(self, date: datetime.date) -> int:
        parts = " UNION ALL ".join(f"(SELECT count(*) FROM {table} WHERE trade_date = %s)" for table in (TEMP, HISTORY))
        return sum(int(rows) for (rows,) in self._query(parts, [date] * 2))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        if self.connection.in_atomic_block:
            yield
            return
        self._query("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            # Held first, and in the order of whoever moves a day: rows that are brought from one partition into another
            # are seen in neither by a moment that is older.
            self._query(f"LOCK TABLE ONLY {', ONLY '.join(PERIODS)} IN ACCESS SHARE MODE")
            self._query("SELECT pg_current_snapshot()")  # the first question fixes the moment
            yield
        finally:
            with contextlib.suppress(DatabaseError):  # a connection that broke has no transaction any more
                self._query("ROLLBACK")

    def notice_silence(self) -> None:
        """libpq has no time-out for an answer: psycopg's waits get one, and a connection that met it is at its end."""
        silence_s = self.connection.settings_dict.get("SILENCE_S")
        if silence_s is not None:
            raw = self.connection.connection
            raw.wait = functools.partial(_wait, raw, raw.wait, silence_s)

    @contextmanager
    def patient(self) -> Iterator[None]:
        settings, options = self.connection.settings_dict, self.connection.settings_dict["OPTIONS"]
        before, silence_s = options.get("options", ""), settings.get("SILENCE_S")
        self.connection.close()
        options["options"] = f"{before} -c statement_timeout=1h".strip()
        settings["SILENCE_S"] = None if silence_s is None else 3660.0
        try:
            yield
        finally:
            options["options"], settings["SILENCE_S"] = before, silence_s
            self.connection.close()

    # --- candles ------------------------------------------------------------------------------------------------------

    def build_daily(
        self, date: datetime.date, windows: Sequence[Window], *, proven: Collection[Series] | None = ()
    ) -> int:
        self.ensure_partitions([date], (DAILY,))
        statement = portable.build_daily(windows=windows, columns="value", sums="SUM(r.value) AS value")
        params: list[Any] = [
            part for window in windows for part in (window.market, moment(window.start_us), moment(window.end_us))
        ]
        return self._replace_daily(date, statement, [*params, date, date, date, date, date], proven)

    def day_series(self, date: datetime.date) -> list[tuple[str, str]]:
        parts = " UNION ".join(
            f"SELECT DISTINCT symbol, feed FROM {table} WHERE trade_date = %s" for table in (TEMP, HISTORY, MINUTES)
        )
        return [(symbol, feed) for symbol, feed in self._query(f"{parts} ORDER BY 1, 2", [date] * 3)]

    @contextmanager
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> Iterator[None]:
        # Who merges candles of that date and feed holds the lock until he commits, whatever the symbol. So whoever has
        # stored ticks but not yet merged them waits for us, and we do not see his ticks; who has merged, we wait for.
        with self.transaction():
            self._query("SELECT pg_advisory_xact_lock(%s, %s)", [MINUTE_LOCK, minute_lock(date, feed)])
            yield

    def replace_minutes(self, date: datetime.date, bars: Bars) -> int:
        changed = 0
        for index, symbol in enumerate(bars.symbols):
            mine = bars.take(bars.symbol == index)
            stored = minute_bars.from_rows(
                bars.feed,
                self._query(
                    f"SELECT {SELECT_BAR} FROM {MINUTES} WHERE symbol = %s AND feed = %s AND trade_date = %s",
                    [symbol, bars.feed, date],
                ),
            )
            gone, new = minute_bars.changes(stored, mine)
            for minute in gone:
                changed += self._changed(
                    f"DELETE FROM {MINUTES} WHERE symbol = %s AND feed = %s AND minute_time = %s AND trade_date = %s",
                    [symbol, bars.feed, moment(minute), date],
                )
            if len(new):
                changed += self._changed(_REPLACE, minute_lists(new))
        return changed

    def table_figures(self, table: str) -> dict[str, Figure]:
        dated = self._query(
            "SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'trade_date' AND attnum > 0",
            [table],
        )
        rows = self._query(
            f"SELECT {'trade_date' if dated else 'NULL'}, count(*), sum(hashtextextended(t::text, 0))"
            f" FROM {self.connection.ops.quote_name(table)} t GROUP BY 1"
        )
        return {
            "" if date is None else str(date): Figure(int(count), int(total or 0) % PRIME)
            for date, count, total in rows
            if count
        }

    # --- books, events, caches ----------------------------------------------------------------------------------------

    def _moment(self, us: int) -> str:
        return moment(us)

    def _day(self, days: int) -> datetime.date:
        return EPOCH_DATE + datetime.timedelta(days=days)

    def _decimal(self, value: int, places: int) -> str:
        return f"{value}e-{places}"

    def _put(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        replace: Sequence[str] = (),
        stamp: str = "",
    ) -> int:
        stored = 0
        names = [*columns, stamp] if stamp else list(columns)
        row = f"({', '.join(['%s'] * len(columns))}{', clock_timestamp()' if stamp else ''})"
        changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in replace)
        conflict = f"({', '.join(replace)}) DO UPDATE SET {changed}" if replace else "DO NOTHING"
        insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES"
        for start in range(0, len(rows), 500):
            part = rows[start : start + 500]
            values = [value for one in part for value in one]
            stored += self._changed(f"{insert} {', '.join([row] * len(part))} ON CONFLICT {conflict}", values)
        return stored

    def clock_us(self) -> int:
        return int(self._query(f"SELECT {self.clock_sql}")[0][0])

    @property
    def clock_sql(self) -> str:
        return micros("clock_timestamp()")


def minute_lock(date: datetime.date, feed: str) -> int:
    """Second half of the advisory lock on the minute candles of a date and feed: 32 bits with a sign."""
    return zlib.crc32(f"{feed}/{date}".encode()) - 2**31
