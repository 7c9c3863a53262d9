"""What was committed to a feed, in the order of commits: for who wants to go on where Redis has the feed no more.
Offsets are Redis' own; the database knows the order of commits."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from django.db.models import Max, Q

from marketdata.models import IngestBatch, IngestBatchDay, Symbol
from marketdata.storage import storage
from marketdata.storage.base import Span
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import day_of

CLOCKS_US = 5_000_000
"""So far apart the clocks of two hosts may be: of one that commits, and of another one or of the reader. Twice
CLOCK_OFFSET_ALARM_S as it is by itself, for of two hosts each may be as far from the database's."""
TRANSACTION_US = 10_000_000
"""A transaction takes no longer, so others see a commit so much later than it says at most."""
OVERLAP_US = TRANSACTION_US + CLOCKS_US
"""How much is read again of what lies before a moment: it may have been committed, or seen, after it."""
PAGE_BATCHES, PAGE_ROWS = 200, 20_000
SLOT_US, SLOT_ROWS = 5_000_000, 1_000
"""A page of more rows than that ends where a slot of commits does, so that those who began at other places read the
same pages from there on."""
_BATCHES = 500  # whose ticks are looked for at a time
NEAR_US = 10_000_000  # stretches of a trading date that are nearer than this are read as one


def codes_of(symbols: Iterable[str] | None) -> list[str]:
    """Sorted; None stands for all there are."""
    return sorted(Symbol.objects.order_by().values_list("code", flat=True) if symbols is None else symbols)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Behind a batch, in the order of commits."""

    committed_us: int
    batch: int = -1


def read(feed: str, symbols: frozenset[str] | None, begin: Place, until_us: int) -> tuple[list[Ticks], Place | None]:
    """(ticks of the next commits behind a place and not after `until_us`, in the order of commits, those of different
    sources apart; the place behind them, None when there are no more). Of these symbols, or of all."""
    rows = list(
        IngestBatch.objects.filter(
            Q(committed_us__gt=begin.committed_us) | Q(batch__gt=begin.batch),
            committed_us__gte=begin.committed_us, committed_us__lte=until_us, feed=feed, stored__gt=0,
        ).order_by("committed_us", "batch").values_list("committed_us", "batch", "stored", "first_us", "last_us")
        [:PAGE_BATCHES]
    )  # fmt: skip
    total, page, place = 0, rows[:0], None
    for row in rows:
        if page and total + row[2] > PAGE_ROWS:
            break
        slot_us = row[0] // SLOT_US * SLOT_US
        if total > SLOT_ROWS and page[-1][0] < slot_us:
            place = Place(page[-1][0] // SLOT_US * SLOT_US + SLOT_US)
            break
        page.append(row)
        total += row[2]
    if not page:
        return [], None
    place = place or Place(page[-1][0], page[-1][1])
    order = {batch: place for place, (_, batch, *_) in enumerate(page)}
    times = {batch: (first, last) for _, batch, _, first, last in page if first is not None and last is not None}
    spans = _spans(times, codes_of(symbols))
    # Not the whole stretches: one late tick makes that of its batch hours long.
    found = storage().read_spans(feed, spans, batches=order)
    return [_in_order(part, order) for part in found], place


def until_us(feed: str, now_us: int) -> int:
    """Up to which time of commits a feed is to be read to have all that it was given up to now, as the clock of the
    reader has it: what a host committed whose clock is ahead says that it is later."""
    ahead = IngestBatch.objects.filter(feed=feed, committed_us__gt=now_us, committed_us__lte=now_us + CLOCKS_US)
    latest: int | None = ahead.aggregate(latest=Max("committed_us"))["latest"]
    return now_us if latest is None else latest


def of_ids(
    feed: str, symbol: str, dates: Iterable[datetime.date], first_us: int, last_us: int, ids: Collection[int]
) -> list[Ticks]:
    """Those of a series' ticks with these ids that are stored, by tick_id, those of different sources apart. They lie
    on these trading dates from `first_us` to `last_us`."""
    spans = [Span(symbol, day_of(date), first_us, last_us) for date in dates]
    wanted = np.array(sorted(ids), np.int64)
    batches = np.unique(wanted >> TICK_BITS).tolist()
    found: list[Ticks] = []
    for start in range(0, len(batches), _BATCHES):
        found += storage().read_spans(feed, spans, batches=batches[start : start + _BATCHES])
    parts = [part.take(np.isin(part.tick_id, wanted)) for part in found]
    return [part.take(np.argsort(part.tick_id, kind="stable")) for part in parts if len(part)]


def _spans(times: dict[int, tuple[int, int]], codes: list[str]) -> Iterator[Span]:
    """Where the ticks of these batches lie. One of order books or events has none, and no trading date either."""
    stretches: dict[datetime.date, list[tuple[int, int]]] = {}
    for batch, date in IngestBatchDay.objects.filter(batch__in=times).values_list("batch", "trade_date"):
        stretches.setdefault(date, []).append(times[batch])
    for date, given in stretches.items():
        for first_us, last_us in _joined(given):
            for code in codes:
                yield Span(code, day_of(date), first_us, last_us)


def _joined(stretches: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(stretches):
        if joined and first <= joined[-1][1] + NEAR_US:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _in_order(ticks: Ticks, order: dict[int, int]) -> Ticks:
    """As they were committed."""
    batches = np.array(sorted(order), np.int64)
    places = np.array([order[batch] for batch in batches.tolist()], np.int64)
    return ticks.take(np.lexsort((ticks.tick_id, places[np.searchsorted(batches, ticks.tick_id >> TICK_BITS)])))
