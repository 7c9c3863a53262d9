"""Each indicator against TA-Lib's, or against polars' where TA-Lib has none, on the same arrays, in turns, one thread
each."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
import talib

from analytics.indicators import registry
from tests.bench import candles
from tests.bench.candles import TURNS, cpu_ms
from tests.indicator_reference import POLARS, TALIB, market

ROWS = 1_000_000
FORGOTTEN_ROWS = 1_000  # behind which the two may not differ, whatever they begin with


@dataclass(frozen=True, slots=True)
class Compared:
    """ms of CPU of each turn, and whose the others are."""

    name: str
    beside: str
    naru_ms: list[float]
    theirs_ms: list[float]

    @property
    def naru(self) -> float:
        return statistics.median(self.naru_ms)

    @property
    def theirs(self) -> float:
        return statistics.median(self.theirs_ms)

    @property
    def ratio(self) -> float:
        return self.naru / self.theirs


@dataclass(frozen=True, slots=True)
class Indicators:
    """All of the list, each of so many rows."""

    compared: list[Compared]
    rows: int
    talib_version: str


def run(*, rows: int = ROWS, turns: int = TURNS) -> Indicators:
    """Measure all, with the parameters that are ours by default. RuntimeError when the two do not agree."""
    bars = {**market(rows), "anchor": np.zeros(rows, np.int64)}
    candles.single_threaded()
    found = []
    of_talib = [(name, "TA-Lib", theirs) for name, theirs in TALIB.items()]
    for name, beside, theirs in [*of_talib, *((name, "polars", theirs) for name, theirs in POLARS.items())]:
        indicator = registry.named(name)
        params = indicator.defaults
        for ours, other in zip(indicator.values(bars, params).values(), theirs(bars, **params), strict=True):
            if not np.allclose(ours[FORGOTTEN_ROWS:], other[FORGOTTEN_ROWS:], rtol=1e-6, atol=1e-4):
                raise RuntimeError(f"the two do not agree on {name}")
        one = Compared(name, beside, [], [])
        for _ in range(turns):
            one.naru_ms.append(cpu_ms(indicator.values, bars, params))
            one.theirs_ms.append(cpu_ms(lambda theirs=theirs, params=params: theirs(bars, **params)))
        found.append(one)
        print(f"{name}: {one.naru:.1f} ms, {beside} {one.theirs:.1f} ms ({one.ratio:.2f} x)", flush=True)
    return Indicators(found, rows, talib.__version__)
