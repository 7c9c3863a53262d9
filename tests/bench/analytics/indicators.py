"""Each indicator of a series of closes against TA-Lib's, on the same arrays, in turns, one thread each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
import talib

from analytics.indicators import registry
from tests.bench.candles import TURNS, cpu_ms
from tests.indicator_reference import TALIB, market

ROWS = 1_000_000
FORGOTTEN_ROWS = 1_000  # behind which the two may not differ, whatever they begin with


@dataclass(frozen=True, slots=True)
class Compared:
    """ms of CPU of each turn."""

    name: str
    naru_ms: list[float]
    talib_ms: list[float]

    @property
    def naru(self) -> float:
        return statistics.median(self.naru_ms)

    @property
    def talib(self) -> float:
        return statistics.median(self.talib_ms)

    @property
    def ratio(self) -> float:
        return self.naru / self.talib


@dataclass(frozen=True, slots=True)
class Indicators:
    """All that TA-Lib has, each of so many rows."""

    compared: list[Compared]
    rows: int
    talib_version: str


def run(*, rows: int = ROWS, turns: int = TURNS) -> Indicators:
    """Measure all, with the parameters that are ours by default. RuntimeError when the two do not agree."""
    bars = {**market(rows), "anchor": np.zeros(rows, np.int64)}
    found = []
    for name, theirs in TALIB.items():
        indicator = registry.named(name)
        params = indicator.defaults
        for ours, other in zip(indicator.values(bars, params).values(), theirs(bars, **params), strict=True):
            if not np.allclose(ours[FORGOTTEN_ROWS:], other[FORGOTTEN_ROWS:], rtol=1e-6, atol=1e-4):
                raise RuntimeError(f"the two do not agree on {name}")
        one = Compared(name, [], [])
        for _ in range(turns):
            one.naru_ms.append(cpu_ms(indicator.values, bars, params))
            one.talib_ms.append(cpu_ms(lambda theirs=theirs, params=params: theirs(bars, **params)))
        found.append(one)
        print(f"{name}: {one.naru:.1f} ms, TA-Lib {one.talib:.1f} ms ({one.ratio:.2f} x)", flush=True)
    return Indicators(found, rows, talib.__version__)
