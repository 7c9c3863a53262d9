"""What was committed and may not be in the feed yet, and how it gets there.

A worker notes each batch in `feed_pending`, in the transaction that stores it. Once Redis has taken the announcement it
removes the note, many together in a later transaction. What stays is a few seconds old, or belongs to a worker that
died between the two, or to a Redis that was away: `announce_missed` reads those batches back and publishes them,
without the rows that a requeue added: it announces those itself. It also removes the notes of what was announced. Which
batch was is a matter of rows and of the feed's own notes, so no clock that was wrong and no order of commits can lose
one or announce one twice.
"""

from __future__ import annotations

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
from marketdata.types.minute_bars import MINUTE_US, Bars
from marketdata.types.ticks import TICK_BITS, Ticks

log = logging.getLogger(__name__)

LEASE, LEASE_S = "naru:feed-recovery", 60
BUDGET_S = 20.0
LOOKED_AT = 20_000  # batches a run
PAGE_TICKS, PAGE_BATCHES = 50_000, 500  # read and published together
REMOVED_TOGETHER = 100  # notes; one statement less in most commits, and 100 rows go as quickly as a few
NEAR_US = 10_000_000  # stretches of a symbol that are nearer than this are read as one

_announced: set[int] = set()
"""Batches that this process announced and whose notes it has not removed yet."""
_waiting: dict[int, float] = {}
"""Batches that this process has seen unannounced, and since when (monotonic)."""


class Pending(NamedTuple):
    """A row of `feed_pending`."""

    batch: int
    feed: str
    ticks: int
    committed_us: int
    spans: bytes


# --- the worker's part ------------------------------------------------------------------------------------------------


def expect(stored: Iterable[Ticks], committed_us: int) -> None:
    """In the transaction that stores these ticks: note that the feed has to get them, and let go of what it has got."""
    let_go()
    batch_ledger.insert(notes(stored, committed_us))


def let_go() -> None:
    """In a transaction: remove the notes of what the feed has got, once they are many."""
    if len(_announced) >= REMOVED_TOGETHER:
        gone = sorted(_announced)
        _remove(gone)
        transaction.on_commit(partial(_announced.difference_update, gone))


def notes(stored: Iterable[Ticks], committed_us: int) -> Rows:
    """What is to be noted in the transaction that stores these ticks: that the feed has to get them."""
    rows = [
        Pending(batch=batch, feed=ticks.feed, ticks=count, committed_us=committed_us, spans=msgpack.packb(spans))
        for ticks in stored
        if len(ticks)
        for batch, count, spans in _places(ticks)
    ]
    # The note of a batch that the ledger has lost may still be there when the batch is stored again.
    return Rows("feed_pending", Pending._fields, sorted(rows), key="batch")


def announced(batches: Iterable[int]) -> None:
    """Redis has taken the announcement of these batches."""
    _announced.update(batches)


def _places(ticks: Ticks) -> Iterator[tuple[int, int, list[tuple[str, int, int, int]]]]:
    """Of each batch how many ticks it has, and where: by symbol and trading date from the first to the last."""
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
    for place, (batch, count) in enumerate(zip(batches.tolist(), counts.tolist(), strict=True)):
        yield batch, count, spans[bounds[place] : bounds[place + 1]]


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
    pending = FeedPending.objects.order_by("committed_us", "batch").values_list("batch", "ticks")[:LOOKED_AT]
    ticks_of = dict(pending)
    missing: list[int] = []
    for part in _chunks(list(ticks_of), 1000):
        notes = _feed_notes(part)
        unknown = set(feed.unpublished(live_state.connection(), list(notes.values())))
        missing += [batch for batch, note in notes.items() if note in unknown]
    _remove(sorted(ticks_of.keys() - set(missing)))
    now = time.monotonic()
    since = {batch: _waiting.get(batch, now) for batch in missing}
    _waiting.clear()
    _waiting.update(since)
    due = [batch for batch in missing if now - since[batch] >= settle_s]
    left = len(missing)
    for page in _pages(due, ticks_of):
        _publish(page)
        left -= len(page)
        if time.monotonic() > until:
            log.info("feed recovery goes on in its next turn batches=%d", left)
            break
    metrics.FEED_PENDING.set(left)


def _publish(batches: Sequence[int]) -> None:
    """Read these batches' ticks and candles back and publish each batch once."""
    rows = [
        Pending(row[0], row[1], row[2], row[3], bytes(row[4]))
        for part in _chunks(batches, 500)
        for row in FeedPending.objects.filter(batch__in=part).values_list(*Pending._fields)
    ]
    order = {batch: place for place, batch in enumerate(batches)}
    rows.sort(key=lambda row: order[row.batch])
    notes = _feed_notes(batches)
    pipeline = live_state.connection().pipeline(transaction=False)
    for name in sorted({row.feed for row in rows}):
        _queue(pipeline, name, [row for row in rows if row.feed == name], notes)
    pipeline.execute()
    _remove(sorted(row.batch for row in rows))
    metrics.FEED_RECOVERED.inc(len(rows))


def _queue(pipeline: redis.client.Pipeline, name: str, rows: Sequence[Pending], notes: Mapping[int, str]) -> None:
    spans = list(_joined(Span(*span) for row in rows for span in msgpack.unpackb(row.spans)))
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


def _pages(batches: Sequence[int], ticks_of: dict[int, int]) -> Iterator[list[int]]:
    page: list[int] = []
    ticks = 0
    for batch in batches:
        if page and (ticks + ticks_of[batch] > PAGE_TICKS or len(page) == PAGE_BATCHES):
            yield page
            page, ticks = [], 0
        page.append(batch)
        ticks += ticks_of[batch]
    if page:
        yield page


def _chunks(batches: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(batches), most):
        yield batches[start : start + most]


def _remove(batches: Sequence[int]) -> None:
    """Remove notes, in key order as everybody does it."""
    for part in _chunks(batches, 500):
        batch_ledger.delete("feed_pending", "batch", part)


def _minute(time_us: int) -> int:
    return time_us // MINUTE_US * MINUTE_US
