"""The partitions of MariaDB tables as the days and months that they hold: made, listed, dropped. Splitting ranges is
`marketdata.storage.mariadb.partitions`'s."""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

from marketdata.storage.base import ALL_FEEDS, DAILY, MINUTES, PERIODS, TEMP, Part, StorageBusyError
from marketdata.storage.mariadb import cluster, partitions
from marketdata.storage.mariadb.tables import MOVING
from marketdata.storage.server_sql import PATIENCE_S, ServerSQL

log = logging.getLogger(__name__)

PIECE = 10_000  # rows that are moved or deleted in one statement
_BLOCKED = {1205, 1213, 1969, 3024}  # lock wait, deadlock, statement time
_TRANSACTIONS = " LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"
_HALTED = (1030, "error 140 ")  # a TRUNCATE PARTITION that its time ended while InnoDB made the table, undone


def _start_of(name: str) -> datetime.date | None:
    """The first date of partition pYYYYMMDD; None of the ranges between."""
    if not name.startswith("p") or not name[1:].isdigit():
        return None
    return datetime.date.fromisoformat(f"{name[1:5]}-{name[5:7]}-{name[7:9]}")


class MariaDBPeriods(ServerSQL):
    """What `MariaDBHistory` inherits: it adds the days that move, and what is read of them."""

    def _is_locked(self, error: DatabaseError) -> bool:
        number, text = (*error.args, 0, "")[:2]
        return number in _BLOCKED or (number == _HALTED[0] and _HALTED[1] in str(text))

    def _query_with_retry(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """A question that may meet a table being exchanged: the server then ends one of the two, and we ask again."""
        for attempt in range(5):
            try:
                return self._query(sql, params)
            except DatabaseError as error:
                again = error.args and error.args[0] in (1213, 1412, 1205)
                if attempt == 4 or not again or self.connection.in_atomic_block:
                    raise
        raise AssertionError("unreachable")

    def ensure_partitions(self, dates: Iterable[datetime.date], tables: Sequence[str] = (TEMP, MINUTES)) -> None:
        dates = list(dates)
        for table in tables:
            partitions.ensure(self._query, self._place(table), dates, PERIODS[table])

    def partitions(self, table: str) -> list[Part]:
        rows = self._query(
            "SELECT PARTITION_NAME, PARTITION_DESCRIPTION, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH"
            " FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
            " AND PARTITION_NAME LIKE 'p________' ORDER BY PARTITION_ORDINAL_POSITION",
            [table],
        )
        return [
            Part(
                table=table,
                name=name,
                start=_start_of(name),
                end=datetime.date.fromisoformat(str(bound).strip("'")),
                rows=int(count or 0),
                bytes=int(size or 0),
            )
            for name, bound, count, size in rows
        ]

    def changes_hold_up_commits(self) -> bool:
        return cluster.is_member(self._query)

    def default_partition_rows(self, table: str) -> int:
        rows = self._query(
            "SELECT PARTITION_NAME FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE()"
            " AND TABLE_NAME = %s AND PARTITION_NAME NOT LIKE 'p________'",
            [table],
        )
        return sum(int(self._query(f"SELECT count(*) FROM {table} PARTITION ({name})")[0][0]) for (name,) in rows)

    def dates(self, table: str) -> list[datetime.date]:
        """A partition of one day behind another has rows of that day alone. Any other is asked: of a month, of what has
        no room, and the first behind a dropped one, which takes what belongs before it."""
        found: set[datetime.date] = set()
        before: datetime.date | None = None
        for bound, name in self._bounds(table):
            if self._query(f"SELECT 1 FROM {table} PARTITION ({name}) LIMIT 1"):
                start = _start_of(name)
                if start is not None and before == start and PERIODS[table] is PERIODS[TEMP]:
                    found.add(start)
                else:
                    rows = self._query(f"SELECT DISTINCT trade_date FROM {table} PARTITION ({name})")
                    found |= {date for (date,) in rows}
            before = bound
        if table == TEMP:
            found |= {date for (date,) in self._query(f"SELECT trade_date FROM {MOVING} LIMIT 1")}
        return sorted(found)

    def _bounds(self, table: str) -> list[tuple[datetime.date | None, str]]:
        """Upper bounds and names of all partitions, in order."""
        return partitions.bounds(self._query, self._place(table))

    def drop_days(self, table: str, dates: Sequence[datetime.date], *, unless: Callable[[], bool] | None = None) -> int:
        dropped = 0
        known = {part.start: part.name for part in self.partitions(table)}
        for date in dates:
            name = known.get(PERIODS[table](date)[0])
            if name is not None and table == TEMP:
                dropped += self._drop_empty(name)
            elif name is not None:
                dropped += self._drop_period(table, name, PERIODS[table](date), unless)
        partitions.forget(self._place(table))
        if dropped and table in (MINUTES, DAILY):
            self.note_finished(ALL_FEEDS)
        return dropped

    def _drop_period(
        self, table: str, name: str, period: tuple[datetime.date, datetime.date], unless: Callable[[], bool] | None
    ) -> bool:
        """Empty the partition of a period and leave its range as an empty one, joined with the one before it. Without
        it, what comes later for that period would lie in the partition behind, and go with it one day."""
        there = self._bounds(table)
        at = next(index for index, (_, known) in enumerate(there) if known == name)
        # From before there were empty ranges: it holds rows of other dates, which stay.
        has_others = (there[at - 1][0] if at else None) != period[0] and bool(
            self._query(f"SELECT 1 FROM {table} PARTITION ({name}) WHERE trade_date < %s LIMIT 1", [period[0]])
        )
        if unless is None:
            self._empty(table, name, period, has_others=has_others)
        else:
            with self._nobody_else(table):
                if _ask_beside(unless):
                    return False
                self._empty(table, name, period, has_others=has_others)
        if has_others:
            return True
        joined = [name]
        if at and there[at - 1][1].startswith("g"):
            before = there[at - 1][1]
            if not self._query(f"SELECT 1 FROM {table} PARTITION ({before}) LIMIT 1"):
                joined.insert(0, before)
        try:
            self._alter(
                f"ALTER TABLE {table} REORGANIZE PARTITION {', '.join(joined)} INTO"
                f" (PARTITION g{period[1]:%Y%m%d} VALUES LESS THAN ('{period[1]}'))"
            )
        except StorageBusyError as error:  # the rows are gone all the same; the next drop joins the ranges
            log.warning("an empty partition stays table=%s partition=%s error=%s", table, name, error)
        return True

    def _empty(self, table: str, name: str, period: tuple[datetime.date, datetime.date], *, has_others: bool) -> None:
        if has_others:
            self._delete_period(table, name, period)
        else:
            self._alter(f"ALTER TABLE {table} TRUNCATE PARTITION {name}")

    def _delete_period(self, table: str, name: str, period: tuple[datetime.date, datetime.date]) -> None:
        while self._changed(
            f"DELETE FROM {table} PARTITION ({name}) WHERE trade_date >= %s AND trade_date < %s LIMIT {PIECE}", period
        ):
            pass

    def _drop_empty(self, name: str) -> bool:
        """Drop a partition of TEMP that is empty while nobody can write; a worker may just have committed to it. Empty
        on every node of a cluster: where one lacks a move, it holds the day."""
        question = f"SELECT 1 FROM {TEMP} PARTITION ({name}) LIMIT 1"
        with cluster.others(self.connection, self._query) as nodes, self._nobody_else(TEMP):
            if self._query(question) or any(node.query(question) for node in nodes):
                return False
            self._query(f"ALTER TABLE {TEMP} DROP PARTITION {name}")
            return True

    @contextmanager
    def _nobody_else(self, table: str) -> Iterator[None]:
        """Inside, nobody else reads or writes a table, and this connection no other one."""
        self._with_lock_retry(
            lambda: self._query(f"LOCK TABLES {table} WRITE NOWAIT"),
            busy=lambda: f"{table} stays in use: {self._users()}; nothing was changed",
            patience_s=PATIENCE_S,
            pause_s=(0.005, 0.05),
        )
        try:
            yield
        finally:
            self._query("UNLOCK TABLES")

    def _alter(self, statement: str, *, patience_s: float = PATIENCE_S) -> None:
        """Change a table when nobody uses it: a moment at a time, for whoever comes meanwhile waits behind us."""
        self._with_lock_retry(
            lambda: cluster.alter(self._query, statement, partitions.BRIEFLY),
            busy=lambda: (
                f"{statement.split(' PARTITION')[0]} waited {patience_s:g} s for others to let go of the table; the"
                f" longest in use: {self._users()}. End them or wait; nothing was changed."
            ),
            patience_s=patience_s,
        )

    def _users(self) -> str:
        """The three longest in use. Those in a transaction come first, where our user may see who is (PROCESS): whoever
        is only connected keeps nobody waiting."""
        for seen, first in ((_TRANSACTIONS, "t.trx_id IS NULL, "), ("", "")):
            with contextlib.suppress(DatabaseError):
                rows = self._query(
                    "SELECT p.ID, p.USER, p.TIME, COALESCE(LEFT(p.INFO, 80), p.COMMAND)"
                    f" FROM information_schema.PROCESSLIST p{seen} WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID()"
                    f" ORDER BY {first}p.TIME DESC LIMIT 3"
                )
                return "; ".join(f"connection {i} of {user}, {seconds} s: {info}" for i, user, seconds, info in rows)
        return "unknown"


def _ask_beside(question: Callable[[], bool]) -> bool:
    """The answer on a connection of its own: one that locks a table can read no other."""

    def ask() -> bool:
        try:
            return question()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()
