"""Daily closes of indices that are told as events and have no candles (`marketdata.types.told_indices`): of each date
the last value from the opening of the regular session on. Before that a source may tell the close of the day before;
what it tells after the session is its close.

Noted in the transaction that stores the events, so reading them costs the same however many events there are; `fill`
finds the same in what is stored, for events that came before closes were kept.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Q

from marketdata.calendar import trading_dates
from marketdata.models import IndexClose
from marketdata.storage import storage
from marketdata.types import told_indices
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import Int32, Int64
from marketdata.types.units import date_of, day_of

log = logging.getLogger(__name__)

LOOKED_AT = 20
"""Newest events of an index on a date, of which one has a value."""


@dataclass(frozen=True, slots=True)
class Closes:
    """Closes of an index by trading date (days since 1970), oldest first, in 1e-8."""

    trade_date: Int32
    close: Int64


def note(events: Sequence[MarketEvent]) -> None:
    """Inside a transaction, last of all that it writes: keep what these events say of closes, unless a newer one said
    something else before. These few rows are what every worker writes, and it holds them until it has committed."""
    newest: dict[tuple[str, int], tuple[int, int, int, str]] = {}
    for one in events:
        found = told_indices.value(one)
        if found is None:
            continue
        hours = _hours(date_of(one.trade_date))
        if hours is not None and hours[0] <= one.time_us < hours[1]:
            key, told = (found[0], one.trade_date), (one.time_us, one.event_id, found[1], one.feed)
            newest[key] = max(newest.get(key, told), told)
    if not newest:
        return
    # Asked before, for on MariaDB an UPDATE holds the row also where there is nothing to change.
    kept = _kept({code for code, _ in newest}, {date_of(day) for _, day in newest})
    for (code, day), (time_us, event_id, close, feed) in sorted(newest.items()):
        known = kept.get((code, day))
        if known is None or (time_us, event_id) >= known:
            keep(IndexClose(
                code=code, trade_date=date_of(day), close=close, feed=feed, time_us=time_us, event_id=event_id,
            ))  # fmt: skip


def keep(one: IndexClose) -> None:
    """Inside a transaction: this close, unless there is one of a newer event."""
    older = IndexClose.objects.filter(
        Q(time_us__lt=one.time_us) | Q(time_us=one.time_us, event_id__lte=one.event_id),
        code=one.code, trade_date=one.trade_date,
    )  # fmt: skip
    fields = {"close": one.close, "feed": one.feed, "time_us": one.time_us, "event_id": one.event_id}
    if not older.update(**fields):
        IndexClose.objects.bulk_create([one], ignore_conflicts=True)
        older.update(**fields)  # somebody else may have been the first


def since(first: datetime.date, end: datetime.date | None = None) -> dict[str, Closes]:
    """The closes of each index with first <= date (< end), by code."""
    rows = IndexClose.objects.filter(trade_date__gte=first)
    rows = rows if end is None else rows.filter(trade_date__lt=end)
    found: dict[str, list[tuple[int, int]]] = {}
    for code, date, close in rows.order_by("code", "trade_date").values_list("code", "trade_date", "close"):
        found.setdefault(code, []).append((day_of(date), close))
    return {
        code: Closes(np.array([day for day, _ in pairs], np.int32), np.array([one for _, one in pairs], np.int64))
        for code, pairs in found.items()
    }


def fill(dates: Iterable[datetime.date]) -> int:
    """Keep the closes of these dates as the stored events tell them; of how many dates there are any. Reads a few rows
    of an index that was told on a date, and every event of the date for one that was not."""
    filled = 0
    for date in dates:
        hours = _hours(date)
        if hours is None or not _newest(hours, None, 1):
            continue
        filled += 1
        events = [one for code in told_indices.NAMES for one in _newest(hours, code, LOOKED_AT)]
        with storage().transaction():
            note(events)
    log.info("closes of indices filled dates=%d", filled)
    return filled


def _kept(codes: Collection[str], dates: Collection[datetime.date]) -> dict[tuple[str, int], tuple[int, int]]:
    """Of which event, by time and id, the closes of these indices and dates are."""
    rows = IndexClose.objects.filter(code__in=codes, trade_date__in=dates)
    told = rows.values_list("code", "trade_date", "time_us", "event_id")
    return {(code, day_of(date)): (time_us, event_id) for code, date, time_us, event_id in told}


def _newest(hours: tuple[int, int], code: str | None, most: int) -> list[MarketEvent]:
    return storage().read_events(*hours, limit=most, kinds=[told_indices.EVENT], index=code, newest=True)


def _hours(date: datetime.date) -> tuple[int, int] | None:
    """From when to when what is told of an index is its value of that date; None: closed."""
    try:
        calendar = trading_dates.calendar(told_indices.MARKET)
    except LookupError:
        return None
    window = calendar.regular_window(date)
    return None if window is None else (window[0], calendar.ends_us(date))
