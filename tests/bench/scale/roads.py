"""Committed ticks a second, what a tick costs and how long it takes, with more workers and ingest servers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.bench import latency, throughput
from tests.bench.stack import Stack

WORKERS, INGEST_SERVERS = (1, 2, 4), (1, 2)


@dataclass(frozen=True, slots=True)
class Road:
    """So many workers and ingest servers: as fast as it goes in batches of 1,000, then 5,000 ticks a second in batches
    of 12. CPU in microseconds a tick by kind of process, waits in ms."""

    workers: int
    ingest_servers: int
    committed_per_s: float
    cpu_us: dict[str, float]
    rss_mib: float
    p50: float
    p99: float
    small_cpu_us: dict[str, float]


def run(database: str, *, seconds: float) -> list[Road]:
    """Every combination on one stack, the tables of the day emptied before each."""
    found = []
    with Stack(database, workers=WORKERS[0]) as stack:
        for servers in INGEST_SERVERS:
            for workers in WORKERS:
                stack.change(workers=workers, ingest_servers=servers)
                found.append(_measured(stack, seconds))
                one = found[-1]
                print(
                    f"{workers} workers, {servers} ingest servers: {one.committed_per_s:,.0f} ticks/s,"
                    f" {cost(one.cpu_us):.1f} us a tick; in batches of {latency.BATCH_ROWS} p50 {one.p50} ms, p99"
                    f" {one.p99} ms, {cost(one.small_cpu_us):.0f} us a tick",
                    flush=True,
                )
    return found


def _measured(stack: Stack, seconds: float) -> Road:
    stack.truncate()
    fast = throughput.along_the_road(stack, seconds)
    stack.truncate()
    small = asyncio.run(latency.measure(stack, seconds))
    return Road(
        workers=stack.workers,
        ingest_servers=len(stack.ingest_ports),
        committed_per_s=fast.committed_per_s,
        cpu_us=fast.cpu_us,
        rss_mib=fast.rss_mib,
        p50=small.p50,
        p99=small.p99,
        small_cpu_us=small.cpu_us,
    )


def cost(cpu_us: dict[str, float]) -> float:
    """Of everything but the terminals, which are a program of the benchmark."""
    return sum(us for kind, us in cpu_us.items() if kind != "terminals")
