"""What a request by REST costs the web process, in ms of CPU: 1,000 candles, one candle, 1,000 trades, 1,000 symbols.

`python -m tests.bench.rest [--database mariadb] [FOLDER ...]` starts the web server of each folder (a checkout; this
one when none is given) on one private database and asks them in turns, so that before and after are measured in one
run. Their answers must be the same to the byte.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import os
import secrets
import signal
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from terminals import wire
from tests.servers import MariaDB, PostgreSQL, Redis, free_port
from tests.servers.process import spawn, temporary_folder
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).with_name("rest.md")
SYMBOL = "005930"
SYMBOLS = 1_000
MINUTES = 1_200
TRADES_A_MINUTE = 3
BARS = "1,000 candles"
CASES = {
    BARS: f"/v2/stocks/{SYMBOL}/bars?limit=1000",
    "1 candle": f"/v2/stocks/{SYMBOL}/bars?limit=1",
    "1,000 trades": f"/v2/stocks/{SYMBOL}/trades?limit=1000",
    "1,000 symbols": "/v2/symbols?limit=1000",
}
IN_TURN = 20
REQUESTS = 200


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of the web process for one kind of request, in ms: median, 10th and 90th percentile."""

    case: str
    folder: str
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Requests:
    """What the kinds of requests cost on one database, by checkout."""

    database: str
    requests: int
    costs: list[Cost]


class Web:
    """A running web server, the product's own unless another `program` is named, and one connection to it."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        log: Path,
        headers: dict[str, str],
        program: Sequence[str] = ("manage.py", "runweb"),
    ) -> None:
        self.folder, self._headers, self.port = folder, headers, free_port()
        self._process = spawn(
            [sys.executable, *program, "--port", str(self.port)],
            environment={**environment, "PYTHONPATH": str(folder)},
            log=log,
            cwd=folder,
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        until(lambda: self._answers(log), seconds=60, what=f"the web server of {folder}, {log}", every=0.2)

    def _answers(self, log: Path) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the web server of {self.folder} ended at once:\n{log.read_text()}")
        try:
            self.get("/healthz")
            return True
        except OSError:
            self._connection.close()
            return False

    def get(self, path: str) -> bytes:
        """The body of an answer that must be a good one."""
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{self.folder}: {path} {response.status} {content[:500]!r}")
        return content

    def cpu_ms(self) -> float:
        """User and system time of all its threads so far; schedstat counts nanoseconds, /proc/PID/stat 10 ms."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def stop(self) -> None:
        self._connection.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)


@contextmanager
def servers(database: str, folder: Path) -> Iterator[dict[str, str]]:
    """Private servers, and the environment that names them."""
    redis = Redis(folder / "redis")
    redis.start()
    kinds: dict[str, type[MariaDB | PostgreSQL]] = {"mariadb": MariaDB, "postgresql": PostgreSQL}
    started = kinds[database](folder / database) if database in kinds else None
    if started is not None:
        started.start()
    try:
        yield {
            "DATABASE_URL": started.url if started is not None else f"sqlite:///{folder / 'naru.sqlite3'}",
            "REDIS_URL": redis.url,
            "BROKER_URL": redis.url,
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(folder),
            "METRICS_DIR": "",
            "LOG_LEVEL": "WARNING",
            "API_RATE_LIMIT": "10000000",
            "DJANGO_SETTINGS_MODULE": "marketdata.settings",
        }
    finally:
        if started is not None:
            started.stop()
        redis.stop()


def _fill() -> dict[str, str]:
    """Symbols, a day's trades of one of them with a gap, and the headers of a key that may read."""
    from api.auth import authentication
    from marketdata.models import Client, Gap, Symbol
    from marketdata.storage import storage
    from tests import builders, market

    codes = [SYMBOL, *(f"{number:06d}" for number in range(900_000, 900_000 + SYMBOLS))]
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX", primary_feed="krx") for code in codes])
    rows = [
        {
            "symbol": SYMBOL,
            "time_us": market.NINE_US + number * market.MINUTE_US // TRADES_A_MINUTE,
            "tick_id": market.tick_id(1 + number // 1000, number % 1000),
            "price": market.price(str(70_000 + number % 50 * 100)),
            "size": market.size(str(1 + number % 7)),
        }
        for number in range(MINUTES * TRADES_A_MINUTE)
    ]
    builders.commit(storage(), market.ticks(rows))
    lost_us = market.NINE_US + 7 * market.MINUTE_US
    Gap.objects.create(batch=1, feed="krx", from_us=lost_us, to_us=lost_us, rows=3, reason="disk full")
    client, secret = Client.objects.create_with_secret(name="bench", may_read=True)
    client.last_seen_at = datetime.datetime.now(datetime.UTC)
    client.save()
    return {authentication.KEY_HEADER: client.key_id, authentication.SECRET_HEADER: secret}


def measure(webs: list[Web], path: str, requests: int) -> list[list[float]]:
    """ms of CPU of each request, by server; IN_TURN requests at a time."""
    answers = {web.get(path) for web in webs for _ in range(10)}  # until connections are made and caches are filled
    if len(answers) != 1:
        raise RuntimeError(f"{path}: the answers differ")
    found: list[list[float]] = [[] for _ in webs]
    while len(found[0]) < requests:
        for web, costs in zip(webs, found, strict=True):
            for _ in range(IN_TURN):
                before = web.cpu_ms()
                web.get(path)
                costs.append(web.cpu_ms() - before)
    return found


def run(database: str, *, requests: int = REQUESTS, folders: list[Path] | None = None) -> Requests:
    """Measure on servers of its own; once a process, for Django is set up for one database. RuntimeError when the
    checkouts do not answer the same."""
    folder = temporary_folder("rest")
    with servers(database, folder) as environment:
        os.environ.update(environment)
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0, skip_checks=True)
        headers = _fill()
        connections.close_all()
        webs = [
            Web(tree.resolve(), dict(os.environ), folder / f"web{number}.log", headers)
            for number, tree in enumerate(folders or [ROOT])
        ]
        found = []
        print(f"{database}, ms of CPU of the web process a request: median (10th to 90th percentile)", flush=True)
        for case, path in CASES.items():
            for web, costs in zip(webs, measure(webs, path, requests), strict=True):
                tenths = statistics.quantiles(costs, n=10)
                one = Cost(case, str(web.folder), statistics.median(costs), tenths[0], tenths[-1])
                print(f"{case:14s} {one.folder}: {one.median:.2f} ({one.low:.2f} to {one.high:.2f})", flush=True)
                found.append(one)
        for web in webs:
            web.stop()
    return Requests(database, requests, found)


def section(measured: list[Requests], names: dict[str, str]) -> str:
    """The part of docs/benchmarks.md that tells of it; `names` are the databases' for people."""
    cells = [
        f"| {names[one.database]} | {cost.case} | {cost.median:.2f} ({cost.low:.2f} to {cost.high:.2f}) |"
        for one in measured
        for cost in one.costs
    ]
    return TEMPLATE.read_text(encoding="utf-8").format(requests=measured[0].requests, table="\n".join(cells))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rest", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "mariadb", "postgresql"), default="sqlite")
    parser.add_argument(
        "--requests", type=wire.options.between(1, 10**6), default=REQUESTS, help=f"of each kind ({REQUESTS})"
    )
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT], metavar="FOLDER", help="checkouts to compare")
    given = parser.parse_args()
    run(given.database, requests=given.requests, folders=given.folders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
