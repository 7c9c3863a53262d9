"""The ceiling: the same rows into the same table by the database's own bulk statement alone (LOAD DATA, COPY), its
input made ahead, one connection, a commit a statement."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage import storage
from marketdata.storage.mariadb.load_data import LoadFile
from marketdata.storage.postgresql.copy_rows import CopyRows
from marketdata.types.tick_arrays import Ticks

TABLE = "temp_market_data"
STATEMENTS = {"mariadb": "LOAD DATA", "postgresql": "COPY"}


def measure(ticks: list[Ticks]) -> float:
    """Rows a second of loading these statements, committing each. RuntimeError when rows are missing afterwards."""
    backend = storage()
    backend.ensure_partitions([])
    with ExitStack() as files:
        prepared = [_PREPARED[backend.vendor](backend.connection, part, files) for part in ticks]
        started = time.perf_counter()
        stored = 0
        for load in prepared:
            with backend.transaction():
                stored += load()
        seconds = time.perf_counter() - started
    rows = sum(len(part) for part in ticks)
    if stored != rows:
        raise RuntimeError(f"{stored} of {rows} rows were stored")
    return rows / seconds


def copy(connection: BaseDatabaseWrapper, rows: CopyRows) -> int:
    """One COPY into TABLE; the number of its rows."""
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {TABLE} ({', '.join(rows.columns)}) FROM STDIN (FORMAT BINARY)") as into:
            into.write(rows.data)
        return int(cursor.rowcount)


def _prepared_load_data(connection: BaseDatabaseWrapper, ticks: Ticks, files: ExitStack) -> Callable[[], int]:
    file = LoadFile(ticks)
    files.callback(file.close)
    return lambda: file.load(connection, TABLE)


def _prepared_copy(connection: BaseDatabaseWrapper, ticks: Ticks, _files: ExitStack) -> Callable[[], int]:
    rows = CopyRows(ticks)
    return lambda: copy(connection, rows)


_PREPARED = {"mysql": _prepared_load_data, "postgresql": _prepared_copy}
