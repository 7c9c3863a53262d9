"""Daily closes of indices that are told as events and have no candles (`marketdata.types.told_indices`): of each date
the last value from the opening of the regular session on. Before that a source may tell the close of the day before;
what it tells after the session is its close.

Noted in the transaction that stores the events, so reading them costs the same however many events there are; `fill`
finds the same in what is stored, for events that came before closes were kept.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Sequence
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
    """Inside a transaction: keep what these events say of closes, unless a newer one said something else before."""
    newest: dict[tuple[str, int], tuple[int, int, int, str]] = {}
    for one in events:
        found = told_indices.value(one)
        if found is None:
            continue
        hours = _hours(date_of(one.trade_date))
        if hours is not None and hours[0] <= one.time_us < hours[1]:
            key, told = (found[0], one.trade_date), (one.time_us, one.event_id, found[1], one.feed)
            newest[key] = max(newest.get(key, told), told)
    for (code, day), (time_us, event_id, close, feed) in sorted(newest.items()):
        _keep(IndexClose(
            code=code, trade_date=date_of(day), close=close, feed=feed, time_us=time_us, event_id=event_id,
        ))  # fmt: skip


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
    of a date on which indices were told, and every event of one on which none was."""
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


def _keep(one: IndexClose) -> None:
    older = IndexClose.objects.filter(
        Q(time_us__lt=one.time_us) | Q(time_us=one.time_us, event_id__lte=one.event_id),
        code=one.code, trade_date=one.trade_date,
    )  # fmt: skip
    fields = {"close": one.close, "feed": one.feed, "time_us": one.time_us, "event_id": one.event_id}
    if not older.update(**fields):
        IndexClose.objects.bulk_create([one], ignore_conflicts=True)
        older.update(**fields)  # somebody else may have been the first
