"""How fast the machine is at the moment: a fixed piece of work, timed before and after the benchmarks, so that runs of
different hours can be compared. On a shared machine this moves by half and more within a day."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from marketdata.types.tick_arrays import Int64

TIMES = 9
HASHED_BYTES = 16 << 20
LOOPS = 400_000
CELLS = 1 << 22  # int64: 32 MiB, more than a core's share of the cache
_MULTIPLIER = 2654435761


@dataclass(frozen=True, slots=True)
class Calibration:
    """Medians of TIMES repetitions, milliseconds; `load` is the machine's load average of the minute before."""

    processor_ms: float
    memory_ms: float
    load: float

    @property
    def ms(self) -> float:
        """The figure that stands beside a run."""
        return self.processor_ms + self.memory_ms


def measure() -> Calibration:
    """Takes about two seconds on one core."""
    load = os.getloadavg()[0]
    read, order = cells()
    return Calibration(
        processor_ms=_median_ms(processor_work),
        memory_ms=_median_ms(lambda: memory_work(read, order)),
        load=load,
    )


def processor_work() -> str:
    """Python's own loop and SHA-256, nothing that needs memory; always the same answer."""
    total = 0
    for number in range(LOOPS):
        total = (total * 31 + number) & 0xFFFFFFFF
    return hashlib.sha256(total.to_bytes(4, "big") * (HASHED_BYTES // 4)).hexdigest()


def cells() -> tuple[Int64, Int64]:
    """What `memory_work` reads, and in which order: every cell once, each far from the one before."""
    values = np.arange(CELLS, dtype=np.int64)
    return values, (values * _MULTIPLIER) % CELLS


def memory_work(values: Int64, order: Int64) -> int:
    """Reading the cells in an order that no cache helps with, and writing them one after the other."""
    return int((values[order] + 1).sum())


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(times), 1)
