"""The one-command run on private servers, as `make run` starts it, and what its Redis and its database tell of
themselves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

import redis

from marketdata.launcher import supervisor
from marketdata.realtime import feed, pipeline_history
from tests.servers import MariaDB, PostgreSQL, Redis, free_port
from tests.servers.process import spawn
from tests.soak import report
from tests.soak.samples import MIB
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
POOL_MIB = 64  # of pages a database keeps: filled before anything is measured, so that it does not fill meanwhile
# What is kept in memory up to a limit has reached it before anything is measured.
LIMITS = {"FEED_MAX_TICKS": "20000", "API_READY_BYTES": str(1 << 20)}
SPOOL_MIB = 8
_OWN = ("METRICS_DIR", "SECRET_KEY", "PAGE_PUBLIC")
_FILLED = """
CREATE DATABASE filler;
CREATE TABLE filler.pages (number INT PRIMARY KEY, text CHAR(250) NOT NULL) ENGINE=InnoDB;
INSERT INTO filler.pages SELECT seq, REPEAT('x', 250) FROM filler.seq_1_to_400000;
SELECT SUM(LENGTH(text)) FROM filler.pages;
DROP TABLE filler.pages;
"""
_CONNECTIONS = {
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'naru'",
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()",
}
_ALLOCATED = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Memory_used'"
_STORED = "SELECT COALESCE(SUM(stored), 0) FROM ingest_batch"


class Stack:
    """`with Stack(folder, database, rate) as stack:` everything runs. A process can have one, for Django has one
    configuration."""

    def __init__(self, folder: Path, database: str, rate: int) -> None:
        self.folder, self.name, self.rate = folder, database, rate
        self.redis = Redis(folder / "redis")
        self.database: MariaDB | PostgreSQL | None = None
        if database == "mariadb":
            self.database = MariaDB(folder / "mariadb", buffer_pool_mib=POOL_MIB)
        elif database == "postgresql":
            self.database = PostgreSQL(folder / "postgresql", shared_buffers_mib=POOL_MIB)
        self.port, self._ingest_port, self.headers = free_port(), free_port(), dict[str, str]()
        self.conf, self.printed = folder / "var/run/supervisord.conf", folder / "printed"
        self._process: subprocess.Popen[bytes] | None = None
        self._terminal: subprocess.Popen[bytes] | None = None
        self._client: redis.Redis | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("nothing was started")
        return self._process.pid

    def __enter__(self) -> Stack:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def servers(self) -> dict[str, int]:
        """Process ids of the private servers and the terminal, by name."""
        ours = {self.name: self.database.pid} if self.database is not None else {}
        terminal = {"market": self._terminal.pid} if self._terminal is not None else {}
        return {**ours, "redis": self.redis.pid, **terminal}

    def numbers(self) -> dict[str, float]:
        """Memory and clients of Redis (MiB and a number), connections to the database, and of MariaDB what it has
        allocated."""
        from django.db import connection

        if self._client is None:
            self._client = redis.Redis.from_url(self.redis.url)
        told: Any = self._client.info()
        found = {
            "redis_used_mib": told["used_memory"] / MIB,
            "redis_keys": float(told.get("db0", {}).get("keys", 0)),
            "redis_clients": float(told["connected_clients"]),
        }
        if connection.vendor in _CONNECTIONS:
            found["database_connections"] = float(self._asked(_CONNECTIONS[connection.vendor]))
        if connection.vendor == "mysql":
            found[report.ALLOCATED] = self._asked(_ALLOCATED) / MIB
        return found

    def stored(self) -> int:
        """How many rows were stored so far, by the ledger."""
        return self._asked(_STORED)

    def _asked(self, question: str) -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(question)
            return int(cursor.fetchone()[0])

    def tail(self) -> str:
        """The end of what the run printed."""
        return self.printed.read_text(encoding="utf-8", errors="replace")[-3000:]

    def look(self) -> None:
        """RuntimeError with the end of what it printed if the run ended."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"the run ended:\n{self.tail()}")
        if self._terminal is not None and self._terminal.poll() is not None:
            raise RuntimeError(f"the terminal ended:\n{(self.folder / 'market.log').read_text()[-3000:]}")

    def _begin(self) -> None:
        self.redis.start()
        self._fill_notes()
        self._fill_history()
        if self.database is not None:
            self.database.start()
        if isinstance(self.database, MariaDB):
            self.database.sql(_FILLED)
        home = self.folder / "var"
        environment = {name: value for name, value in os.environ.items() if name not in _OWN} | {
            "DATABASE_URL": self.database.url if self.database is not None else f"sqlite:///{home / 'naru.sqlite3'}",
            "REDIS_URL": self.redis.url,
            "BROKER_URL": self.redis.url,
            "VAR_DIR": str(home),
            "LOG_LEVEL": "WARNING",
            "NARU_LANG": "en",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
            **LIMITS,
        }
        ports = ["--port", str(self.port), "--ingest-port", str(self._ingest_port)]
        self._process = spawn(
            [sys.executable, "manage.py", "runall", "--no-feed", *ports],
            environment=environment, log=self.printed, cwd=ROOT,
        )  # fmt: skip
        until(self._tells_how_to_ask, seconds=300, what="what a run prints when everything is there", every=0.5)
        os.environ.update({name: environment[name] for name in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "VAR_DIR")})
        os.environ["DJANGO_SETTINGS_MODULE"] = environment["DJANGO_SETTINGS_MODULE"]
        import django

        django.setup()
        self._begin_terminal(home, environment)

    def _begin_terminal(self, home: Path, environment: dict[str, str]) -> None:
        """The simulated market of `make run`, with a spool that is soon full."""
        from marketdata.models import Client, Source

        client, secret = Client.objects.create_with_secret(
            name="market", source=Source.objects.get(code="SIMULATOR"), may_send=True, may_register=True
        )
        key = home / "run/market.key"
        key.touch(mode=0o600)
        key.write_text(secret, encoding="utf-8")
        link = supervisor.terminal_link(
            ingest_port=self._ingest_port, client=client.name, key=key, spool=home / "spool/market"
        )
        command = supervisor.simulated_market(link, trades_per_s=self.rate).command
        self._terminal = spawn(
            [*command, "--spool-mib", str(SPOOL_MIB)],
            environment=environment, log=self.folder / "market.log", cwd=ROOT,
        )  # fmt: skip

    def _fill_notes(self) -> None:
        """As many notes of announced batches as are kept after some days, of batches that nobody asks for."""
        with redis.Redis.from_url(self.redis.url) as client:
            for first in range(1, feed.KEEP_ANNOUNCED + 1, 10_000):
                notes = {feed.batch_note(-number, 1 << 31): number for number in range(first, first + 10_000)}
                client.zadd(feed.ANNOUNCED, notes)

    def _fill_history(self) -> None:
        """As many points of the past hours as are kept after a day. Whoever asks for them is given them all: answers
        would grow for two hours, and with them what a web process needs to make one."""
        figures = dict.fromkeys(pipeline_history.FIGURES, 123.45)
        terminal = dict.fromkeys(pipeline_history.TERMINAL_FIGURES, 123.45)
        queues: dict[str, float] = {f"queue-{number}": 1 for number in range(8)}
        point = pipeline_history.Point(figures, queues, {}, {"market": terminal}).packed()
        now_us = time.time_ns() // 1000
        with redis.Redis.from_url(self.redis.url) as client:
            for one in pipeline_history.RESOLUTIONS.values():
                pipeline = client.pipeline(transaction=False)
                for age in range(one.points, 0, -1):
                    at_ms = one.start_ms(now_us) - age * one.step_s * 1000
                    pipeline.xadd(one.key, {"p": point}, id=f"{at_ms}-0")
                pipeline.execute()

    def _tells_how_to_ask(self) -> bool:
        """It prints a request that it answers, with its headers."""
        self.look()
        lines = self.printed.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            if line.strip().startswith("curl "):
                *headers, address = re.findall(r"'([^']*)'", line)
                self.headers = dict(header.split(": ") for header in headers)
                self.port = urllib.parse.urlsplit(address).port or self.port
            if line.strip().startswith("terminals "):  # somebody else may have taken the one that was asked for
                self._ingest_port = int(line.rpartition(":")[2])
        return bool(self.headers)

    def _end(self) -> None:
        if "django" in sys.modules:
            from django.db import connections

            connections.close_all()
        if self._client is not None:
            self._client.close()
        if self._terminal is not None and self._terminal.poll() is None:
            self._terminal.terminate()
            self._terminal.wait(60)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(200)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.redis.stop()
        if self.database is not None:
            self.database.stop()
