"""Writing rows as a worker does and reading them again, for whoever tells a promise of storage."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connections
from hypothesis import HealthCheck, settings

from analytics.series import candles
from marketdata.storage import Storage
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks
from marketdata.types.units import date_of

T = TypeVar("T")
FAR = 2**62
NULLABLE = ("price", "size", "seq", "bid", "ask", "bid_size", "ask_size", "cum_volume")
# One database for all examples of a property: each works on a symbol of its own.
on_one_database = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_numbers = itertools.count(1)


def new_symbol() -> str:
    return f"S{next(_numbers):05d}"


def load(store: Storage, ticks: Ticks) -> int:
    with store.transaction():
        return store.load("temp_market_data", ticks)


def merge(store: Storage, ticks: Ticks, **late: int) -> Bars:
    """Merge the candles that these ticks make, as a worker does."""
    with store.transaction():
        return store.merge_minutes(candles.build(ticks, **late))


def read(store: Storage, symbol: str = "005930", feed: str = "krx", **how: Any) -> Ticks:
    start_us, end_us = how.pop("start_us", -FAR), how.pop("end_us", FAR)
    return store.read_ticks(symbol, feed, start_us, end_us, **how)


def read_bars(store: Storage, symbol: str = "005930", feed: str = "krx", **how: Any) -> Bars:
    start_us, end_us = how.pop("start_us", -FAR), how.pop("end_us", FAR)
    return store.read_minutes(symbol, feed, start_us, end_us, **how)


def make_room(store: Storage, *ticks: Ticks) -> None:
    days = {day for part in ticks for day in part.trade_date.tolist()}
    store.ensure_partitions(date_of(day) for day in days)


def elsewhere(job: Callable[[], T]) -> T:
    """Run on another connection, and close it."""

    def run() -> T:
        try:
            return job()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(timeout=300)
