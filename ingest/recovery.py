"""What was committed and may not be in the feed yet, and how it gets there.

A worker writes a row of `feed_pending` for each commit and feed, in the transaction that stores it. Once Redis has
taken the announcement it removes the row, many together in a later transaction. What stays is a few seconds old, or
belongs to a worker that died between the two, or to a Redis that was away: `announce_missed` reads the batches it names
back and publishes them, without the ticks that a requeue added: it announces those itself. It also removes the rows of
what was announced. Which batch was is a matter of rows and of the feed's own notes, one for each batch, so no clock
that was wrong and no order of commits can lose one or announce one twice.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgpack
import numpy as np
import redis
from celery import shared_task
from django.db import transaction
from redis.exceptions import LockError

from marketdata import metrics
from marketdata.ledger import batch_ledger
from marketdata.ledger.batch_ledger import Rows
from marketdata.models import FeedPending, IngestRequeue
from marketdata.realtime import feed, live_state, seeding
from marketdata.storage import storage
from marketdata.storage.base import Span
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import MINUTE_US

log = logging.getLogger(__name__)

LEASE, LEASE_S = "naru:feed-recovery", 60
BUDGET_S = 20.0
LOOKED_AT = 20_000  # batches a run, and as many as the last commit has beyond that
PAGE_TICKS, PAGE_BATCHES = 50_000, 500  # read and published together
REMOVED_TOGETHER = 100  # rows; one statement less in most commits, and 100 rows go as quickly as a few
NEAR_US = 10_000_000  # stretches of a symbol that are nearer than this are read as one

_announced: set[int] = set()
"""Rows of what this process announced, which it has not removed yet."""
_waiting: dict[int, float] = {}
"""Rows that this process has seen unannounced, and since when (monotonic)."""

PENDING = ("id", "feed", "committed_us", "batches", "spans")
"""The columns of `feed_pending`."""


class Pending(NamedTuple):
    """A batch that the feed may lack: how many ticks it has, and where they lie."""

    batch: int
    feed: str
    ticks: int
    committed_us: int
    spans: list[tuple[str, int, int, int]]


# --- the worker's part ------------------------------------------------------------------------------------------------


def expect(stored: Mapping[int, Ticks], committed_us: int) -> None:
    """In the transaction that stores these ticks: note that the feed has to get them, and let go of what it has got."""
    let_go()
    batch_ledger.insert(notes(stored, committed_us))


def let_go() -> None:
    """In a transaction: remove the rows of what the feed has got, once they are many."""
    if len(_announced) >= REMOVED_TOGETHER:
        gone = sorted(_announced)
        _remove(gone)
        transaction.on_commit(partial(_announced.difference_update, gone))


def notes(stored: Mapping[int, Ticks], committed_us: int) -> Rows:
    """What is to be noted in the transaction that stores these ticks, each of one feed, by the numbers of their rows:
    that the feed has to get them. One row, however many batches they are of."""
    rows = [
        (number, ticks.feed, committed_us, *map(msgpack.packb, _places(ticks)))
        for number, ticks in sorted(stored.items())
        if len(ticks)
    ]
    return Rows("feed_pending", PENDING, rows)


def announced(numbers: Iterable[int]) -> None:
    """Redis has taken the announcement of what these rows name."""
    _announced.update(numbers)


def _places(ticks: Ticks) -> tuple[list[tuple[int, int]], list[list[tuple[str, int, int, int]]]]:
    """The batches with how many ticks each has, and of each where they are: by symbol and trading date from the first
    to the last."""
    number = ticks.tick_id >> TICK_BITS
    order = np.lexsort((ticks.time_us, ticks.symbol, ticks.trade_date, number))
    number, symbol, day, at = number[order], ticks.symbol[order], ticks.trade_date[order], ticks.time_us[order]
    new = (number[1:] != number[:-1]) | (symbol[1:] != symbol[:-1]) | (day[1:] != day[:-1])
    starts = np.flatnonzero(np.append(True, new))
    ends = np.append(starts[1:], len(order)) - 1
    names = [ticks.symbols[index] for index in symbol[starts].tolist()]
    # Those of `Span`.
    spans = list(zip(names, day[starts].tolist(), at[starts].tolist(), at[ends].tolist(), strict=True))
    batches, firsts, counts = np.unique(number, return_index=True, return_counts=True)
    bounds = np.searchsorted(starts, np.append(firsts, len(order))).tolist()
    between = itertools.pairwise(bounds)
    return list(zip(batches.tolist(), counts.tolist(), strict=True)), [spans[first:end] for first, end in between]


# --- the recovery's part ----------------------------------------------------------------------------------------------


@shared_task
def announce_missed(*, settle_s: float = 3.0, budget_s: float = BUDGET_S, **_: object) -> None:
    """Publish what was committed but never reached the feed, for at most `budget_s` and by one process at a time.

    A batch may still be on its way for `settle_s` after it was first seen here.
    """
    until = time.monotonic() + budget_s
    lease = live_state.connection().lock(LEASE, timeout=LEASE_S, blocking=False)
    try:
        if not lease.acquire():
            return
        try:
            seeding.seed()
            _catch_up(settle_s, until)
        finally:
            with suppress(LockError, redis.RedisError):  # it runs out by itself
                lease.release()
    except redis.RedisError as error:
        log.warning("feed recovery waits for redis error=%s", type(error).__name__)


def _catch_up(settle_s: float, until: float) -> None:
    """By rows: the batches of one were committed together, and what is there already is not published again."""
    ticks_of = _pending()
    missing: dict[int, int] = {}
    for part in _chunks(list(ticks_of), 1000):
        notes = _feed_notes([batch for number in part for batch in ticks_of[number]])
        unknown = set(feed.unpublished(live_state.connection(), list(notes.values())))
        for number in part:
            if left := sum(notes[batch] in unknown for batch in ticks_of[number]):
                missing[number] = left
    _remove(sorted(ticks_of.keys() - missing.keys()))
    now = time.monotonic()
    since = {number: _waiting.get(number, now) for number in missing}
    _waiting.clear()
    _waiting.update(since)
    due = [number for number in missing if now - since[number] >= settle_s]
    left = sum(missing.values())
    for page in _pages(due, ticks_of):
        _publish(page)
        left -= sum(missing[number] for number in page)
        if time.monotonic() > until:
            log.info("feed recovery goes on in its next turn batches=%d", left)
            break
    metrics.FEED_PENDING.set(left)


def _pending() -> dict[int, dict[int, int]]:
    """The oldest rows: of each how many ticks its batches have."""
    found: dict[int, dict[int, int]] = {}
    rows = FeedPending.objects.order_by("committed_us", "id").values_list("id", "batches")[:LOOKED_AT]
    batches = 0
    for number, packed in rows:
        found[number] = dict(msgpack.unpackb(packed))
        batches += len(found[number])
        if batches >= LOOKED_AT:
            break
    return found


def _publish(numbers: Sequence[int]) -> None:
    """Read the ticks and candles of these rows' batches back and publish each batch once."""
    found = {
        row[0]: _batches_of(*row[1:])
        for part in _chunks(numbers, 500)
        for row in FeedPending.objects.filter(id__in=part).values_list(*PENDING)
    }
    rows = [row for number in numbers for row in found.get(number, ())]
    batches = [row.batch for row in rows]
    notes = _feed_notes(batches)
    pipeline = live_state.connection().pipeline(transaction=False)
    for name in sorted({row.feed for row in rows}):
        _queue(pipeline, name, [row for row in rows if row.feed == name], notes)
    pipeline.execute()
    _remove(sorted(found))
    metrics.FEED_RECOVERED.inc(len(rows))


