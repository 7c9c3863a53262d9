"""What the backends of servers have in common and SQLite has not: statements of many rows, ticks and candles in tables
of partitions, locks of others."""

from __future__ import annotations

import abc
import datetime
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from django.db import DatabaseError

from marketdata.storage.base import (
    CACHES,
    DAILY,
    HISTORY,
    MINUTES,
    SIZE_DIGITS,
    TEMP,
    VALUE_DIGITS,
    VOLUME_DIGITS,
    StorageBusyError,
    TickKey,
)
from marketdata.storage.keys import NEAR_DAYS, stretches
from marketdata.storage.periods import Place
from marketdata.storage.rows import chosen_ticks, moments, nearby, ticks_from_rows
from marketdata.storage.sql import SharedSQL
from marketdata.types.tick_arrays import SIZES, Int64, Ticks
from marketdata.types.units import DAY_US, date_of, day_of

T = TypeVar("T")
ROWS_A_STATEMENT = 500
# The first piece of a time that is read from one end.
_TICK_DAYS, _MINUTE_DAYS = 2, 4
_FAR_DAYS = 30  # of a time beyond which the oldest rows are worth a look for where they begin
REFINED = {
    **dict.fromkeys(SIZES, SIZE_DIGITS),
    "volume": VOLUME_DIGITS,
    "regular_volume": VOLUME_DIGITS,
    "value": VALUE_DIGITS,
}
"""The columns of sizes and of what is made of them, and their digits."""
PATIENCE_S = 60.0
"""How long the upkeep waits for others to let go of a table."""


