"""What every database promises, put together: `Storage`, and the words of its promises for who uses it. Each subject's
promises are told in `marketdata.storage.promises`, the tables in `marketdata.storage.tables`; the contract suite
(tests/contract) tells each promise once more, as tests, and runs it on each backend."""

from __future__ import annotations

from marketdata.storage.keys import Key, Series, Span, TickKey
from marketdata.storage.promises.caches import CachedChart, CachedStats, CacheTables, Latest
from marketdata.storage.promises.candles import ALL_FEEDS, FINISHED_US, CandleStore, Window
from marketdata.storage.promises.database import (
    REMEDY,
    Blame,
    Flag,
    NotWholeError,
    OtherNode,
    ServerState,
    StorageBusyError,
    StorageError,
)
from marketdata.storage.promises.days import Days, Part, Progress
from marketdata.storage.promises.records import RecordStore
from marketdata.storage.promises.ticks import TickStore
from marketdata.storage.tables import (
    BOOKS,
    CACHES,
    DAILY,
    DAY_VALUE_DIGITS,
    EVENTS,
    HISTORY,
    MINUTES,
    PERIODS,
    PRICE_DIGITS,
    PRICES,
    PRICES_BY_CATEGORY,
    SIZE_DIGITS,
    STATS_KEPT,
    TEMP,
    VALUE_DIGITS,
    VOLUME_DIGITS,
)
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks

__all__ = [
    "ALL_FEEDS",
    "BOOKS",
    "CACHES",
    "DAILY",
    "DAY_VALUE_DIGITS",
    "EVENTS",
    "FINISHED_US",
    "HISTORY",
    "MINUTES",
    "PERIODS",
    "PRICES",
    "PRICES_BY_CATEGORY",
    "PRICE_DIGITS",
    "REMEDY",
    "SIZE_DIGITS",
    "STATS_KEPT",
    "TEMP",
    "VALUE_DIGITS",
    "VOLUME_DIGITS",
    "Blame",
    "CachedChart",
    "CachedStats",
    "Flag",
    "Key",
    "Latest",
    "NotWholeError",
    "OtherNode",
    "Part",
    "Progress",
    "Series",
    "ServerState",
    "Span",
    "Storage",
    "StorageBusyError",
    "StorageError",
    "TickKey",
    "Window",
]


class Storage(TickStore, CandleStore, Days, RecordStore, CacheTables):
    """Ticks and candles in one database, on one connection. Methods that write want to be called inside
    `transaction()`."""

    def load_and_merge(self, table: str, ticks: Ticks, bars: Bars) -> tuple[int, Bars]:
        """`load`, then `merge_minutes`: what both return. PostgreSQL gets few rows in one round trip."""
        return self.load(table, ticks), self.merge_minutes(bars)
