"""Minute candles of 1,000,000 ticks: Naru's against a data frame's, on the same arrays, in turns, one thread each."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analytics.series import candles
from marketdata.types import tick_arrays
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import PRICE_UNIT, SIZE_UNIT, Ticks
from terminals import wire

TICKS = 1_000_000
SYMBOLS = 1_000
CASES = ((20, "in order of time"), (20, "shuffled"), (390, "in order of time"))  # minutes that the trades are of
MINUTE_US = 60_000_000
TURNS = 7
DAY = 20_528
_START_US = DAY * 86_400_000_000


@dataclass(slots=True)
class Case:
    """ms of CPU of each turn, and how many candles `made`."""

    minutes: int
    order: str
    made: int
    naru_ms: list[float]
    polars_ms: list[float]

    @property
    def naru(self) -> float:
        return statistics.median(self.naru_ms)

    @property
    def polars(self) -> float:
        return statistics.median(self.polars_ms)

    @property
    def ratio(self) -> float:
        return self.naru / self.polars


@dataclass(slots=True)
class Candles:
    """All cases, each of so many ticks."""

    cases: list[Case]
    ticks: int
    polars_version: str


def run(*, ticks: int = TICKS, turns: int = TURNS) -> Candles:
    """Measure all cases. RuntimeError when the two do not make the same candles."""
    polars = single_threaded()
    found = []
    for minutes, order in CASES:
        given = market(ticks, minutes)
        if order == "shuffled":
            given = given.take(np.random.default_rng(2).permutation(ticks))
        frame = _frame(polars, given)
        bars = candles.build(given)
        _compare(bars, _of_frame(polars, frame))
        case = Case(minutes, order, len(bars), [], [])
        for _ in range(turns):
            case.naru_ms.append(cpu_ms(candles.build, given))
            case.polars_ms.append(cpu_ms(_of_frame, polars, frame))
        found.append(case)
        print(
            f"{minutes} minutes {order}: {case.naru:.0f} ms, polars {case.polars:.0f} ms ({case.ratio:.2f} x), "
            f"{case.made:,} candles",
            flush=True,
        )
    return Candles(found, ticks, polars.__version__)


def single_threaded() -> Any:
    """polars, with one thread unless it was imported before: it reads that when it is."""
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars

    return polars


def market(count: int, minutes: int) -> Ticks:
    """Trades of SYMBOLS over so many minutes in order of time, whole won and whole shares."""
    random = np.random.default_rng(1)
    ticks = tick_arrays.empty("krx", 1, count, [f"{number:06d}" for number in range(SYMBOLS)])
    ticks.symbol[:] = random.integers(0, SYMBOLS, count)
    ticks.time_us[:] = _START_US + np.sort(random.integers(0, minutes * MINUTE_US, count))
    ticks.kind[:] = wire.Kind.TRADE
    ticks.price[:] = (50_000 + random.integers(-500, 500, count)) * PRICE_UNIT
    ticks.size[:] = random.integers(1, 500, count) * SIZE_UNIT
    ticks.trade_date[:] = DAY
    ticks.tick_id[:] = np.arange(count)
    return ticks


def _frame(polars: Any, ticks: Ticks) -> Any:
    """The columns as a data frame would have them: whole won and shares, so that its sums fit 64 bits."""
    return polars.DataFrame(
        {
            "symbol": ticks.symbol,
            "time": ticks.time_us,
            "id": ticks.tick_id,
            "price": ticks.price // PRICE_UNIT,
            "size": ticks.size // SIZE_UNIT,
        }
    )


def _of_frame(polars: Any, frame: Any) -> Any:
    column = polars.col
    return (
        frame.sort("symbol", "time", "id")
        .group_by("symbol", (column("time") // MINUTE_US).alias("minute"), maintain_order=True)
        .agg(
            column("price").first().alias("open"),
            column("price").max().alias("high"),
            column("price").min().alias("low"),
            column("price").last().alias("close"),
            column("size").sum().alias("volume"),
            (column("price") * column("size")).sum().alias("value"),
            polars.len().alias("n"),
        )
    )


def _compare(bars: Bars, frame: Any) -> None:
    wanted = {"open": PRICE_UNIT, "high": PRICE_UNIT, "low": PRICE_UNIT, "close": PRICE_UNIT, "n": 1}
    for name, unit in wanted.items():
        if not np.array_equal(getattr(bars, name), frame[name].to_numpy().astype(np.int64) * unit):
            raise RuntimeError(f"the two do not agree on {name}")
    if int(bars.value.sum()) != int(frame["value"].sum()):
        raise RuntimeError("the two do not agree on the traded value")


def cpu_ms(work: Callable[..., object], *given: object) -> float:
    """What a call takes of this process' CPU."""
    began = time.process_time()
    work(*given)
    return (time.process_time() - began) * 1e3