def _batches_of(name: str, committed_us: int, batches: bytes, spans: bytes) -> list[Pending]:
    """What a row tells of each of its batches."""
    return [
        Pending(batch=batch, feed=name, ticks=ticks, committed_us=committed_us, spans=places)
        for (batch, ticks), places in zip(msgpack.unpackb(batches), msgpack.unpackb(spans), strict=True)
    ]


def _queue(pipeline: redis.client.Pipeline, name: str, rows: Sequence[Pending], notes: Mapping[int, str]) -> None:
    spans = list(_joined(Span(*span) for row in rows for span in row.spans))
    parts = storage().read_spans(name, spans)
    if not parts:
        log.warning("feed recovery found no ticks feed=%s batches=%d", name, len(rows))
        return
    minutes = _joined(span._replace(first_us=_minute(span.first_us), last_us=_minute(span.last_us)) for span in spans)
    bars = storage().read_minute_spans(name, minutes)
    place = _candle_places(bars)
    added = _requeued([row.batch for row in rows])  # asked after the ticks were read: whatever is among them is known
    for ticks in parts:
        ticks = ticks.take(~np.isin(ticks.tick_id, added))  # noqa: PLW2901
        ticks = ticks.take(np.argsort(ticks.tick_id, kind="stable"))  # noqa: PLW2901 - in the order of its source
        number = ticks.tick_id >> TICK_BITS
        for row in rows:
            own = ticks.take(np.arange(*np.searchsorted(number, [row.batch, row.batch + 1])))
            if not len(own):
                continue  # of another source, or dropped by retention since
            if len(own) != row.ticks:
                log.warning("feed recovery found a part batch=%d ticks=%d of=%d", row.batch, len(own), row.ticks)
            touched = bars.take(np.array(sorted({place[key] for key in _candles(own) if key in place}), np.int64))
            feed.publish(pipeline, own, touched, notes=[notes[row.batch]], committed_us=row.committed_us)
        numbers = np.array([row.batch for row in rows], np.int64)
        live_state.remember(pipeline, ticks.take(np.isin(number, numbers)))


