"""One database: what each kind of request costs its web process, how many requests and messages a second it serves."""

from __future__ import annotations

import datetime
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marketdata.launcher import child_process
from tests.bench import rest
from tests.bench.api import clients, listeners
from tests.bench.api.cases import CASES, FEED, Case
from tests.bench.rest import ROOT, Web
from tests.servers.process import temporary_folder

DAPHNE, OTHER = "Daphne", "uvicorn"
OTHER_PROGRAM = (
    "-m", "uvicorn", "api.asgi:application", "--lifespan=off", "--no-access-log", "--log-level=warning",
    "--loop=uvloop", "--http=httptools", "--no-proxy-headers",
)  # fmt: skip
CLIENTS = (1, 4, 16)
SOCKETS = (50, 200)
BATCH_TRADES = 500
AHEAD = 4  # batches that some listener does not have yet, so that nobody's send queue overflows
STALLED_S = 20.0  # without any progress of the listeners: it is given up
WARM = 10
# Many sockets of one key and one address: what is measured is not the limits.
_LIMITS = (
    "WS_MAX_PER_KEY", "WS_MAX_CONNECTIONS", "WS_MAX_UNAUTHENTICATED", "WS_MAX_UNAUTHENTICATED_OF_ADDRESS",
    "WEB_MAX_CONNECTIONS", "WEB_MAX_CONNECTIONS_OF_ADDRESS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """One kind of request by one client: CPU of the web process (median, 10th and 90th percentile) and the time until
    the answer is there, in ms; bytes of the answer."""

    case: str
    cpu: float
    cpu_low: float
    cpu_high: float
    p50: float
    p99: float
    size: int
    requests: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Answers a second to so many clients at once; `cpu` is ms of all web processes for one, `clients_cpu` of the
    clients."""

    server: str
    processes: int
    clients: int
    per_s: float
    p50: float
    p99: float
    cpu: float
    clients_cpu: float


@dataclass(frozen=True, slots=True)
class FanOut:
    """Messages a second that arrived at all sockets together; `cpu_us` is of the web processes for one of them."""

    server: str
    processes: int
    sockets: int
    trades: int
    per_s: float
    cpu_us: float


@dataclass(slots=True)
class Measured:
    """What was found on one database."""

    database: str
    costs: list[Cost]
    rates: list[Rate] = field(default_factory=list)
    fan_out: list[FanOut] = field(default_factory=list)


def run(database: str, *, seconds: float, throughput: bool) -> Measured:
    """Measure on servers of its own; once a process, for Django is set up for one database. RuntimeError when an answer
    is not a good one, or messages do not arrive."""
    folder = temporary_folder("api")
    with rest.servers(database, folder) as environment:
        os.environ.update({**environment, **dict.fromkeys(_LIMITS, "100000")})
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        from tests.bench.api import market

        call_command("migrate", verbosity=0, skip_checks=True)
        began = time.monotonic()
        headers = market.fill()
        print(f"{database}: filled in {time.monotonic() - began:.0f} s", flush=True)
        first = market.first_date()
        connections.close_all()
        bench = _Bench(folder, headers, seconds)
        with bench.webs(1) as webs:
            found = Measured(database, [_told(_cost(webs[0], case, first, seconds)) for case in CASES])
        if throughput:
            for server, processes in ((DAPHNE, 1), (DAPHNE, 2), (OTHER, 1)):
                with bench.webs(processes, server) as webs:
                    for number in CLIENTS:
                        found.rates.append(_told(bench.rate(server, webs, CASES[0].path(first), number)))
                    for sockets in SOCKETS:
                        found.fan_out.append(_told(bench.fan_out(server, webs, sockets)))
    return found


def _cost(web: Web, case: Case, first: datetime.date, seconds: float) -> Cost:
    requests = max(20, round(case.requests * min(1.0, seconds / 4)))
    for number in range(WARM):
        size = len(web.get(case.path(first, number)))
    cpu, waits = [], []
    for number in range(WARM, WARM + requests):
        question, before, began = case.path(first, number), web.cpu_ms(), time.perf_counter()
        web.get(question)
        waits.append((time.perf_counter() - began) * 1e3)
        cpu.append(web.cpu_ms() - before)
    tenths, hundredths = statistics.quantiles(cpu, n=10), statistics.quantiles(waits, n=100)
    return Cost(
        case.name,
        statistics.median(cpu),
        tenths[0],
        tenths[-1],
        statistics.median(waits),
        hundredths[-1],
        size,
        requests,
    )


class _Bench:
    """Web servers, and processes that ask and listen."""

    def __init__(self, folder: Path, headers: dict[str, str], seconds: float) -> None:
        self._folder, self._headers, self._seconds = folder, headers, seconds
        self._started, self._batches = 0, 0

    @contextmanager
    def webs(self, count: int, server: str = DAPHNE) -> Iterator[list[Web]]:
        """So many web processes beside each other, as behind a proxy that hands requests to them in turn."""
        program = ("manage.py", "runweb") if server == DAPHNE else OTHER_PROGRAM
        webs: list[Web] = []
        try:
            for _ in range(count):
                self._started += 1
                log = self._folder / f"web{self._started}.log"
                webs.append(Web(ROOT, dict(os.environ), log, self._headers, program))
            yield webs
        finally:
            for web in webs:
                web.stop()

    def rate(self, server: str, webs: list[Web], path: str, number: int) -> Rate:
        """Let so many clients ask the same all the time."""
        for web in webs:
            for _ in range(WARM):
                web.get(path)
        before = sum(web.cpu_ms() for web in webs)
        plan = clients.Plan([web.port for web in webs], path, self._headers, number, self._seconds)
        process = _start("clients", plan)
        output, _ = process.communicate(timeout=self._seconds + 2 * clients.WAIT_S)
        if process.returncode:
            raise RuntimeError(f"{number} clients of {server} ended with status {process.returncode}")
        found = clients.Answered(**json.loads(output))
        cpu = sum(web.cpu_ms() for web in webs) - before
        hundredths = statistics.quantiles(found.waits_ms, n=100)
        return Rate(
            server, len(webs), number, found.answers / found.seconds, statistics.median(found.waits_ms),
            hundredths[-1], cpu / found.answers, found.cpu_s * 1e3 / found.answers,
        )  # fmt: skip

    def fan_out(self, server: str, webs: list[Web], sockets: int) -> FanOut:
        """Commit batches of trades, as fast as all sockets have what was committed."""
        from tests.bench.api import market

        batches = max(10, round(20 * min(1.0, self._seconds / 4)))
        trades = batches * BATCH_TRADES
        plan = listeners.Plan([web.port for web in webs], FEED, self._headers, sockets, trades)
        with _Progress(_start("listeners", plan), f"{sockets} sockets of {server}") as progress:
            progress.until_ready()
            before, began = sum(web.cpu_ms() for web in webs), time.perf_counter()
            for number in range(batches):
                progress.until((number - AHEAD) * BATCH_TRADES)
                self._batches += 1
                market.trade(self._batches, BATCH_TRADES)
            progress.until(trades)
            seconds, cpu = time.perf_counter() - began, sum(web.cpu_ms() for web in webs) - before
        messages = trades * sockets
        return FanOut(server, len(webs), sockets, trades, messages / seconds, cpu * 1e3 / messages)


class _Progress:
    """What the listeners tell. RuntimeError when they tell nothing new for STALLED_S, or end too early."""

    def __init__(self, process: subprocess.Popen[str], who: str) -> None:
        self._process, self._who = process, who
        self._lines: queue.Queue[str] = queue.Queue()
        self._trades = 0
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> _Progress:
        self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._process.wait(STALLED_S if error[0] is None else 0.1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def until_ready(self) -> None:
        while self._line(listeners.OPEN_S) != "ready":
            pass

    def until(self, trades: int) -> None:
        """Until every one of them has so many."""
        while self._trades < trades:
            self._trades = int(self._line(STALLED_S))

    def _line(self, seconds: float) -> str:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise RuntimeError(f"{self._who}: nothing for {seconds:g} s, all have {self._trades} trades") from None
        if not line:
            raise RuntimeError(f"{self._who} ended when all had {self._trades} trades")
        return line.strip()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")


def _start(what: str, plan: clients.Plan | listeners.Plan) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        child_process.command([sys.executable, "-m", f"tests.bench.api.{what}"]), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if process.stdin is None:
        raise RuntimeError("a process without standard input")
    process.stdin.write(json.dumps(asdict(plan)) + "\n")
    process.stdin.close()
    process.stdin = None  # communicate() would flush it again
    return process


def _told(found: Any) -> Any:
    shown: Sequence[str] = [
        f"{name} {value:.2f}" if isinstance(value, float) else f"{value}" for name, value in asdict(found).items()
    ]
    print("  " + ", ".join(shown), flush=True)
    return found
