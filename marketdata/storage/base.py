"""What every database promises. The contract suite (tests/contract) tells each promise once and runs it on each
backend.

Tables made here (all others are Django's):

temp_market_data      one tick a row, key (symbol, event_time, tick_id, trade_date), partitioned by trading date where
the database can
market_data_minute    one minute candle a row, key (symbol, feed, minute_time, trade_date), partitioned by month

Prices are DECIMAL(18,8) and sizes DECIMAL(18,4) where the database has exact decimals; SQLite has none and keeps the
integers of `marketdata.ticks` (1e-8 and 1e-4), and times as microseconds.
"""

from __future__ import annotations

import abc
import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.bars import Bars
from marketdata.ticks import Ticks

TICK_TABLES = ("temp_market_data",)
EPOCH_DATE = datetime.date(1970, 1, 1)


class StorageError(Exception):
    """The database did not do what was asked; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class TickKey:
    """Where a page of rows ended: the next one starts after (or, descending, before) it. `tick_id` is 0 for candles."""

    symbol: str
    time_us: int
    tick_id: int = 0


class Storage(abc.ABC):
    """Ticks and candles in one database, on one connection. Methods that write want to be called inside
    `transaction()`."""

    vendor: ClassVar[str]

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed when it ends, durably, or not at all."""
        with transaction.atomic(using=self.connection.alias, durable=not self.connection.in_atomic_block):
            yield

    @abc.abstractmethod
    def create_tables(self) -> None:
        """Make the two tables if they are not there."""

    @abc.abstractmethod
    def drop_tables(self) -> None:
        """Remove the two tables and what is in them."""

    @abc.abstractmethod
    def ensure_partitions(self, dates: Iterable[datetime.date]) -> None:
        """Make room for these trading dates. Commits, so never inside `transaction()`; cheap when the room is there."""

    @abc.abstractmethod
    def is_transient(self, error: BaseException) -> bool:
        """Whether the same transaction may succeed when tried again: deadlock, lock wait, lost connection, node not
        ready."""

    @abc.abstractmethod
    def load(self, table: str, ticks: Ticks) -> int:
        """Store ticks in bulk; those already there are left alone. Returns how many were new."""

    @abc.abstractmethod
    def merge_minutes(self, bars: Bars) -> Bars:
        """Merge partial candles into the stored ones and return the merged state of each, as it will be committed."""

    @abc.abstractmethod
    def read_ticks(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        kind: int | None = None,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
        table: str = "temp_market_data",
    ) -> Ticks:
        """Ticks of a symbol and feed with start_us <= time < end_us, ordered by (time, tick_id), at most `limit`."""

    @abc.abstractmethod
    def read_minutes(
        self,
        symbol: str,
        feed: str,
        start_us: int,
        end_us: int,
        *,
        after: TickKey | None = None,
        limit: int | None = None,
        ascending: bool = True,
    ) -> Bars:
        """Minute candles of a symbol and feed with start_us <= minute < end_us, ordered by minute, at most `limit`."""

    @abc.abstractmethod
    def series(self) -> list[tuple[str, str]]:
        """Every (symbol, feed) that has a candle."""

    @abc.abstractmethod
    def count(self, table: str) -> int:
        """How many rows a table has, exactly."""

    def _query(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
