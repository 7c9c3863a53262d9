"""The whole stack as real processes in one folder, and a plain supervisor: what is not up is started again at once."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from marketdata.launcher import supervisor
from tests.drill import faults
from tests.servers import MariaDB, PostgreSQL, Redis, Server, free_port
from tests.servers.process import spawn

ROOT = Path(__file__).resolve().parents[2]
QUEUES = "raw_market_data,processed-data,feed-recovery,chart-data,statistics-data,maintenance"
STEP_S = 0.05
PAUSE_S = 3.0
POLITE_S = 45.0
LAST_WORDS = 12
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


@dataclass(slots=True)
class Program:
    """One process of the stack. `since` is when it began, for the pause before a start that comes too soon."""

    name: str
    command: list[str]
    log: Path
    root: Path = ROOT
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    leaving_since: float | None = None
    since: float = field(default=0.0)

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def up(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Stack:
    """`start` and `stop` everything; in between call `watch` often."""

    def __init__(self, folder: Path, database: str = "mariadb") -> None:
        self.folder = folder
        self.root = ROOT
        """The tree that what is started from here on belongs to."""
        self.database: MariaDB | PostgreSQL = (
            PostgreSQL(folder / "postgresql", shared_buffers_mib=256)
            if database == "postgresql"
            else MariaDB(folder / "mariadb", buffer_pool_mib=256)
        )
        self.redis = Redis(folder / "redis")
        self.ingest_port, self.web_port = free_port(), free_port()
        self.programs: dict[str, Program] = {}
        self.own_ends: Counter[str] = Counter()
        self.last_words: list[str] = []
        self.slowest_term_s = 0.0
        self.faults = folder / "faults"
        (folder / "log").mkdir()
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
        }

    # --- starting --------------------------------------------------------------------------------------------

    def start_servers(self) -> None:
        """The database with its tables, and Redis."""
        self.database.start()
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

    @staticmethod
    def _environment_of(root: Path) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(root)}

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

    def add(self, name: str, command: list[str]) -> None:
        """Start a program and keep it up."""
        self.programs[name] = Program(name, command, self.folder / "log" / f"{name}.log", self.root)
        self._begin(self.programs[name])

    def _begin(self, program: Program) -> None:
        environment = self._environment_of(program.root)
        program.process = spawn(program.command, environment=environment, log=program.log, cwd=program.root)
        program.leaving_since, program.since = None, time.monotonic()

    # --- keeping up ------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Start again whatever ended, and insist where a polite request was not heard."""
        now = time.monotonic()
        for server in (self.database, self.redis):
            if not server.running:
                self.own_ends[f"{server.name} ended by itself"] += 1
                server.start()
        for program in self.programs.values():
            if program.up:
                if program.leaving_since is not None and now - program.leaving_since > POLITE_S and program.process:
                    self.own_ends[f"{program.name} ignored SIGTERM"] += 1
                    program.leaving_since = None
                    program.process.kill()
            elif program.wanted and now - program.since >= 0.2:
                if program.leaving_since is not None:
                    self.slowest_term_s = max(self.slowest_term_s, now - program.leaving_since)
                elif program.process is not None:
                    self.own_ends[f"{program.name} ended by itself, status {program.process.returncode}"] += 1
                    self.last_words += [f"{program.name}: {line}" for line in _end_of(program.log, LAST_WORDS)]
                self._begin(program)

    def wait(self, seconds: float) -> None:
        """Let time pass and watch."""
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self.watch()
            time.sleep(min(STEP_S, left))

    def until(self, ready: Callable[[], bool], *, seconds: float) -> bool:
        """Watch until it is so; False when the time is over."""
        limit = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > limit:
                return False
            self.wait(0.2)
        return True

    # --- striking --------------------------------------------------------------------------------------------

    def kill(self, name: str) -> int:
        """SIGKILL, and start again at once. Returns the process id that was."""
        if (server := self._server(name)) is not None:
            pid = server.pid
            server.kill()
            server.start()
            return pid
        program = self.programs[name]
        pid = program.pid
        if program.process is not None:
            program.process.kill()
            program.process.wait()
        self._begin(program)
        return pid

    def term(self, name: str) -> int:
        """SIGTERM; `watch` starts it again when it has ended, which may take it a while."""
        if (server := self._server(name)) is not None:
            pid = server.pid
            server.stop()
            server.start()
            return pid
        program = self.programs[name]
        if program.process is not None and program.up:
            program.process.terminate()
            program.leaving_since = time.monotonic()
        return program.pid

    def renew(self, name: str) -> bool:
        """SIGTERM, and start it again as a program of `root`; whether it ended by itself. Others are watched."""
        program = self.programs[name]
        stubborn = self.end([name])
        program.root, program.wanted = self.root, True
        self._begin(program)
        return not stubborn

    def pause(self, pid: int) -> None:
        """SIGSTOP for three seconds: it is there, and does not answer."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            try:
                self.wait(PAUSE_S)
            finally:
                os.kill(pid, signal.SIGCONT)

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
        return {"database": self.database, "redis": self.redis}.get(name)

    def hold(self, name: str) -> None:
        """SIGKILL a program and leave it down until `resume`."""
        program = self.programs[name]
        program.wanted = False
        self._cut(program)

    def resume(self, name: str) -> None:
        """Start again what was held."""
        self.programs[name].wanted = True
        self._begin(self.programs[name])

    # --- ending ----------------------------------------------------------------------------------------------

    def end(self, names: list[str], *, seconds: float = POLITE_S) -> list[str]:
        """Ask them to end and wait, watching the others; the names of those that had to be killed."""
        for name in names:
            self.programs[name].wanted = False
            self.term(name)
        self.until(lambda: not any(self.programs[name].up for name in names), seconds=seconds)
        stubborn = [name for name in names if self.programs[name].up]
        for name in stubborn:
            self._cut(self.programs[name])
        return stubborn

    def _cut(self, program: Program) -> None:
        program.wanted = False
        if program.process is not None and program.up:
            program.process.kill()
            program.process.wait()

    def stop(self) -> list[int]:
        """Everything, at once. The process ids of what was left of it: there should be none."""
        for program in self.programs.values():
            self._cut(program)
        self.redis.stop()
        self.database.stop()
        limit = time.monotonic() + 3.0
        while (left := supervisor.processes_of(self.folder)) and time.monotonic() < limit:
            time.sleep(STEP_S)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    def tails(self, lines: int = 40) -> str:
        """The ends of all logs."""
        logs = [*sorted((self.folder / "log").glob("*.log")), self.database.log, self.redis.log]
        return "\n".join(line for log in logs if log.exists() for line in [f"--- {log.name}", *_end_of(log, lines)])


def _end_of(log: Path, lines: int) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
