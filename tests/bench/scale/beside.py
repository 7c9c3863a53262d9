"""What reading and writing cost beside an archive. To be imported once Django is set up."""

from __future__ import annotations

import asyncio
import datetime
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import latency, throughput
from tests.bench.processes import family_cpu_s
from tests.bench.scale.archive import Archive, Asked, clear_today, table_bytes
from tests.bench.scale.history import FEED, NEWEST_DAYS, REQUESTS, ROUNDS, SYMBOLS, Point, Read
from tests.bench.scale.roads import cost
from tests.bench.stack import Stack
from tests.servers import MariaDB
from tests.waiting import until

CLEAN_PAGES = 200  # of 65,536
SETTLED_S = 300.0
Path = Callable[[random.Random, int], str]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of request: `path` makes the address of its nth question, `before` one for the same pages of the database,
    asked before the question is measured."""

    path: Path
    before: Path | None = None


def measure(stack: Stack, filled: Archive, seconds: float) -> Point:
    """Requests, then the load in large and in small batches; what came of the load is removed."""
    _settle(stack)
    with Asked(stack) as asked:
        _warm(asked, filled)
        reads = _read(stack, asked, cases(filled.dates))
    clear_today(stack)
    fast = throughput.along_the_road(stack, seconds)
    clear_today(stack)
    small = asyncio.run(latency.measure(stack, seconds))
    clear_today(stack)
    point = Point(
        rows=filled.rows,
        days=len(filled.dates),
        reads=reads,
        committed_per_s=fast.committed_per_s,
        cpu_us=fast.cpu_us,
        p50=small.p50,
        p99=small.p99,
        small_cpu_us=small.cpu_us,
        bytes=table_bytes(stack),
        rows_of=filled.rows_of(),
    )
    print(
        f"{point.rows:,} rows in {point.days} days: "
        + ", ".join(f"{one.case} {one.cpu_ms:.2f} ms ({one.p50_ms:.1f} ms)" for one in reads)
        + f"; {point.committed_per_s:,.0f} ticks/s, {cost(point.cpu_us):.1f} us a tick, in small batches p50"
        f" {point.p50} ms, {cost(point.small_cpu_us):.0f} us",
        flush=True,
    )
    return point


def cases(dates: list[datetime.date]) -> dict[str, Case]:
    """Kinds of requests by name. `dates` have rows, oldest first."""
    newest, oldest = dates[-NEWEST_DAYS:], dates

    def bounded(resource: str, of: list[datetime.date], limit: int, more: str = "") -> Path:
        def path(chance: random.Random, number: int) -> str:
            day = chance.choice(of)
            code = f"H{chance.randrange(SYMBOLS):05d}"
            start = f"{day.isoformat()}T00:00:00.{number:06d}Z"
            end = f"{(day + datetime.timedelta(days=1)).isoformat()}T00:00:00Z"
            return f"/v2/stocks/{code}/{resource}?feed={FEED}&start={start}&end={end}&limit={limit}{more}"

        return path

    def newest_of(resource: str, limit: int, more: str = "") -> Path:
        def path(chance: random.Random, number: int) -> str:
            code = f"H{chance.randrange(SYMBOLS):05d}"
            start = f"{dates[0].isoformat()}T00:00:00.{number:06d}Z"
            return f"/v2/stocks/{code}/{resource}?feed={FEED}&start={start}&sort=desc&limit={limit}{more}"

        return path

    def snapshots(chance: random.Random, _number: int) -> str:
        codes = ",".join(f"H{at:05d}" for at in sorted(chance.sample(range(SYMBOLS), 100)))
        return f"/v2/stocks/snapshots?symbols={codes}&feed={FEED}"

    return {
        "the newest 500 trades": Case(newest_of("trades", 500)),
        "500 trades of one of the newest days": Case(bounded("trades", newest, 500)),
        "500 trades of any day, asked for before": Case(bounded("trades", oldest, 500), bounded("trades", oldest, 499)),
        "500 trades of any day": Case(bounded("trades", oldest, 500)),
        "the newest 300 candles of a minute": Case(newest_of("bars", 300, "&timeframe=1Min")),
        "300 candles of a minute of any day": Case(bounded("bars", oldest, 300, "&timeframe=1Min")),
        "the newest 4 candles of a day": Case(newest_of("bars", 4, "&timeframe=1Day")),
        "snapshots of 100 symbols": Case(snapshots),
    }


def _settle(stack: Stack) -> None:
    """Wait until the database has written what the loading left in memory, which is no cost of reading."""
    time.sleep(3.0)
    if not isinstance(stack.database, MariaDB):
        return
    server = stack.database
    server.sql("SET GLOBAL innodb_max_dirty_pages_pct = 0")
    try:
        until(lambda: _dirty_pages(server) < CLEAN_PAGES, seconds=SETTLED_S, what="pages are written", every=1.0)
    finally:
        server.sql("SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT")


def _dirty_pages(server: MariaDB) -> int:
    return int(server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'").split()[-1])


def _warm(asked: Asked, filled: Archive) -> None:
    """Ask for the newest rows of every symbol: they were stored first here and the database no longer has them in
    memory, as it has where days are stored as they pass."""
    start = f"{filled.dates[0].isoformat()}T00:00:00Z"
    for code in filled.codes:
        for resource, limit, more in (("trades", 500, ""), ("bars", 300, "&timeframe=1Min")):
            asked.get(f"/v2/stocks/{code}/{resource}?feed={FEED}&start={start}&sort=desc&limit={limit}{more}")


def _read(stack: Stack, asked: Asked, kinds: dict[str, Case]) -> list[Read]:
    """Each kind in turn, in rounds: what else the machine does for a moment is in one round of them."""
    pids = {"web": stack.processes["web"].pid, "database": stack.database.pid}
    waits: dict[str, list[float]] = {name: [] for name in kinds}
    used: dict[str, list[float]] = {name: [] for name in kinds}
    told = dict.fromkeys(kinds, 0)
    for turn in range(ROUNDS + 1):  # the first until connections are made and caches are filled
        for name, case in kinds.items():
            numbers = range(turn * REQUESTS, (turn + 1) * REQUESTS)
            if case.before is not None:
                for number in numbers:
                    asked.get(case.before(random.Random(f"{name} {number}"), number))
            paths = [case.path(random.Random(f"{name} {number}"), number) for number in numbers]
            before = family_cpu_s(pids)
            for path in paths if turn else paths[: REQUESTS // 4]:
                began = time.perf_counter()
                rows = asked.get(path)
                if turn:
                    told[name] += rows
                    waits[name].append((time.perf_counter() - began) * 1e3)
            if turn:
                used[name].append(sum(family_cpu_s(pids).values()) - sum(before.values()))
    if empty := [name for name, rows in told.items() if not rows]:
        raise RuntimeError(f"{empty[0]}: nothing was told")
    return [
        Read(
            name,
            statistics.median(used[name]) * 1e3 / REQUESTS,
            statistics.median(waits[name]),
            statistics.quantiles(waits[name], n=10)[-1],
            told[name] / (ROUNDS * REQUESTS),
        )
        for name in kinds
    ]
