"""Others beside Naru: the same rows, in the same run, in turns. Each has its rows ready in the form it likes best
before the clock starts; Naru's clock includes the making of its text or bytes from arrays."""

from __future__ import annotations

import asyncio
import datetime
import os
import secrets
import shutil
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from tests.bench import rows
from tests.bench.processes import cpu_s, family
from tests.servers import MariaDB, PostgreSQL, ServerMissing
from tests.servers.influxdb import InfluxDB
from tests.servers.process import temporary_folder

TABLE = "temp_market_data"
MOST_ROWS = 200_000
FIRST_BATCH = 1 << 41
COLUMNS = ("symbol", "event_time", "tick_id", "trade_date", "feed", "source", "kind", "side", "price", "size", "seq")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(slots=True)
class Turn:
    """Rows a second, and CPU in microseconds a row: here, and in the database's processes."""

    per_s: float
    client_us: float
    server_us: float
    rows: int


@dataclass(slots=True)
class Measured:
    """One way of storing, all its turns."""

    name: str
    into: str
    ours: bool
    rows_at_once: int
    turns: list[Turn]

    def median(self, name: str) -> float:
        """Of a figure of the turns."""
        values: list[float] = [getattr(turn, name) for turn in self.turns]
        return statistics.median(values)


@dataclass(slots=True)
class Peers:
    """All ways, the slowest first; `left_out` says who could not be had, and why."""

    measured: list[Measured]
    left_out: dict[str, str]
    versions: dict[str, str]


class Peer(ABC):
    """One way of storing rows."""

    name: ClassVar[str]
    into: ClassVar[str]
    ours: ClassVar[bool] = False

    def __init__(self, rows_at_once: int, server: int | None) -> None:
        self.rows_at_once = rows_at_once
        self.server = server

    @abstractmethod
    def prepare(self, ticks: Any) -> Any:
        """The rows as this way wants them; not measured."""

    @abstractmethod
    def store(self, prepared: Any) -> None:
        """Store them; committed when it returns."""

    @abstractmethod
    def clear(self) -> None:
        """Begin with an empty table."""

    @abstractmethod
    def count(self) -> int:
        """How many rows are there."""


class _Django(Peer):
    """Whatever goes through a connection of Django's; `alias` names it."""

    alias: ClassVar[str]

    def __init__(self, rows_at_once: int, server: int | None) -> None:
        from django.db import connections

        from marketdata.storage import storage

        super().__init__(rows_at_once, server)
        self.connection = connections[self.alias]
        self.storage = storage(self.alias)

    def clear(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE TABLE {TABLE}")

    def count(self) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {TABLE}")
            return int(cursor.fetchone()[0])


class _Naru(_Django):
    """Naru's own storing, arrays in."""

    ours = True

    def prepare(self, ticks: Any) -> Any:
        return ticks

    def store(self, prepared: Any) -> None:
        with self.storage.transaction():
            self.storage.load(TABLE, prepared)


class NaruMariaDB(_Naru):
    name, into, alias = "Naru, LOAD DATA", "MariaDB", "default"


class NaruPostgreSQL(_Naru):
    name, into, alias = "Naru, COPY", "PostgreSQL", "postgresql"


class BulkCreate(_Django):
    name, into, alias = "Django bulk_create", "MariaDB", "default"

    def prepare(self, ticks: Any) -> Any:
        model = _model()
        return [model(**dict(zip(COLUMNS, row, strict=True))) for row in _records(ticks)]

    def store(self, prepared: Any) -> None:
        _model().objects.bulk_create(prepared, batch_size=self.rows_at_once)


class ExecuteMany(_Django):
    name, into, alias = "DB-API executemany", "MariaDB", "default"

    def prepare(self, ticks: Any) -> Any:
        return [(row[0], row[1].replace(tzinfo=None), *row[2:]) for row in _records(ticks)]

    def store(self, prepared: Any) -> None:
        with self.storage.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})", prepared
            )


class AsyncpgCopy(Peer):
    name, into = "asyncpg COPY", "PostgreSQL"

    def __init__(self, rows_at_once: int, server: int | None, url: str) -> None:
        import asyncpg

        super().__init__(rows_at_once, server)
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(url))

    def prepare(self, ticks: Any) -> Any:
        return list(_records(ticks))

    def store(self, prepared: Any) -> None:
        self._loop.run_until_complete(
            self._connection.copy_records_to_table(TABLE, records=prepared, columns=list(COLUMNS))
        )

    def clear(self) -> None:
        self._loop.run_until_complete(self._connection.execute(f"TRUNCATE TABLE {TABLE}"))

    def count(self) -> int:
        return int(self._loop.run_until_complete(self._connection.fetchval(f"SELECT COUNT(*) FROM {TABLE}")))


