"""The database that tests of the road share: migrated once, emptied before each test, seen by every process.

Not pytest-django's: what a worker commits has to be there for everybody, and markets and sources have to stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction

from tests.waiting import until

Row = tuple[Any, ...]
# Children before parents.
TABLES = (
    "alert_delivery",
    "alert",
    "alert_rule_targets",
    "alert_rule",
    "alert_target",
    "django_admin_log",
    "django_session",
    "auth_user_groups",
    "auth_user_user_permissions",
    "auth_group_permissions",
    "auth_group",
    "auth_permission",
    "django_content_type",
    "django_celery_beat_periodictask",
    "django_celery_beat_periodictasks",
    "django_celery_beat_clockedschedule",
    "django_celery_beat_crontabschedule",
    "django_celery_beat_intervalschedule",
    "django_celery_beat_solarschedule",
    "feed_notice",
    "voided_tick",
    "void_order",
    "ingest_reject",
    "ingest_requeue",
    "dead_letter",
    "gap",
    "ingest_batch_day",
    "feed_pending",
    "ingest_batch",
    "temp_market_data",
    "market_data_tick",
    "market_data_minute",
    "market_data",
    "order_books",
    "stock_prices",
    "market_events",
    "index_close",
    "cache_realtime_data",
    "cache_chart_data",
    "cache_stats_data",
    "rollover_run",
    "quality_day",
    "dropped_day",
    "job_lease",
    "backup_run",
    "alarm",
    "calendar_override",
    "ingest_stream",
    "session_fence",
    "trade_date",
    "feed_owner",
    "audit_entry",
    "vendor_minute",
    "vendor_run",
    "symbol_change",
    "adjustment_factor",
    "symbol_rename",
    "candle_revision",
    "fanout_position",
    "feed_change",
    "symbol",
    "feed",
    "api_key",
    "read_rule",
    "recovery_code",
    "second_factor",
    "openid_account",
    "watchlist",
    "drawing",
    "client",
    "auth_user",
    "market",
    "source",
)
NAME = "naru_road"
_OTHERS = {
    "mysql": (
        (
            "SELECT ID, SUBSTRING_INDEX(HOST, ':', -1) FROM information_schema.PROCESSLIST"
            " WHERE DB = DATABASE() AND ID <> CONNECTION_ID() AND HOST LIKE '%:%'"
        ),
        "KILL %s",
    ),
    "postgresql": (
        (
            "SELECT pid, client_port FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ),
        "SELECT pg_terminate_backend(%s)",
    ),
}
"""By database: who else is connected, from which port, and how that is ended."""
_made: dict[str, dict[str, list[Row]]] = {}
"""By database: what the migrations put into each table that they filled."""


@contextmanager
def road(folder: Path) -> Iterator[None]:
    """Point Django at the shared database, in every thread, until the block ends. The server must be running."""
    name = _name(folder, NAME)
    with _pointed_at(name, new=name not in _made):
        if name not in _made:
            call_command("migrate", verbosity=0)
            _made[name] = filled()
        _end_others()
        wipe(_made[name])
        yield


@contextmanager
def without_tables(folder: Path) -> Iterator[None]:
    """As `road`, at a database of its own in which no migration has run yet."""
    with _pointed_at(_name(folder, "naru_without_tables"), new=True):
        yield


def _name(folder: Path, name: str) -> str:
    return str(folder / f"{name}.sqlite3") if connection.vendor == "sqlite" else name


@contextmanager
def _pointed_at(name: str, *, new: bool) -> Iterator[None]:
    connections.close_all()
    settings = connections.settings["default"]
    before = settings["NAME"]
    if new and connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name}")
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
    settings["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        settings["NAME"] = before


def _end_others() -> None:
    """What processes of a test before, which were killed, had sent is over: a server that has much else to do would
    commit it among what the next test finds."""
    if connection.vendor not in _OTHERS:
        return
    asked, end = _OTHERS[connection.vendor]

    def are_gone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(asked)
            found = cursor.fetchall()
            ours = _ports() if found else set()  # threads of this process may go on with theirs
            others = [number for number, port in found if int(port) not in ours]
            for number in others:
                with suppress(DatabaseError):  # it ended by itself
                    cursor.execute(end, [number])
        return not others

    until(are_gone, seconds=60, what="the end of what a test before began", every=0.005)


def _ports() -> set[int]:
    """From which this process is connected to anything."""
    return {one.laddr.port for one in psutil.Process().net_connections("tcp") if one.laddr}


def filled() -> dict[str, list[Row]]:
    """What is in each table of a newly migrated database that is not empty.

    Raises:
        AssertionError: a table is not in TABLES, so what a test leaves in it would meet the next test.
    """
    with connection.cursor() as cursor:
        found = {one.name for one in connection.introspection.get_table_list(cursor) if one.type == "t"}
    known = {*_tables(), "django_migrations"}
    assert found == known, found ^ known
    return {table: rows for table in _tables() if (rows := _rows(table))}


def _tables() -> tuple[str, ...]:
    return (*TABLES, "market_data_moving") if connection.vendor == "mysql" else TABLES


def wipe(kept: Mapping[str, Sequence[Row]]) -> None:
    """Leave nothing but what the migrations put in (`kept`, by table), put right where a test changed it."""
    changed = any(_rows(table) != rows for table, rows in kept.items())
    with transaction.atomic(), connection.cursor() as cursor:  # one commit is cheaper than one of each table
        for table in _tables():
            if changed or table not in kept:
                cursor.execute(f"DELETE FROM {table}")
        for table in reversed(TABLES) if changed else ():
            if table in kept:
                marks = ", ".join(["%s"] * len(kept[table][0]))
                cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", kept[table])


def _rows(table: str) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
        return list(cursor.fetchall())


def url() -> str:
    """DATABASE_URL of the database Django points at, for processes that a test starts."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    scheme = {"mysql": "mysql", "postgresql": "postgres"}[connection.vendor]
    place = f"{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    return f"{scheme}://{settings['USER']}:{settings['PASSWORD']}@{place}"
