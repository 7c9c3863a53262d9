"""Of the tables that show a reader in SQL what the caches have."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketdata.storage.keys import Series
from marketdata.storage.promises.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """A row of cache_realtime_data: the latest trade of a symbol on a feed. Price in 1e-8, size in 1e-6."""

    symbol: str
    feed: str
    time_us: int
    tick_id: int
    price: int
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedStats:
    """A row of cache_stats_data: statistics of a symbol on a feed (of the market: the symbol is "") as JSON. `at_us`
    is their revision: they have everything that was committed before."""

    symbol: str
    feed: str
    name: str
    body: str
    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedChart:
    """A row of cache_chart_data: candles of a width of a symbol on a feed as a JSON array. `at_us` is their revision:
    they have everything that was committed before."""

    symbol: str
    feed: str
    timeframe: str
    body: str
    at_us: int


class CacheTables(Database):
    """The cache tables."""

    @abc.abstractmethod
    def put_latest(self, rows: Sequence[Latest]) -> None:
        """Write rows of cache_realtime_data, in place of those that are there."""

    @abc.abstractmethod
    def put_stats(self, rows: Sequence[CachedStats]) -> None:
        """Write rows of cache_stats_data, each in place of an older one; one that is not newer is left out."""

    @abc.abstractmethod
    def put_charts(self, rows: Sequence[CachedChart]) -> None:
        """Write rows of cache_chart_data, each in place of an older one; one that is not newer is left out."""

    @abc.abstractmethod
    def read_stats(self, feed: str, name: str, symbols: Sequence[str]) -> list[CachedStats]:
        """The rows of cache_stats_data of this name of these symbols of a feed that have one."""

    @abc.abstractmethod
    def stats_series(self) -> list[Series]:
        """Every (symbol, feed) that has a row of cache_stats_data."""

    @abc.abstractmethod
    def purge_caches(self, before_us: Mapping[str, int]) -> dict[str, int]:
        """Delete rows of the named cache tables that were written before a time; how many went, by table."""