class DuckDB(Peer):
    """In this process, into a file, without a key: the same rows sent twice are there twice."""

    name, into = "DuckDB, arrays", "a file"

    def __init__(self, rows_at_once: int, server: int | None, folder: Path) -> None:
        import duckdb

        super().__init__(rows_at_once, server)
        self._connection = duckdb.connect(str(folder / "peer.duckdb"))

    def prepare(self, ticks: Any) -> Any:
        import numpy as np

        from marketdata.types.tick_arrays import PRICE_UNIT, SIZE_UNIT

        return {
            "symbol": np.array(ticks.symbols, object)[ticks.symbol],
            "event_time": ticks.time_us.astype("datetime64[us]"),
            "tick_id": ticks.tick_id,
            "trade_date": ticks.trade_date.astype("datetime64[D]").astype("datetime64[us]"),
            "source": np.full(len(ticks), ticks.source_id, np.int16),
            "kind": ticks.kind,
            "side": ticks.side,
            "price": ticks.price // PRICE_UNIT,
            "size": ticks.size // SIZE_UNIT,
            "seq": ticks.seq,
        }

    def store(self, prepared: Any) -> None:
        self._connection.execute("INSERT INTO ticks SELECT * FROM prepared")

    def clear(self) -> None:
        self._connection.execute(
            "CREATE OR REPLACE TABLE ticks (symbol VARCHAR, event_time TIMESTAMP, tick_id BIGINT, trade_date DATE,"
            " source SMALLINT, kind TINYINT, side TINYINT, price DECIMAL(18, 8), size DECIMAL(18, 6), seq BIGINT)"
        )

    def count(self) -> int:
        return int(self._connection.execute("SELECT COUNT(*) FROM ticks").fetchall()[0][0])


class InfluxPoints(Peer):
    """Prices are binary floats there, and a point is its series and its time: two trades in one microsecond are one."""

    name, into = "InfluxDB line protocol", "InfluxDB 1.x"

    def __init__(self, rows_at_once: int, server: Any) -> None:
        super().__init__(rows_at_once, server.pid)
        self._influxdb = server

    def prepare(self, ticks: Any) -> Any:
        columns = (ticks.symbol.tolist(), ticks.price.tolist(), ticks.size.tolist(), ticks.tick_id.tolist())
        return "\n".join(
            f"ticks,symbol={ticks.symbols[symbol]},feed={ticks.feed},kind=trade "
            f"price={price / 1e8},size={size / 1e6},id={tick_id}i {time_us}"
            for symbol, price, size, tick_id, time_us in zip(*columns, ticks.time_us.tolist(), strict=True)
        ).encode()

    def store(self, prepared: Any) -> None:
        self._influxdb.write(prepared)

    def clear(self) -> None:
        self._influxdb.clear()

    def count(self) -> int:
        return int(self._influxdb.count("ticks", "id"))


