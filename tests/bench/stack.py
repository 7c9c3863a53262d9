"""The processes a benchmark needs: a private database and Redis, ingest, workers and the web server, as an operator
would run them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import redis

from marketdata.launcher import child_process, supervisor
from tests.bench import rows
from tests.bench.load import Plan
from tests.bench.processes import family, family_cpu_s
from tests.servers import MariaDB, PostgreSQL, Redis, free_port
from tests.servers.process import spawn, temporary_folder
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DATABASES: dict[str, type[MariaDB] | type[PostgreSQL]] = {"mariadb": MariaDB, "postgresql": PostgreSQL}
FAST = ("raw_market_data", "processed-data")
UPKEEP = ("worker-slow", "worker-recovery", "beat")
_ONE_MORE = "#"  # before the number of a second one of its kind
_VERSION = {"mariadb": "SELECT VERSION()", "postgresql": "SHOW server_version"}


class Stack:
    """`with Stack("mariadb") as stack:` everything runs; `stack.load(...)` sends, `stack.rows(...)` asks the database.

    A process can have one, for Django has one configuration. `symbols` are the codes of each terminal. With
    `with_upkeep` there are beat and the workers for statistics and for what the feed lacks, each by itself.
    `settings` go beside the usual ones.
    """

    def __init__(
        self,
        database: str,
        *,
        workers: int,
        ingest_servers: int = 1,
        symbols: list[list[str]] | None = None,
        with_upkeep: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = temporary_folder("bench")
        self.name = database
        self.database = DATABASES[database](self.folder / database)
        self.redis = Redis(self.folder / "redis")
        self.ingest_ports, self.web_port = [free_port() for _ in range(ingest_servers)], free_port()
        self.ingest_port = self.ingest_ports[0]
        """Of the first one."""
        self.workers, self._with_upkeep, self._settings = workers, with_upkeep, dict(settings or {})
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: list[list[str]] = []
        self.symbols = symbols or rows.symbols()
        self._epoch = 0
        self._loads: list[subprocess.Popen[str]] = []

    @property
    def database_memory_mib(self) -> int:
        """What the database keeps of its pages in memory at most."""
        own = self.database
        return own.buffer_pool_mib if isinstance(own, MariaDB) else own.shared_buffers_mib

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _begin(self) -> None:
        self.database.start()
        self.redis.start()
        os.environ.update(self._environment())
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0, skip_checks=True)
        self._register()
        self._start_road()
        if self._with_upkeep:
            for program in supervisor.programs(port=self.web_port, redis=None, terminal=None):
                if program.name in UPKEEP:
                    self._start(program.name, program.command)
        self._start("web", [sys.executable, "manage.py", "runweb", "--port", str(self.web_port)])
        self._wait()

    def _start_road(self) -> None:
        """The ingest servers and the workers."""
        for number, port in enumerate(self.ingest_ports, start=1):
            name = "ingest" if number == 1 else f"ingest{_ONE_MORE}{number}"
            self._start(name, [sys.executable, "manage.py", "runingest"], INGEST_PORT=str(port))
        queues = ",".join(FAST if self._with_upkeep else self._queues())
        self._start("worker", [sys.executable, "manage.py", "runworkers", "-c", str(self.workers), "-Q", queues])

    def change(self, *, workers: int, ingest_servers: int) -> None:
        """End the ingest servers and the workers, and start so many."""
        ending = [name for name in self.processes if name == "worker" or name.partition(_ONE_MORE)[0] == "ingest"]
        for name in ending:
            self.processes[name].send_signal(signal.SIGTERM)
        for name in ending:
            self.processes.pop(name).wait(60)
        self.workers, self.ingest_ports = workers, [free_port() for _ in range(ingest_servers)]
        self.ingest_port = self.ingest_ports[0]
        self._start_road()
        for port in self.ingest_ports:
            until(lambda port=port: self._listens(port), seconds=60, what="an ingest server", every=0.2)  # type: ignore[misc]

    def _listens(self, port: int) -> bool:
        self.look()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def _end(self) -> None:
        for load in self._loads:
            if load.poll() is None:
                load.kill()
                load.wait()
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        if "DJANGO_SETTINGS_MODULE" in os.environ:
            from django.db import connections

            connections.close_all()
        self.redis.stop()
        self.database.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "BROKER_URL": self.redis.url,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(self.folder),
            "METRICS_DIR": "",
            "LOG_LEVEL": "WARNING",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
            "PYTHONPATH": str(ROOT),
            **self._settings,
        }

    def _queues(self) -> tuple[str, ...]:
        from celery_app import QUEUES

        return QUEUES

    def _start(self, name: str, command: list[str], **settings: str) -> None:
        environment = {**os.environ, **self._environment(), **settings}
        self.processes[name] = spawn(command, environment=environment, log=self.folder / f"{name}.log", cwd=ROOT)

    def _register(self) -> None:
        from marketdata.models import Client, Source, Symbol

        source = Source.objects.get(code="SIMULATOR")
        for number in range(len(self.symbols)):
            client, secret = Client.objects.create_with_secret(
                name=f"bench{number:02d}", source=source, may_send=True, may_read=True
            )
            self.clients.append([client.name, secret])
            self.key_id, self.secret = client.key_id, secret
        codes = [code for of_terminal in self.symbols for code in of_terminal]
        Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX", primary_feed="sim") for code in codes])

    def _wait(self) -> None:
        try:
            until(self._answers, seconds=300, what="the web server's answer", every=0.2)
        except TimeoutError as error:
            raise RuntimeError(f"{error}:\n{self.tail('web')}") from None

    def look(self) -> None:
        """RuntimeError with the end of its log if a process ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended:\n{self.tail(name)}")

    def _answers(self) -> bool:
        self.look()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}/healthz", timeout=1).close()
            return True
        except OSError:
            return False

    def tail(self, name: str) -> str:
        """The end of a process's log; its file goes with the folder."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def load(
        self, *, seconds: float, batch_rows: int, rate: float = 0.0, books_per_s: float = 0.0
    ) -> subprocess.Popen[str]:
        """Start the terminals; their result comes as one JSON line."""
        self._epoch += 1
        plan = Plan(
            ports=self.ingest_ports,
            clients=self.clients,
            symbols=self.symbols,
            seconds=seconds,
            batch_rows=batch_rows,
            rate=rate,
            epoch=f"{self._epoch:012x}",
            books_per_s=books_per_s,
        )
        process = subprocess.Popen(
            child_process.command([sys.executable, "-m", "tests.bench.load"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        self._loads.append(process)
        if process.stdin is None:
            raise RuntimeError("the terminals have no standard input")
        process.stdin.write(json.dumps({name: getattr(plan, name) for name in Plan.__dataclass_fields__}))
        process.stdin.close()
        process.stdin = None  # communicate() would flush it again
        return process

    def rows(self, sql: str, *params: int) -> list[tuple[Any, ...]]:
        """Ask the database."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())

    def rows_changed(self, sql: str) -> int:
        """Let the database change something; how many rows it says that were."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    def truncate(self) -> None:
        """Begin with empty tables, as every round does."""
        from django.db import connection

        with connection.cursor() as cursor:
            for table in ("temp_market_data", "market_data_minute", "ingest_batch", "ingest_reject"):
                cursor.execute(f"TRUNCATE TABLE {table}")

    def versions(self) -> dict[str, str]:
        """Of the two servers."""
        with redis.Redis.from_url(self.redis.url) as client:
            info: Any = client.info("server")
        return {
            self.name: str(self.rows(_VERSION[self.name])[0][0]).split(" ")[0],
            "redis-server": str(info["redis_version"]),
        }

    def committed(self, from_us: int, until_us: int) -> int:
        """How many ticks were committed at a time in this range (microseconds UTC), by the ledger."""
        asked = (
            "SELECT COALESCE(SUM(d.rows), 0) FROM ingest_batch_day d JOIN ingest_batch b ON b.batch = d.batch"
            " WHERE b.committed_us >= %s AND b.committed_us < %s"
        )
        return int(self.rows(asked, from_us, until_us)[0][0])

    def memory_mib(self) -> float:
        """Memory of all our processes (not of the servers), pages shared by several counted once (PSS)."""
        total = 0
        for process in self.processes.values():
            for member in family(process.pid):
                try:
                    total += psutil.Process(member).memory_full_info().pss
                except psutil.Error:
                    continue
        return total / 2**20

    def database_cpu_s(self) -> float:
        """Seconds of CPU the database used so far."""
        return family_cpu_s({self.name: self.database.pid})[self.name]

    def cpu_s(self, terminals: int) -> dict[str, float]:
        """Seconds of CPU used so far by each kind of process; `terminals` is the process that plays them."""
        pids = {name: process.pid for name, process in self.processes.items()}
        used = family_cpu_s({"terminals": terminals, **pids, self.name: self.database.pid, "redis": self.redis.pid})
        for name in [name for name in used if _ONE_MORE in name]:
            used[name.partition(_ONE_MORE)[0]] += used.pop(name)
        return used
