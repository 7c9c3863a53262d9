"""PostgreSQL, an equal choice beside MariaDB: binary COPY, exact decimals, tables partitioned by trading date. Today's
ticks and minute candles; `days` has the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from marketdata.storage.base import HISTORY, MINUTES, PRICES, REMEDY, TEMP, Blame, Flag, ServerState
from marketdata.storage.postgresql import partitions, tables
from marketdata.storage.postgresql.columns import (
    INSERT_MINUTES,
    SELECT_BAR,
    minute_lists,
    tick_insertion,
)
from marketdata.storage.postgresql.copy_rows import KINDS, SIDES, CopyPrices, CopyRows
from marketdata.storage.postgresql.days import (
    MINUTE_LOCK,
    PostgreSQLHistory,
    minute_lock,
    sqlstate,
)
from marketdata.storage.server_sql import REFINED
from marketdata.types import minute_bars
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import date_of

_WORDS = {"tick_kind": KINDS[1:], "tick_side": SIDES[1:]}
_EARLIER = "(EXCLUDED.open_time, EXCLUDED.open_id) < (m.open_time, m.open_id)"
_LATER = "(EXCLUDED.close_time, EXCLUDED.close_id) > (m.close_time, m.close_id)"
_LOCK_MINUTES = "SELECT pg_advisory_xact_lock_shared(%s, lock) FROM unnest(%s::int[]) AS lock"
_MERGE = f"""{INSERT_MINUTES}
    rev = m.rev + EXCLUDED.rev,
    open = CASE WHEN {_EARLIER} THEN EXCLUDED.open ELSE m.open END,
    open_time = CASE WHEN {_EARLIER} THEN EXCLUDED.open_time ELSE m.open_time END,
    open_id = CASE WHEN {_EARLIER} THEN EXCLUDED.open_id ELSE m.open_id END,
    close = CASE WHEN {_LATER} THEN EXCLUDED.close ELSE m.close END,
    close_time = CASE WHEN {_LATER} THEN EXCLUDED.close_time ELSE m.close_time END,
    close_id = CASE WHEN {_LATER} THEN EXCLUDED.close_id ELSE m.close_id END,
    high = greatest(m.high, EXCLUDED.high), low = least(m.low, EXCLUDED.low),
    volume = m.volume + EXCLUDED.volume, value = m.value + EXCLUDED.value, n = m.n + EXCLUDED.n
