"""The road as it runs: ingest server and worker as processes, on the database that Django points at."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from marketdata.models import Client, Source
from tests import database
from tests.fakes import FakeTerminal
from tests.servers import free_port
from tests.servers.process import spawn
from tests.waiting import until

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
QUEUES = "raw_market_data,processed-data,feed-recovery,chart-data,statistics-data,maintenance"


class Road:
    """`with Road(folder, redis_url) as road:` nothing runs yet; `environment` goes to each process that is started."""

    def __init__(self, folder: Path, redis_url: str, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._terminals: list[FakeTerminal] = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics").mkdir(exist_ok=True)
        self._environment = {
            "DATABASE_URL": database.url(),
            "REDIS_URL": redis_url,
            "BROKER_URL": redis_url,
            "INGEST_PORT": str(self.port),
            "METRICS_DIR": str(folder / "metrics"),
            "INGEST_REDRIVE_S": "1",
            "LOG_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for terminal in self._terminals:
            terminal.close()
        for name in ("ingest", "worker"):  # pytest shows this only of a test that failed
            print(f"--- the end of {name}.log", *self.tail(name).splitlines()[-40:], sep="\n")
        # What is still in flight has been looked at by now; without a worker a server would wait for it.
        for name in list(self.processes):
            self.kill(name)

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a Python program of ours, with some more in its environment; it dies with the tests."""
        variables = {**os.environ, **self._environment, **environment}
        self.processes[name] = spawn([sys.executable, *command], environment=variables, log=self.log(name), cwd=ROOT)
        return self.processes[name]

    def ingest(self) -> None:
        """Start the ingest server and wait until it listens."""
        self.start("ingest", ["manage.py", "runingest"])
        self.until(self._listens, seconds=60, what="ingest server")

    def worker(self, *options: str, **environment: str) -> None:
        """Start the worker for ticks, or Celery's with these options, and wait until it takes tasks."""
        before = self.tail("worker").count(" ready.")
        itself = [f"-n{self.folder.name}@%h", "-Q", QUEUES, "-l", "INFO"]
        if options:
            quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            self.start(
                "worker", ["-m", "celery", "-A", "celery_app", "worker", *itself, *quiet, *options], **environment
            )
        else:
            self.start("worker", ["manage.py", "runworkers", "-c", "1", *itself], **environment)
        self.until(lambda: self.tail("worker").count(" ready.") > before, seconds=60, what="worker")

    def kill(self, name: str) -> None:
        """SIGKILL the process and its children, which are in a session of their own."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str, *, seconds: float = 240.0) -> int:
        """SIGTERM, and wait; the exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def tail(self, name: str) -> str:
        """What a process has written."""
        return self.log(name).read_text(encoding="utf-8", errors="replace") if self.log(name).exists() else ""

    def _listens(self) -> bool:
        if self.processes["ingest"].poll() is not None:
            raise RuntimeError(f"the ingest server ended:\n{self.tail('ingest')}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    # --- terminals --------------------------------------------------------------------------------------------------

    def terminal(self, client: str, *, source: str = "REPLAY", **options: Any) -> FakeTerminal:
        """Connect as a registered client; registers it (once). Closed with the road at the latest."""
        secret = options.pop("secret", None) or secret_of(client, source)
        terminal = FakeTerminal(self.port, client=client, secret=secret, source=source, **options)
        self._terminals.append(terminal)
        return terminal

    def until(self, ready: Callable[[], T], *, seconds: float, what: str) -> T:
        """As `tests.waiting.until`, while the road's terminals say that they live."""

        def asked() -> T:
            for terminal in self._terminals:
                terminal.stay()
            return ready()

        return until(asked, seconds=seconds, what=what)

    def meanwhile(self, ask: Callable[[], T]) -> T:
        """What it answers within 300 s, in a thread of its own, while the road's terminals say that they live."""
        asking: Future[T] = Future()

        def answer() -> None:
            try:
                asking.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - it is raised where it was asked
                asking.set_exception(error)

        threading.Thread(target=answer, daemon=True).start()
        self.until(asking.done, seconds=300, what="an answer")
        return asking.result()

    # --- metrics ----------------------------------------------------------------------------------------------------

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all processes, 0 when it was never touched."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.folder / "metrics"))  # type: ignore[no-untyped-call]  # untyped upstream
        value = registry.get_sample_value(name, labels)
        return 0.0 if value is None else value


_secrets: dict[str, str] = {}


def secret_of(name: str, source: str = "REPLAY", **fields: Any) -> str:
    """The secret of a client that may send anything, also what others send, and register symbols; made when it is not
    there."""
    if not Client.objects.filter(name=name).exists():
        rights = {"may_send": True, "may_register": True, "feeds": "*", "shares_feeds": True, **fields}
        _, _secrets[name] = Client.objects.create_with_secret(
            name=name, source=Source.objects.get(code=source), **rights
        )
    return _secrets[name]
