"""PostgreSQL's part of the contract beyond today's ticks: days moved by partition, figures, daily candles, books,
events, caches (docs/adr/0009)."""

from __future__ import annotations

import contextlib
import datetime
import functools
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import DatabaseError
from psycopg import OperationalError
from psycopg.pq import TransactionStatus

from marketdata.storage.base import (
    ALL_FEEDS,
    DAILY,
    HISTORY,
    MINUTES,
    PERIODS,
    TEMP,
    Part,
    Progress,
    StorageBusyError,
    TickKey,
)
from marketdata.storage.postgresql import partitions
from marketdata.storage.postgresql.columns import (
    BAR_LINE,
    DAY,
    INSERT_MINUTES,
    KEY,
    MINUTE_COLUMNS,
    SELECT_BAR,
    SELECT_DAILY,
    SHOWN_LINE,
    TICK_COLUMNS,
    micros,
    minute_lists,
    moment,
    number,
    scaled,
)
from marketdata.storage.postgresql.copy_rows import KINDS, SIDES
from marketdata.storage.postgresql.partitions import Bounds
from marketdata.storage.rows import UNITS
from marketdata.storage.server_sql import PATIENCE_S, ServerSQL
from marketdata.types.checksums import FACTORS, KIND, PRIME, SIDE, SOURCE, TIME, Figure
from marketdata.types.minute_bars import Bars
from marketdata.types.units import EPOCH_DATE

T = TypeVar("T")
PIECE = 10_000
BRIEF_MS = 150
UPKEEP_MS = 3_000
ROOM_S = 10.0
LOCK_TIMEOUT, DEADLOCK, CANCELLED = "55P03", "40P01", "57014"
MINUTE_LOCK = 0x6E617275
"""First half of the advisory locks on minute candles: shared by whoever merges, alone for who owns them."""
log = logging.getLogger(__name__)


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