RETURNING {SELECT_BAR}
"""
# Connection lost, rolled back for the sake of others, out of room or connections, ended by an operator; then: read-only
# after a failover, a lock or a statement that took too long, an error of the disk.
_TRANSIENT_CLASSES = ("08", "40", "53", "57")
_TRANSIENT = {"25006", "55P03", "58030"}
# Not supported by this server; transaction in the wrong state; statement gone; who may log in; database or schema not
# there; table, column or right not there; limits; object not ready; the system and its configuration; broken data.
_INFRASTRUCTURE_CLASSES = ("0A", "25", "26", "28", "3D", "3F", "42", "54", "55", "58", "F0", "XX")
_REMEDIES = {
    "25006": _(
        "the server is read-only: promote it, SET default_transaction_read_only=off, or point DATABASE_URL at the"
        " writer"
    ),
    "42501": _("GRANT the user of DATABASE_URL what is named"),
    "42": _("run `manage.py migrate`, or restore what is named"),
    "28": _("see the user and password of DATABASE_URL, and pg_hba.conf"),
    "3D": _("create the database of DATABASE_URL"),
    "53100": _("make room on the database's disk"),
    "53300": _("raise max_connections, or end connections that nobody needs"),
    "53": _("give the database more memory or room"),
    "55P03": _("end the statement that holds the tables (pg_stat_activity), or wait for it"),
    "57014": _("end the statement that holds the tables (pg_stat_activity), or wait for it"),
    "57": _("start the database, or see whether it can be reached"),
    "08": _("start the database, or see whether it can be reached"),
}
_CHECK, _DUPLICATE = "23514", "23505"
FEW_ROWS = 400
"""Up to so many ticks an INSERT in the same round trip as the candles is quicker than COPY."""

LEAST_VERSION = 14
"""Of the server; that of Django, too."""


class PostgreSQL(PostgreSQLHistory):
    """Ticks and candles in PostgreSQL >= 14."""

    vendor: ClassVar[str] = "postgresql"

    def create_tables(self) -> None:
        for name, words in _WORDS.items():
            listed = ", ".join(f"'{word}'" for word in words)
            self._query(
                f"DO $$ BEGIN CREATE TYPE {name} AS ENUM ({listed}); EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            )
        for table in (TEMP, HISTORY):
            self._query(tables.TICKS.format(table=table, parted=partitions.parted(table)))
        for statement in (tables.MINUTE_CANDLES, *tables.PRICE_ROWS, *tables.others(), tables.WIDEN_BOOKS):
            self._query(statement)

    def refine_sizes(self) -> None:
        with transaction.atomic(using=self.connection.alias):
            self._query("SET LOCAL statement_timeout = 0")
            super().refine_sizes()

    def _coarse_columns(self) -> list[tuple[str, str]]:
        rows = self._query(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
            " AND data_type = 'numeric' AND numeric_scale IN (4, 12)"
        )
        return [(table, f"ALTER COLUMN {name} TYPE NUMERIC{REFINED[name]}") for table, name in rows if name in REFINED]

    def drop_tables(self) -> None:
        for table in (TEMP, HISTORY, MINUTES, *tables.NAMES):
            self._query(f"DROP TABLE IF EXISTS {table}")
            partitions.forget(self._place(table))
        for name in _WORDS:
            self._query(f"DROP TYPE IF EXISTS {name}")

    def blame(self, error: BaseException) -> Blame:
        if isinstance(error, InterfaceError):
            return Blame.TRANSIENT
        if not isinstance(error, DatabaseError):
            return Blame.UNKNOWN
        state = sqlstate(error)
        if state is None:  # the connection's own
            return Blame.TRANSIENT if isinstance(error, OperationalError) else Blame.UNKNOWN
        if state == _CHECK:  # the row's partition was made while it waited to go where rows without one go
            named = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
            return Blame.UNKNOWN if named else Blame.TRANSIENT
        if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT:
            return Blame.TRANSIENT
        return Blame.INFRASTRUCTURE if state[:2] in _INFRASTRUCTURE_CLASSES else Blame.UNKNOWN

    def remedy(self, error: BaseException) -> str | Promise:
        state = sqlstate(error) or ("08" if isinstance(error, OperationalError | InterfaceError) else "")
        return _REMEDIES.get(state) or _REMEDIES.get(state[:2]) or REMEDY

    def cipher(self) -> str:
        rows = self._query("SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return str(rows[0][0] or "") if rows else ""

    def server_state(self) -> ServerState:
        (row,) = self._query(
            "SELECT (SELECT sum(numbackends) FROM pg_stat_database), current_setting('max_connections'), count(pid),"
            " extract(epoch FROM max(replay_lag)) FROM pg_stat_replication"
        )
        connections, limit, replicas, lag_s = row
        return ServerState(
            connections=int(connections),
            connection_limit=int(limit),
            replicas=int(replicas),
            # Told to roles with pg_monitor only.
            replica_lag_s=None if lag_s is None else float(lag_s),
        )

    def flags(self) -> list[Flag]:
        names = (
            "server_version", "fsync", "synchronous_commit", "full_page_writes", "TimeZone", "transaction_isolation",
            "default_transaction_read_only",
        )  # fmt: skip
        places = ", ".join(f"current_setting('{name}')" for name in names)
        found = {name: str(value) for name, value in zip(names, self._query(f"SELECT {places}")[0], strict=True)}
        standby = bool(self._query("SELECT pg_is_in_recovery()")[0][0])
        awaited, replicas = self._query(
            "SELECT current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication"
            " WHERE state IS DISTINCT FROM 'backup' AND application_name <> 'pg_basebackup')"
        )[0]

        flag = partial(Flag.of, found)

        ours = _("take it out of DATABASE_URL: Naru sets it itself")
        return [
            flag(
                "server_version", "14", int(found["server_version"].partition(".")[0]) >= LEAST_VERSION,
                _("install a newer one: with older ones nothing of Naru runs"), is_vital=False,
            ),
            flag(
                "fsync", "on", found["fsync"] == "on",
                _("ALTER SYSTEM SET fsync=on, and SELECT pg_reload_conf(): a commit must survive a power cut"),
            ),
            flag(
                "synchronous_commit", "on", found["synchronous_commit"] != "off",
                _(
                    "ALTER SYSTEM (or ALTER ROLE, ALTER DATABASE) SET synchronous_commit=on, and SELECT"
                    " pg_reload_conf(): a commit must survive a power cut"
                ),
            ),
            flag(
                "full_page_writes", "on", found["full_page_writes"] == "on",
                _(
                    "ALTER SYSTEM SET full_page_writes=on, and SELECT pg_reload_conf(): a page torn by a power cut"
                    " must be mendable"
                ),
            ),
            flag("TimeZone", "UTC", found["TimeZone"].upper() in ("UTC", "ETC/UTC", "GMT"), ours),
            flag("transaction_isolation", "read committed", found["transaction_isolation"] == "read committed", ours),
            Flag(
                name="read-only", value="on" if standby or found["default_transaction_read_only"] == "on" else "off",
                wanted="off", is_right=not standby and found["default_transaction_read_only"] == "off",
                remedy=_("promote it, SET default_transaction_read_only=off, or point DATABASE_URL at the writer"),
                is_vital=False,
            ),
            Flag(
                name="synchronous_standby_names", value=str(awaited),
                wanted=_("the name of a replica, where one follows"),
                is_right=standby or not replicas or bool(awaited),
                remedy=_(
                    "ALTER SYSTEM SET synchronous_standby_names = 'standby', and SELECT pg_reload_conf(): commits wait"
                    " for no replica, and one that takes over lacks the newest of what was acknowledged"
                ),
                is_vital=False,
            ),
        ]  # fmt: skip

    def load(self, table: str, ticks: Ticks) -> int:
        return self._load(table, CopyRows(ticks)) if len(ticks) else 0

    def load_prices(self, ticks: Ticks, categories: Mapping[str, str]) -> int:
        return self._load(PRICES, CopyPrices(ticks, categories)) if len(ticks) else 0

    def _load(self, table: str, rows: CopyRows) -> int:
        quoted = self.connection.ops.quote_name(table)
        try:
            with transaction.atomic(using=self.connection.alias):
                return self._copy(quoted, rows)
        except IntegrityError as error:
            if sqlstate(error) != _DUPLICATE:
                raise
        # Some are there already, which is rare: the claim of their batch is refused before it comes to this.
        with transaction.atomic(using=self.connection.alias):
            self._query(f"CREATE TEMPORARY TABLE arriving (LIKE {quoted}) ON COMMIT DROP")
            self._copy("arriving", rows)
            stored = self._changed(f"INSERT INTO {quoted} SELECT * FROM arriving ON CONFLICT DO NOTHING")
            self._query("DROP TABLE arriving")
            return stored

    def _load_lines(self, table: str, columns: Sequence[str], text: bytes, rows: Sequence[Sequence[Any]]) -> int:
        statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        try:
            with (
                transaction.atomic(using=self.connection.alias),
                self.connection.wrap_database_errors,
                self.connection.cursor() as cursor,
            ):
                with cursor.copy(statement) as copy:
                    copy.write(text)
                return int(cursor.rowcount)
        except IntegrityError as error:
            if sqlstate(error) != _DUPLICATE:
                raise
        return self._put(table, columns, rows)  # some are there already, which is rare

    def _copy(self, table: str, rows: CopyRows) -> int:
        statement = f"COPY {table} ({', '.join(rows.columns)}) FROM STDIN (FORMAT BINARY)"
        with self.connection.wrap_database_errors, self.connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.write(rows.data)
            return int(cursor.rowcount)

    def load_and_merge(self, table: str, ticks: Ticks, bars: Bars) -> tuple[int, Bars]:
        if not 0 < len(ticks) <= FEW_ROWS or not len(bars):
            return super().load_and_merge(table, ticks, bars)
        return self._merge(bars, tick_insertion(self.connection.ops.quote_name(table), ticks))

    def merge_minutes(self, bars: Bars) -> Bars:
        return self._merge(bars)[1] if len(bars) else bars

    def _merge(self, bars: Bars, *before: tuple[str, list[Any]]) -> tuple[int, Bars]:
        """Merge candles, in the same round trip as statements before it: how many rows the first of these changed, and
        the candles as they are now."""
        # Before anything of the candles is touched: `own_minutes` of the same date and feed excludes us, and we it.
        dates = [date_of(day) for day in np.unique(bars.trade_date).tolist()]
        locks = sorted({minute_lock(date, bars.feed) for date in dates})
        statements = [*before, (_LOCK_MINUTES, [MINUTE_LOCK, locks]), (_MERGE, minute_lists(bars))]
        with self.connection.cursor() as cursor:
            cursor.execute("; ".join(sql for sql, _ in statements), [one for _, params in statements for one in params])
            changed = int(cursor.rowcount) if before else 0
            for _ in statements[1:]:
                cursor.nextset()
            merged = list(cursor.fetchall())
        self.note_finished(bars.feed, int(bars.time_us.min()))
        return changed, minute_bars.believable(minute_bars.from_rows(bars.feed, merged))