def run(*, turn_s: float, turns: int) -> Peers:
    """`turns` times each way stores the same rows, as many as it can in `turn_s` seconds of storing, at most MOST_ROWS.

    RuntimeError when one of them has not stored what it was given.
    """
    with ExitStack() as stack:
        peers, left_out, versions = _open(stack)
        given = {
            size: rows.statements(MOST_ROWS // size, first_batch=FIRST_BATCH, rows=size)
            for size in {peer.rows_at_once for peer in peers}
        }
        found = [Measured(peer.name, peer.into, peer.ours, peer.rows_at_once, []) for peer in peers]
        for number in range(turns):
            for peer, measured in zip(peers, found, strict=True):
                turn = _turn(peer, given[peer.rows_at_once], turn_s)
                measured.turns.append(turn)
                print(
                    f"turn {number + 1}/{turns}: {peer.name} {peer.rows_at_once:,} -> {peer.into}: "
                    f"{turn.per_s:,.0f} rows/s, CPU us/row {turn.client_us:.1f} + {turn.server_us:.1f}, "
                    f"{turn.rows:,} rows",
                    flush=True,
                )
    return Peers(sorted(found, key=lambda one: one.median("per_s")), left_out, versions)


def _turn(peer: Peer, given: list[Any], seconds: float) -> Turn:
    peer.clear()
    wall = cpu = 0.0
    stored = 0
    before = _server_s(peer)
    for ticks in given:
        prepared = peer.prepare(ticks)
        began, used = time.perf_counter(), time.process_time()
        peer.store(prepared)
        wall, cpu = wall + time.perf_counter() - began, cpu + time.process_time() - used
        stored += len(ticks)
        if wall >= seconds:
            break
    server = _server_s(peer) - before
    if peer.count() != stored:
        raise RuntimeError(f"{peer.name}: {peer.count()} of {stored} rows are there")
    return Turn(stored / wall, cpu * 1e6 / stored, server * 1e6 / stored, stored)


def _server_s(peer: Peer) -> float:
    return cpu_s(family(peer.server)) if peer.server is not None else 0.0


def _open(stack: ExitStack) -> tuple[list[Peer], dict[str, str], dict[str, str]]:
    """Start the servers and connect; who cannot be had is left out with the reason."""
    print("starting private MariaDB, PostgreSQL and InfluxDB", flush=True)
    folder = temporary_folder("peers")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    mariadb = stack.enter_context(MariaDB())
    postgresql = stack.enter_context(PostgreSQL())
    os.environ |= {
        "DATABASE_URL": mariadb.url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "VAR_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "marketdata.settings",
    }
    _tables(postgresql)
    stack.callback(_disconnect)
    peers: list[Peer] = [
        BulkCreate(1_000, mariadb.pid),
        ExecuteMany(1_000, mariadb.pid),
        NaruMariaDB(5_000, mariadb.pid),
        NaruPostgreSQL(1_000, postgresql.pid),
        NaruPostgreSQL(5_000, postgresql.pid),
    ]
    opened: dict[str, Callable[[], list[Peer]]] = {
        "asyncpg": lambda: [AsyncpgCopy(size, postgresql.pid, postgresql.url) for size in (1_000, 5_000)],
        "DuckDB": lambda: [DuckDB(5_000, None, folder)],
        "InfluxDB": lambda: [InfluxPoints(5_000, stack.enter_context(InfluxDB()))],
    }
    left_out = {"QuestDB": "its server is in none of PyPI, Debian and npm, only its clients are"}
    for name, make in opened.items():
        try:
            peers += make()
        except (ImportError, ServerMissing) as error:
            left_out[name] = str(error).splitlines()[0]
            print(f"left out: {name}: {left_out[name]}", flush=True)
    versions = {}
    for name in ("asyncpg", "duckdb"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return peers, left_out, versions


def _disconnect() -> None:
    from django.db import connections

    connections.close_all()


def _tables(postgresql: Any) -> None:
    """Make the tables in both databases; PostgreSQL becomes Django's second."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from marketdata.storage import storage

    call_command("migrate", verbosity=0, skip_checks=True)
    default = connections.settings["default"]
    connections.settings["postgresql"] = {
        **default,
        "ENGINE": "django.db.backends.postgresql",
        "PORT": postgresql.port,
        "OPTIONS": {"options": "-c timezone=UTC -c datestyle=ISO"},
    }
    storage("postgresql").create_tables()
    for alias in ("default", "postgresql"):
        storage(alias).ensure_partitions([rows.today()])


def _records(ticks: Any) -> Iterator[tuple[Any, ...]]:
    """The rows as a Python program has them: one object a value, COLUMNS in order."""
    from marketdata.types.tick_arrays import KIND_NAMES, SIDE_NAMES

    day = rows.today()
    for symbol, time_us, tick_id, kind, side, price, size, seq in zip(
        ticks.symbol.tolist(),
        ticks.time_us.tolist(),
        ticks.tick_id.tolist(),
        ticks.kind.tolist(),
        ticks.side.tolist(),
        ticks.price.tolist(),
        ticks.size.tolist(),
        ticks.seq.tolist(),
        strict=True,
    ):
        yield (
            ticks.symbols[symbol],
            _EPOCH + datetime.timedelta(microseconds=time_us),
            tick_id,
            day,
            ticks.feed,
            ticks.source_id,
            KIND_NAMES[kind],
            SIDE_NAMES[side] or None,
            Decimal(price).scaleb(-8),
            Decimal(size).scaleb(-6),
            seq,
        )


def _model() -> Any:
    """The table as a Django model with every column; made once, for Django wants its settings first."""
    from django.apps import apps
    from django.db import models

    if "benchtick" in apps.all_models["marketdata"]:
        return apps.get_registered_model("marketdata", "BenchTick")

    class BenchTick(models.Model):
        pk = models.CompositePrimaryKey("symbol", "event_time", "tick_id", "trade_date")
        symbol = models.CharField(max_length=24)
        event_time = models.DateTimeField()
        tick_id = models.BigIntegerField()
        trade_date = models.DateField()
        feed = models.CharField(max_length=16)
        source = models.SmallIntegerField()
        kind = models.CharField(max_length=8)
        side = models.CharField(max_length=4, null=True)  # noqa: DJ001 - as the table has it
        price = models.DecimalField(max_digits=18, decimal_places=8)
        size = models.DecimalField(max_digits=18, decimal_places=6)
        seq = models.BigIntegerField()

        class Meta:
            app_label = "marketdata"
            db_table = TABLE
            managed = False

        def __str__(self) -> str:
            return self.symbol

    return BenchTick
