"""Whether rows that are there make reading and writing slower: the same requests and the same load beside 1, 10, 50
million rows of history, and beside 1 million again once the others were dropped."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.scale.roads import cost
from tests.bench.stack import Stack

SYMBOLS = 300
DAY_ROWS = 250_000
FIRST = 1_000_000
DEFAULT = 10_000_000
MOST = 50_000_000
STEPS = (FIRST, DEFAULT, MOST)
ROUNDS = 5
REQUESTS = 48
WORKERS = 2
FEED = "krx"
NEWEST_DAYS = FIRST // DAY_ROWS
TOLERATED = 1.10


@dataclass(frozen=True, slots=True)
class Read:
    """One kind of request, asked ROUNDS times REQUESTS times, never twice the same: CPU of web process and database
    together in ms for one, the median of the rounds, and its time, median and 90th percentile."""

    case: str
    cpu_ms: float
    p50_ms: float
    p90_ms: float
    rows: float


@dataclass(frozen=True, slots=True)
class Point:
    """So many rows of history: what reading and writing cost beside them. CPU in microseconds a tick by kind of
    process, waits in ms; `bytes` on the disk by table."""

    rows: int
    days: int
    reads: list[Read]
    committed_per_s: float
    cpu_us: dict[str, float]
    p50: float
    p99: float
    small_cpu_us: dict[str, float]
    bytes: dict[str, int]
    rows_of: dict[str, int]


@dataclass(slots=True)
class History:
    """All points in the order in which they were measured; the last is as large as the first."""

    database: str
    pool_mib: int
    rows_per_s: float
    points: list[Point] = field(default_factory=list)

    def ratio(self, figure: Callable[[Point], float], point: Point) -> float:
        """A figure of a point against that of the smallest history, which was measured before and after."""
        small = [figure(one) for one in self.points if one.rows == self.points[0].rows]
        return figure(point) / statistics.fmean(small)

    @property
    def largest(self) -> Point:
        return max(self.points, key=lambda one: one.rows)

    def slower(self) -> dict[str, float]:
        """By what is compared: the largest history against the smallest, 1.0 is the same."""
        found = {
            read.case: self.ratio(lambda point, at=at: point.reads[at].cpu_ms, self.largest)  # type: ignore[misc]  # a default binds it
            for at, read in enumerate(self.largest.reads)
        }
        found[WRITE_FAST] = self.ratio(lambda point: cost(point.cpu_us), self.largest)
        found[WRITE_SMALL] = self.ratio(lambda point: cost(point.small_cpu_us), self.largest)
        return {name: round(ratio, 3) for name, ratio in found.items()}

    def missed(self) -> dict[str, float]:
        """What is slower than TOLERATED."""
        return {name: ratio for name, ratio in self.slower().items() if ratio > TOLERATED}


WRITE_FAST, WRITE_SMALL = "storing, batches of 1,000", "storing, batches of 12"


def run(database: str, *, rows: int = DEFAULT, seconds: float) -> History:
    """On one stack. RuntimeError when an answer is not a good one or rows are missing."""
    with Stack(database, workers=WORKERS, settings={"API_RATE_LIMIT": "10000000"}) as stack:
        from tests.bench.scale.archive import Archive
        from tests.bench.scale.beside import measure

        filled = Archive()
        found = History(database, stack.database_memory_mib, 0.0)
        began, measuring_s = time.monotonic(), 0.0
        steps = sorted({FIRST, rows, *(step for step in STEPS if step < rows)})
        for step in steps:
            filled.fill(step)
            paused = time.monotonic()
            found.points.append(measure(stack, filled, seconds))
            measuring_s += time.monotonic() - paused
        found.rows_per_s = filled.rows / (time.monotonic() - began - measuring_s)
        filled.drop_to(FIRST)
        found.points.append(measure(stack, filled, seconds))
    for name, ratio in found.slower().items():
        print(f"{name}: {ratio:.2f} x beside {found.largest.rows:,} rows", flush=True)
    return found