class PostgreSQLHistory(ServerSQL):
    """What `PostgreSQL` inherits; it adds today's ticks and minute candles."""

    TIME_US, DAYS, AS_TEXT = micros("event_time"), DAY, "{}::text"
    # JSON keeps a NUL, which no text of PostgreSQL can hold: looking into such a body would be an error.
    INDEX = r"CASE WHEN strpos(body::text, '\u0000') = 0 THEN body ->> 'index' END"
    NOW = "clock_timestamp()"
    TICK_COLUMNS, BAR, DAILY_BAR, HASH = TICK_COLUMNS, SELECT_BAR, SELECT_DAILY, _hash()
    NUMBERS, SHOWN = BAR_LINE, SHOWN_LINE

    def _query(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return list(cursor.fetchall()) if cursor.description else []

    def _micros(self, column: str) -> str:
        return micros(column)

    def _scaled(self, column: str, unit: int) -> str:
        return scaled(column, unit)

    def _latest_statement(self, symbols: Sequence[str], feed: str) -> tuple[str, list[Any]]:
        """One subquery that is planned once: a union of as many as there are symbols takes longer to plan than to
        run."""
        each = f"{self._select()} WHERE symbol = code AND feed = %s {self._newest()}"
        return f"SELECT q.* FROM unnest(%s::text[]) AS code, LATERAL ({each}) AS q", [list(symbols), feed]

    def _kind(self, kind: int) -> str:
        return KINDS[kind]

    def _beyond(self, sign: str, key: TickKey) -> tuple[str, list[Any]]:
        return f"(event_time, tick_id) {sign} (%s, %s)", [moment(key.time_us), key.tick_id]

    def _is_locked(self, error: DatabaseError) -> bool:
        return sqlstate(error) in (LOCK_TIMEOUT, DEADLOCK, CANCELLED)

    # --- changing tables ----------------------------------------------------------------------------------------------

    def _change_tables(self, work: Callable[[], T], *, what: str, table: str, patience_s: float) -> T:
        """Change tables in one transaction, waiting BRIEF_MS for a lock at a time; what `work` answers."""

        def change() -> T:
            with self.transaction():
                return work()

        return self._with_lock_retry(
            change,
            busy=lambda: (
                f"{what} waited {patience_s:g} s for others to let go of {table}; the longest in use:"
                f" {self._users(table)}. End them or wait; nothing was changed."
            ),
            patience_s=patience_s,
        )

    def _lock_out_upkeep(self, *places: str) -> None:
        """Keep upkeep of the server's own out of these partitions. It lets go only of who has waited for a second,
        which nobody else notices here; the locks that others would wait behind come later, and briefly."""
        self._query(f"SET LOCAL lock_timeout = {UPKEEP_MS}")
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
        moment for it: rows have to wait there, then, and `default_partition_rows` counts them."""

        def work() -> None:
            rest = partitions.rest(table)
            self._lock_out_upkeep(rest)  # and one maker at a time
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
            self._change_tables(
                work, what=f"a partition for {bounds[0]}", table=partitions.rest(table), patience_s=ROOM_S
            )
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

    def default_partition_rows(self, table: str) -> int:
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

    def drop_days(self, table: str, dates: Sequence[datetime.date], *, unless: Callable[[], bool] | None = None) -> int:
        dropped = 0
        there = set(self._bounds(table))
        for bounds in dict.fromkeys(PERIODS[table](date) for date in dates):
            if bounds in there:
                name = partitions.name(table, bounds[0])

                gone: list[str] = []

                def work(name: str = name, gone: list[str] = gone) -> None:
                    self._lock_out_upkeep(name, partitions.rest(table))
                    self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
                    if table == TEMP and self._query(f"SELECT 1 FROM {name} LIMIT 1"):
                        return  # a worker has just committed to it
                    if unless is not None and unless():
                        return
                    self._query(f"DROP TABLE {name}")
                    gone.append(name)

                self._change_tables(work, what=f"dropping {name}", table=table, patience_s=PATIENCE_S)
                dropped += len(gone)
        partitions.forget(self._place(table))
        if dropped and table in (MINUTES, DAILY):
            self.note_finished(ALL_FEEDS)
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
            gone = self._change_tables(
                lambda: self._exchange(bounds), what=f"moving {date}", table=TEMP, patience_s=PATIENCE_S
            )
            if gone and count:
                moved = self._count_moved(date)
        return moved + self._move_in_pieces(date, progress)

    def _exchange(self, bounds: Bounds) -> bool:
        """The day's full partition and the empty one of history change places, in one transaction: whoever asks comes
        before it or after it. False if history has rows of that day after all.

        TEMP is locked first, as every reader does."""
        both = [partitions.name(table, bounds[0]) for table in (TEMP, HISTORY)]
        self._lock_out_upkeep(*both, partitions.rest(TEMP), partitions.rest(HISTORY))
        for table in (TEMP, HISTORY):
            self._query(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")
        if self._query(f"SELECT 1 FROM {both[1]} LIMIT 1"):
            return False
        for statement in partitions.exchange(TEMP, HISTORY, bounds):
            self._query(statement)
        return True

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
    def long_running(self) -> Iterator[None]:
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

    @contextmanager
    def own_minutes(self, date: datetime.date, feed: str, symbols: Sequence[str]) -> Iterator[None]:
        # Who merges candles of that date and feed holds the lock until he commits, whatever the symbol. So whoever has
        # stored ticks but not yet merged them waits for us, and we do not see his ticks; who has merged, we wait for.
        with self.transaction():
            self._query("SELECT pg_advisory_xact_lock(%s, %s)", [MINUTE_LOCK, minute_lock(date, feed)])
            yield

    def _write_minutes(self, bars: Bars) -> int:
        return self._changed(_REPLACE, minute_lists(bars))

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

    def _insertion(self, table: str, names: Sequence[str], replace: Sequence[str]) -> tuple[str, str]:
        changed = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in replace)
        conflict = f"({', '.join(replace)}) DO UPDATE SET {changed}" if replace else "DO NOTHING"
        return f"INSERT INTO {table} ({', '.join(names)}) VALUES", f"ON CONFLICT {conflict}"

    @property
    def clock_sql(self) -> str:
        return micros("clock_timestamp()")


def minute_lock(date: datetime.date, feed: str) -> int:
    """Second half of the advisory lock on the minute candles of a date and feed: 32 bits with a sign."""
    return zlib.crc32(f"{feed}/{date}".encode()) - 2**31