class ServerSQL(SharedSQL):
    """What the backends of servers inherit."""

    NOW: ClassVar[str]
    """The server's own time, as a column holds it."""
    SIZED: ClassVar[tuple[str, ...]] = (TEMP, HISTORY, MINUTES, DAILY, CACHES[0])
    """The tables that had sizes of four decimal places."""

    @abc.abstractmethod
    def _insertion(self, table: str, names: Sequence[str], replace: Sequence[str]) -> tuple[str, str]:
        """What stands before and behind the rows of a statement that inserts these columns. Rows whose key is there are
        left alone, or replaced where `replace` names the key."""

    @abc.abstractmethod
    def _beyond(self, sign: str, key: TickKey) -> tuple[str, list[Any]]:
        """Ticks behind (`sign` is >) or before (<) a key, as a condition with its parameters."""

    @abc.abstractmethod
    def _is_locked(self, error: DatabaseError) -> bool:
        """Whether others held what was wanted, so that it may be tried again."""

    @abc.abstractmethod
    def _coarse_columns(self) -> list[tuple[str, str]]:
        """Columns of decimals that have not the digits of REFINED: table, and how ALTER TABLE changes the column."""

    def refine_sizes(self) -> None:
        changes: dict[str, list[str]] = {}
        for table, change in self._coarse_columns():
            if table in self.SIZED:
                changes.setdefault(table, []).append(change)
        if TEMP in changes or HISTORY in changes:
            self._refuse_what_is_too_large(10**12)
        for table, wanted in sorted(changes.items()):
            self._query(f"ALTER TABLE {table} {', '.join(wanted)}")

    def execute_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        if not statements:
            return
        with self.connection.cursor() as cursor:
            cursor.execute("; ".join(sql for sql, _ in statements), [one for _, params in statements for one in params])
            while cursor.nextset():  # an error of a later statement is raised here
                pass

    def _day(self, days: int) -> datetime.date:
        return date_of(days)

    def _moments(self, times_us: Int64) -> Sequence[Any]:
        return moments(times_us)

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
        before, behind = self._insertion(table, [*columns, stamp] if stamp else list(columns), replace)
        row = f"({', '.join(['%s'] * len(columns))}{f', {self.NOW}' if stamp else ''})"
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            values = [value for one in part for value in one]
            stored += self._changed(f"{before} {', '.join([row] * len(part))} {behind}", values)
            self._explain_warnings()
        return stored

    def _put_many(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        text = "".join(["\t".join(map(_field, row)) + "\n" for row in rows])
        return self._load_lines(table, columns, text.encode(), rows) if rows else 0

    @abc.abstractmethod
    def _load_lines(self, table: str, columns: Sequence[str], text: bytes, rows: Sequence[Sequence[Any]]) -> int:
        """Load rows as `_put_many` has written them, a line each with tabs between the values; those whose key is there
        are left alone. How many were new."""

    def _explain_warnings(self) -> None:
        """StorageError if the last statement left out rows for another reason than that they were there; for a server
        that says so in a warning only."""

    def clock_us(self) -> int:
        return int(self._query(f"SELECT {self.clock_sql}")[0][0])

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
        if after is not None and ascending:
            start_us = max(start_us, after.time_us)
        elif after is not None:
            end_us = min(end_us, after.time_us + 1)
        where = ["symbol = %s", "feed = %s"]
        fixed: list[Any] = [symbol, feed]
        if kind is not None:
            where.append("kind = %s")
            fixed.append(self._kind(kind))
        way, sign = ("ASC", ">") if ascending else ("DESC", "<")
        if after is not None:
            condition, values = self._beyond(sign, after)
            where.append(condition)
            fixed += values
        # The trading date is the event's own within a week (ingest.validation); it is what partitions are chosen by.
        where += ["event_time >= %s", "event_time < %s", "trade_date >= %s", "trade_date <= %s"]
        names, select = ([], f"{self.TICK}, event_time") if columns is None else self._chosen(columns)
        # One part in brackets is ordered already, and may not be so once more.
        order = f"ORDER BY event_time {way}, tick_id {way}"
        whole = order if columns is None else order.replace("event_time", "time_us")
        # The first place is what a moving day is taken out of, so whoever holds it sees the day in one place.
        places = self.tick_tables if table is None else (table,)
        rows: list[tuple[Any, ...]] = []
        for first_us, last_us in self._pieces(start_us, end_us, _TICK_DAYS, limit, ascending):
            most = "" if limit is None else f" LIMIT {limit - len(rows):d}"
            parts = [
                f"(SELECT {select} FROM {self.connection.ops.quote_name(place)} WHERE {' AND '.join(where)}"
                f" {order}{most})"
                for place in places
            ]
            ordered = f"{' UNION ALL '.join(parts)} {whole}{most}" if len(parts) > 1 else parts[0]
            bounds = [
                self._moment(first_us),
                self._moment(last_us),
                nearby(first_us, -NEAR_DAYS),
                nearby(last_us, NEAR_DAYS),
            ]
            rows += self._query_with_retry(ordered, [*fixed, *bounds] * len(places))
            if limit is not None and len(rows) >= limit:
                break
        if columns is not None:
            return chosen_ticks(feed, symbol, rows, names)
        return ticks_from_rows(feed, symbol, [row[:-1] for row in rows])

    def _pieces(
        self, start_us: int, end_us: int, days: int, limit: int | None, ascending: bool
    ) -> Iterator[tuple[int, int]]:
        """The time in pieces where a limit may end the reading early, for a question opens each partition of its time.
        What lies before the ledger's first trading date or in the future, where hardly any row is, is the first."""
        if limit is None:
            yield start_us, end_us
            return
        far_us = NEAR_DAYS * DAY_US
        if ascending and end_us - start_us > _FAR_DAYS * DAY_US:
            ((oldest,),) = self._query("SELECT MIN(trade_date) FROM ingest_batch_day")
            edge_us = start_us if oldest is None else day_of(oldest) * DAY_US - far_us
            if start_us < edge_us < end_us:
                yield start_us, edge_us
                start_us = edge_us
        elif not ascending:
            edge_us = time.time_ns() // 1000 + far_us
            if start_us < edge_us < end_us:
                yield edge_us, end_us
                end_us = edge_us
        yield from stretches(start_us, end_us, days=days, ascending=ascending)

    def _minutes(
        self,
        columns: str,
        symbols: Sequence[str],
        feed: str,
        start_us: int,
        end_us: int,
        *,
        limit: int | None = None,
        ascending: bool = True,
        by_symbol: bool = False,
    ) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for first_us, last_us in self._pieces(start_us, end_us, _MINUTE_DAYS, limit, ascending):
            left = None if limit is None else limit - len(rows)
            rows += super()._minutes(
                columns, symbols, feed, first_us, last_us, limit=left, ascending=ascending, by_symbol=by_symbol
            )
            if limit is not None and len(rows) >= limit:
                break
        return rows

    def _place(self, table: str) -> Place:
        """By what a process remembers the partitions of a table."""
        settings_dict = self.connection.settings_dict
        return (str(settings_dict["HOST"]), str(settings_dict["PORT"]), str(settings_dict["NAME"]), table)

    def _has_rows(self, table: str, date: datetime.date) -> bool:
        return bool(self._query(f"SELECT 1 FROM {table} WHERE trade_date = %s LIMIT 1", [date]))

    def _count_moved(self, date: datetime.date) -> int:
        """How many ticks of a trading date lie in history."""
        return int(self._query(f"SELECT count(*) FROM {HISTORY} WHERE trade_date = %s", [date])[0][0])

    def _with_lock_retry(
        self,
        work: Callable[[], T],
        *,
        busy: Callable[[], str],
        patience_s: float,
        pause_s: tuple[float, float] = (0.02, 0.15),
    ) -> T:
        """Do what waits for a lock only briefly, for whoever comes meanwhile waits behind us; again and again, with a
        pause between these bounds, until `patience_s` is over. StorageBusyError then, in the words of `busy`."""
        until = time.monotonic() + patience_s
        while True:
            try:
                return work()
            except DatabaseError as error:
                if not self._is_locked(error):
                    raise
                if time.monotonic() > until:
                    raise StorageBusyError(busy()) from error
            time.sleep(random.uniform(*pause_s))  # noqa: S311 - jitter, not a secret


def _field(value: Any) -> str:
    """A value as both servers read it in a line of text: LOAD DATA and COPY."""
    return "\\N" if value is None else str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
