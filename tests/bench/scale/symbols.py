"""What more symbols cost: the same ticks spread over 300 and 4,000 of them, with the statistics, caches and the
timetable that a symbol brings along, and what Redis keeps of each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import redis

from tests.bench import latency, rows, throughput
from tests.bench.scale.roads import cost
from tests.bench.stack import Stack

SYMBOLS = (300, 1_000, 4_000)
WORKERS = 2
FEED = "naru:feed:sim"


@dataclass(frozen=True, slots=True)
class Symbols:
    """So many symbols: 5,000 ticks a second in batches of 12 with all upkeep, then as fast as it goes. CPU in
    microseconds a tick by kind of process, waits in ms; what Redis keeps in bytes, by the first two words of the key
    where they are many, the feed a tick."""

    symbols: int
    p50: float
    p99: float
    small_cpu_us: dict[str, float]
    committed_per_s: float
    cpu_us: dict[str, float]
    redis_bytes: dict[str, int]
    feed_bytes_a_tick: float


def run(database: str, number: int, *, seconds: float) -> Symbols:
    """So many symbols. Once a process, for Django is set up once."""
    with Stack(database, workers=WORKERS, symbols=spread(number), with_upkeep=True) as stack:
        small = asyncio.run(latency.measure(stack, seconds))
        kept, a_tick = _kept(stack)
        stack.truncate()
        fast = throughput.along_the_road(stack, seconds)
    found = Symbols(
        symbols=number,
        p50=small.p50,
        p99=small.p99,
        small_cpu_us=small.cpu_us,
        committed_per_s=fast.committed_per_s,
        cpu_us=fast.cpu_us,
        redis_bytes=kept,
        feed_bytes_a_tick=a_tick,
    )
    print(
        f"{number:,} symbols: p50 {small.p50} ms, p99 {small.p99} ms, {cost(small.cpu_us):.0f} us a tick; as fast as it"
        f" goes {fast.committed_per_s:,.0f} ticks/s, {cost(fast.cpu_us):.1f} us a tick; Redis"
        f" {sum(kept.values()) / 1e6:.1f} MB",
        flush=True,
    )
    return found


def spread(number: int) -> list[list[str]]:
    """The codes of each terminal, the same number for each."""
    each = number // rows.TERMINALS
    return [[f"{terminal:02d}{at:04d}" for at in range(each)] for terminal in range(rows.TERMINALS)]


def _kept(stack: Stack) -> tuple[dict[str, int], float]:
    with redis.Redis.from_url(stack.redis.url) as client:
        kept: dict[str, int] = defaultdict(int)
        for key in client.scan_iter(count=1000):
            name = ":".join(key.decode().split(":")[:2])
            kept[name] += int(client.memory_usage(key, samples=0) or 0)
        told: Any = client.xinfo_stream(FEED)
        ticks = int(told["last-entry"][0].split(b"-")[0]) - int(told["first-entry"][0].split(b"-")[0])
    return dict(sorted(kept.items())), round(kept["naru:feed"] / max(1, ticks), 1)
