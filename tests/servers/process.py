"""One private server process: started, waited for, killed, started again on the same port and data, stopped.

The kernel ends the server when the process that started it dies, so even a killed test run leaves nothing behind.
"""

import atexit
import os
import random
import shutil
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from marketdata.launcher import child_process
from tests.waiting import until

# Below the range the kernel takes for outgoing connections, so that a port is still free when its server comes back.
# The suites of two databases may run at the same time, and each in several processes (pytest's -n): each has ports of
# its own, for one that is promised is not listened on for a while.
_SUITE = {"mariadb": 1, "postgresql": 2}.get(os.environ.get("DB", ""), 0)
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_FIRST = 15_000 + 5_600 * _SUITE + 1_400 * _PROCESS
PORTS = range(_FIRST, _FIRST + 1_400)
READY_SECONDS = 60.0
STOP_SECONDS = 60.0

# A tether ends with the thread that made it (marketdata/launcher/child_process.py). This one lives as long as the
# interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="servers")


_promised: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on now, and that this process did not ask for before."""
    for port in random.sample(PORTS, len(PORTS)):
        if port in _promised:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _promised.add(port)
            return port
    raise RuntimeError(f"no free port between {PORTS.start} and {PORTS.stop}")


_MEMORY = Path("/dev/shm")
_ROOM = 6 << 30  # two servers of a suite need less than half of it


def temporary_folder(purpose: str, *, in_memory: bool = False) -> Path:
    """A new folder; those that killed processes could not remove go now. With `in_memory`, and where there is room for
    it, fsync costs nothing there: for tests that kill processes, not machines."""
    base = Path(tempfile.gettempdir())
    for folder in [*base.glob("naru-srv-*"), *_MEMORY.glob("naru-srv-*")]:
        if is_left_behind(folder):
            shutil.rmtree(folder, ignore_errors=True)
    if in_memory and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        base = _MEMORY
    return Path(tempfile.mkdtemp(prefix=f"naru-srv-{os.getpid()}-{_start_of(os.getpid())}-{purpose}-", dir=base))


def keep(folder: Path) -> Path:
    """Move a folder of `temporary_folder` to where the next one does not take it for left behind; where it is now."""
    home = Path(tempfile.mkdtemp(prefix="naru-drill-")) / "kept"
    shutil.move(folder, home)
    return home


def is_left_behind(folder: Path) -> bool:
    """Whether the process that made this folder of `temporary_folder` is gone: nobody has its number, or somebody who
    started at another time."""
    _, _, owner, start, *_ = [*folder.name.split("-"), ""]
    if not owner.isdigit():
        return False
    now = _start_of(int(owner))
    return now is None or (start.isdigit() and int(start) != now)


def _start_of(pid: int) -> int | None:
    """When a process started, in ticks of the kernel since the machine did; None if there is none of this number."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def spawn(command: list[str], *, environment: dict[str, str], log: Path, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a process that dies with this one, in a session of its own so that Ctrl-C does not reach it first."""

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                child_process.command(command),
                env=environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    return _spawner.submit(start).result()


class Started(ABC):
    """What runs from the beginning to the end of a `with`, and is stopped as well if it does not start."""

    @abstractmethod
    def start(self) -> Self:
        """Start it, and return when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it, whether it started or not."""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Server(Started):
    """What every private server does; a subclass says how it is prepared, started and asked."""

    name: str
    host = "127.0.0.1"
    """Where it listens, and clients find it."""
    within: Sequence[str] = ()
    """What its command begins with: another host's namespace, for instance."""
    ready_s = READY_SECONDS

    def __init__(self, folder: Path | str | None = None, *, port: int | None = None) -> None:
        self._own_folder = folder is None
        self.folder = Path(folder or temporary_folder(self.name)).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.log = self.folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, password included."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the data folder unless it is there already."""

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, str]]:
        """The command line and its environment."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether a client would be served now."""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it, again or for the first time, and return when it answers."""
        if self.running:
            return self
        self._prepare()
        command, environment = self._command()
        self._process = spawn([*self.within, *command], environment=environment, log=self.log, cwd=self.folder)
        atexit.register(self.kill)
        try:
            until(self._answers_or_ended, seconds=self.ready_s, what=f"{self.name} answers")
        except (TimeoutError, RuntimeError):
            self.kill()
            raise
        return self

    def _answers_or_ended(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended while starting, status {self._process.returncode}:\n{self.tail()}")
        return self._answers()

    def kill(self) -> None:
        """SIGKILL: no flush, no goodbye. Data and port are kept for the next `start`."""
        atexit.unregister(self.kill)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Ask it to end, insist after a while, and remove a folder that was not the caller's."""
        atexit.unregister(self.kill)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
