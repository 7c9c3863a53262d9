"""The whole stack as real processes in one folder, and a plain supervisor: what is not up is started again at once."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from marketdata.launcher import supervisor
from tests.drill import faults
from tests.drill.programs import ROOT, STEP_S, Programs, end_of
from tests.frozen import freeze, thaw
from tests.servers import MariaDB, PostgreSQL, Redis, Server, free_port
from tests.servers.galera import Cluster

QUEUES = "raw_market_data,processed-data,feed-recovery,chart-data,statistics-data,maintenance"
PAUSE_S = 3.0
NODE_READY_S = 240.0
"""For a node of Galera that was killed: the others wait 20 s for a word of it, then it takes what it missed from one of
them that is busy itself."""
SELDOM = 600  # each point of a worker's transaction is fatal once in so many times


@dataclass(slots=True)
class Terminal:
    """A client of the ingest server: what it is called, what it sends, where it keeps what it sent."""

    name: str
    source: str
    feed: str
    command: list[str]
    spool: Path
    key_file: Path
    journal: Path
    register_market: str | None


class Stack(Programs):
    """`start` and `stop` everything; in between call `watch` often."""

    def __init__(self, folder: Path, database: str = "mariadb") -> None:
        super().__init__(folder)
        self.cluster = Cluster(folder / "galera", buffer_pool_mib=256) if database == "galera" else None
        self.database: MariaDB | PostgreSQL = (
            self.cluster.nodes[0]  # that is written to
            if self.cluster is not None
            else PostgreSQL(folder / "postgresql", shared_buffers_mib=256)
            if database == "postgresql"
            else MariaDB(folder / "mariadb", buffer_pool_mib=256)
        )
        self._databases: list[MariaDB | PostgreSQL] = [self.database] if self.cluster is None else [*self.cluster.nodes]
        """The one that is struck next comes first."""
        if self.cluster is not None:
            for node in self.cluster.nodes:
                node.ready_s = NODE_READY_S
        self.redis = Redis(folder / "redis")
        self.ingest_port, self.web_port = free_port(), free_port()
        self.faults = folder / "faults"
        # Every process started from here on carries the mark, so that one left behind would be found.
        os.environ.update(self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            supervisor.MARK: str(self.folder),
            faults.FAULTS: f"{self.faults}:{SELDOM}",
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "BROKER_URL": self.redis.url,
            "INGEST_HOST": "127.0.0.1",
            "INGEST_PORT": str(self.ingest_port),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(self.folder / "var"),
            "METRICS_DIR": "",
            "LOG_LEVEL": "INFO",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **({} if self.cluster is None else {"CACHE_ENGINE": "InnoDB"}),
        }

    @property
    def ingest_address(self) -> str:
        """Where terminals find the ingest server."""
        return f"127.0.0.1:{self.ingest_port}"

    # --- starting --------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """The database with its tables, and Redis."""
        (self.cluster or self.database).start()
        self.redis.start()
        self.migrate()

    def migrate(self) -> None:
        """Give the database the tables of the tree."""
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"]
        done = subprocess.run(
            command, cwd=self.root, env=self._environment_of(self.root), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"migrate failed:\n{done.stderr[-3000:]}")

    def start(self, terminals: list[Terminal], *, web: bool) -> None:
        """Every process of ours, in the order an operator would."""
        python = sys.executable
        celery = [python, "-m", "celery", "-A", "celery_app"]
        quiet = ["--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        itself = ["worker", "-n", "worker1@%h", "-c", "1", "-Q", QUEUES, "-I", "tests.drill.faults"]
        self.add("worker1", [*celery, *itself, *quiet])
        self.add("worker2", [python, "-m", "tests.drill.workers", "-n", "worker2@%h", "-c", "2", "-l", "INFO"])
        self.add("beat", [*celery, "beat", "--loglevel", "INFO", "--pidfile="])
        self.add("ingest", [python, "manage.py", "runingest"])
        if web:
            self.add("web", [python, "manage.py", "runweb", "--port", str(self.web_port)])
        for terminal in terminals:
            self.add(terminal.name, terminal.command)

    # --- keeping up ------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Start again whatever ended, and insist where a polite request was not heard."""
        for server in (*self._databases, self.redis):
            if not server.running:
                self.own_ends[f"{server.name} ended by itself"] += 1
                server.start()
        super().watch()

    # --- striking --------------------------------------------------------------------------------------------

    def kill(self, name: str) -> int:
        """SIGKILL, and start again at once. Returns the process id that was."""
        if (server := self._server(name)) is not None:
            pid = server.pid
            server.kill()
            server.start()
            self._pass_on()
            return pid
        return super().kill(name)

    def term(self, name: str) -> int:
        """SIGTERM; `watch` starts it again when it has ended, which may take it a while."""
        if (server := self._server(name)) is not None:
            pid = server.pid
            server.stop()
            server.start()
            self._pass_on()
            return pid
        return super().term(name)

    def pause(self, pid: int) -> None:
        """SIGSTOP for three seconds: it is there, and does not answer."""
        with suppress(ProcessLookupError):
            freeze(pid)
            try:
                self.wait(PAUSE_S)
            finally:
                thaw(pid)
        if pid == self._databases[0].pid:
            self._pass_on()

    def pid(self, name: str) -> int:
        """The process id of a server or program."""
        server = self._server(name)
        return server.pid if server is not None else self.programs[name].pid

    def children(self, name: str) -> list[int]:
        """The pool processes of a worker."""
        pid = self.programs[name].pid
        try:
            return sorted(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            return []

    def _server(self, name: str) -> Server | None:
        return {"database": self._databases[0], "redis": self.redis}.get(name)

    def _pass_on(self) -> None:
        """On Galera the nodes are struck in turn."""
        self._databases.append(self._databases.pop(0))

    # --- ending ----------------------------------------------------------------------------------------------

    def stop(self) -> list[int]:
        """Everything, at once. The process ids of what was left of it: there should be none."""
        for program in self.programs.values():
            self._cut(program)
        self.redis.stop()
        (self.cluster or self.database).stop()
        limit = time.monotonic() + 3.0
        while (left := supervisor.processes_of(self.folder)) and time.monotonic() < limit:
            time.sleep(STEP_S)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def tails(self, lines: int = 40) -> str:
        """The ends of all logs."""
        databases = [self.database] if self.cluster is None else self.cluster.nodes
        logs = [*sorted((self.folder / "log").glob("*.log")), *(one.log for one in databases), self.redis.log]
        return "\n".join(line for log in logs if log.exists() for line in [f"--- {log.name}", *end_of(log, lines)])