def _feed_notes(batches: Sequence[int]) -> dict[int, str]:
    """By which the feed knows these batches. One that has lost its claim row is known by its number alone."""
    checksums = {
        batch: known for part in _chunks(batches, 500) for batch, known in batch_ledger.checksums(part).items()
    }
    return {batch: feed.batch_note(batch, checksums.get(batch, batch_ledger.GIVEN_UP)) for batch in batches}


def _requeued(batches: Sequence[int]) -> list[int]:
    """The tick_ids that a requeue added to these batches."""
    given = IngestRequeue.objects.filter(batch__in=batches, stored__gt=0).values_list("batch", "spans")
    return [batch << TICK_BITS | row for batch, spans in given for *_, rows in spans for row in rows]


def _candles(ticks: Ticks) -> set[tuple[str, int, int]]:
    """The (symbol, trading date, minute) of each candle that these ticks touch."""
    names = [ticks.symbols[index] for index in ticks.symbol.tolist()]
    return set(zip(names, ticks.trade_date.tolist(), (ticks.time_us // MINUTE_US * MINUTE_US).tolist(), strict=True))


def _candle_places(bars: Bars) -> dict[tuple[str, int, int], int]:
    names = [bars.symbols[index] for index in bars.symbol.tolist()]
    keys = zip(names, bars.trade_date.tolist(), bars.time_us.tolist(), strict=True)
    return {key: row for row, key in enumerate(keys)}


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """The same stretches without overlaps, as one where they are near: many batches of a moment are one question."""
    last: Span | None = None
    for span in sorted(spans):
        if last is not None and last[:2] == span[:2] and span.first_us <= last.last_us + NEAR_US:
            last = last._replace(last_us=max(last.last_us, span.last_us))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def _pages(numbers: Sequence[int], ticks_of: Mapping[int, Mapping[int, int]]) -> Iterator[list[int]]:
    page: list[int] = []
    ticks = batches = 0
    for number in numbers:
        of_row = ticks_of[number]
        if page and (ticks + sum(of_row.values()) > PAGE_TICKS or batches + len(of_row) > PAGE_BATCHES):
            yield page
            page, ticks, batches = [], 0, 0
        page.append(number)
        ticks += sum(of_row.values())
        batches += len(of_row)
    if page:
        yield page


def _chunks(numbers: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), most):
        yield numbers[start : start + most]


def _remove(numbers: Sequence[int]) -> None:
    """Remove rows, in key order as everybody does it."""
    for part in _chunks(numbers, 500):
        batch_ledger.delete("feed_pending", "id", part)


def _minute(time_us: int) -> int:
    return time_us // MINUTE_US * MINUTE_US
