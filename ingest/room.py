"""Partitions for what batches hold, made before it is stored, and for no longer than a task can wait."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ingest.batch_decoding import RecordGroup
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import BOOKS, EVENTS, MINUTES, PRICES, TEMP
from marketdata.types.records import BookColumns
from marketdata.types.tick_arrays import Ticks, trading_dates
from marketdata.types.units import date_of

ROOM_S = 5.0
"""So long a message waits for partitions to be made, a fraction of what a task may take."""


class NoRoomYetError(StorageBusyError):
    """Not all partitions that a message needs are made yet."""


def make(parts: Iterable[Ticks], records: Iterable[RecordGroup] = (), *, room_s: float | None = None) -> None:
    """Partitions for the trading dates of these ticks, order books and events. What is known costs nothing, a new one a
    moment each; NoRoomYetError when that takes `room_s` (ROOM_S): what was made stays, and the batch comes again for
    the rest. Commits, so never inside a transaction."""
    began, limit_s = time.monotonic(), ROOM_S if room_s is None else room_s
    wanted: dict[int, set[str]] = {}
    for ticks in parts:
        for day in trading_dates(ticks):
            wanted.setdefault(day, set()).update((TEMP, MINUTES) if ticks.day is None else (TEMP, MINUTES, PRICES))
    for group in records:
        table = BOOKS if isinstance(group.content, BookColumns) else EVENTS
        for day in trading_dates(group.ticks):
            wanted.setdefault(day, set()).add(table)
    for number, day in enumerate(sorted(wanted, reverse=True)):
        if number and time.monotonic() - began > limit_s:
            raise NoRoomYetError(f"room was made for {number:,} of {len(wanted):,} trading dates; the rest comes next")
        storage().ensure_partitions([date_of(day)], sorted(wanted[day]))
