"""What is to blame when a batch could not be stored: its content, or what it was to be stored in.

Only content is ever buried. An error whose meaning is not known is the content's only if a transaction of the same
shape, with content beyond doubt, is stored at the same moment: a sick database then makes no dead letters.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import numpy as np
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.db import transaction

from analytics.series import candles, index_closes
from ingest import record_storage, recovery, room
from ingest.batch_decoding import Batch, RecordGroup
from marketdata.ledger import batch_ledger, set_aside
from marketdata.ledger.batch_ledger import Claim
from marketdata.models import Feed, FeedOwner, IndexClose, JobLease, Market, Symbol, TradeDate
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import TEMP, Blame
from marketdata.types import checksums, day_figures, tick_arrays
from marketdata.types.records import BOOK_FIGURES, BookColumns, Content, EventRows
from marketdata.types.tick_arrays import ABSENT, NO_DATE, PRICE_UNIT, SIZE_UNIT, TICK_BITS, Ticks
from marketdata.types.units import DAY_US, date_of
from terminals import wire

log = logging.getLogger(__name__)

PROBE_SYMBOL = "NARU.PROBE"
PROBE_JOB = "probe"
_OURS = (SoftTimeLimitExceeded, MemoryError, OSError, redis.RedisError, StorageBusyError)


def blame(error: BaseException) -> Blame:
    """What an error of processing batches is to be blamed on, as far as the error alone says it."""
    return Blame.INFRASTRUCTURE if isinstance(error, _OURS) else storage().blame(error)


def road_is_well(batches: Sequence[Batch]) -> bool:
    """Whether a transaction like that of these batches goes through now: all tables that batches are written to, the
    same feed, trading dates and number of rows, with values nobody can object to. Everything of it is taken back; then
    one row is committed."""
    try:
        ticks = _neutral(batches)
        _try_road(ticks, _neutral_prices(batches, ticks), _neutral_records(batches, ticks))
    except Exception as error:  # noqa: BLE001 - whatever it is, the batches are not to blame for it
        log.warning("probe failed error=%s: %s", type(error).__name__, error)
        return False
    return True


class _TakenBack(Exception):
    """Ends the probe's transaction without a trace."""


def _try_road(ticks: Ticks, prices: Ticks | None, records: Sequence[RecordGroup]) -> None:
    store, now_us = storage(), batch_ledger.now_us()
    number = int(ticks.tick_id[0]) >> TICK_BITS
    room.make([ticks] if prices is None else [ticks, prices], records)
    claim = Claim(
        batch=number, state="stored", feed=ticks.feed, rows=len(ticks), stored=len(ticks), rejected=0, checksum=0,
        first_us=now_us, last_us=now_us, received_us=now_us, committed_us=now_us,
    )  # fmt: skip
    try:
        with store.transaction():
            _try_names(number)
            batch_ledger.claim([claim])
            set_aside.keep_rejects([(number, 0, "", "")])
            set_aside.add_dead_letter(number, checksum=0, code="", error="", payload=b"")
            set_aside.keep_gaps([(number, ticks.feed, {0: wire.Gap(from_us=now_us, to_us=now_us)})])
            batch_ledger.claim_days(checksums.by_batch(ticks, ticks.tick_id >> TICK_BITS))
            events = record_storage.store(records)
            recovery.expect({number: ticks}, now_us)
            store.load(TEMP, ticks)
            if prices is not None:
                store.load_prices(prices, {})
            store.merge_minutes(candles.build(ticks))
            if events:
                index_closes.keep(_neutral_close(number))
            raise _TakenBack
    except _TakenBack:
        pass
    with transaction.atomic():  # a commit: some troubles show only there
        JobLease.objects.update_or_create(job=PROBE_JOB, defaults={"owner": "", "until_us": now_us})


def _try_names(number: int) -> None:
    """What clients name into being, each in the words of who writes it; `number` is of this process."""
    name = f"{PROBE_SYMBOL}.{number}"
    Feed.objects.get_or_create(name=name[-16:])
    TradeDate.objects.bulk_create([TradeDate(trade_date=date_of(number % 3650))], ignore_conflicts=True)
    Symbol.objects.bulk_create(
        [Symbol(code=name, market=one) for one in Market.objects.all()[:1]], ignore_conflicts=True
    )
    FeedOwner.objects.bulk_create([FeedOwner(feed="", symbol=name, changed_us=0)], ignore_conflicts=True)


def _neutral(batches: Sequence[Batch]) -> Ticks:
    """Trades at one price, as many as the largest of these batches has, on its feed, times and trading dates."""
    decoded = [batch.decoded.ticks for batch in batches if batch.decoded is not None]
    given = max(decoded, key=len, default=tick_arrays.empty())
    given = given.take((given.time_us > 0) & (given.time_us != ABSENT) & (given.trade_date != NO_DATE))
    now_us = batch_ledger.now_us()
    rows = max(len(given), 1)
    ticks = tick_arrays.empty(given.feed or "probe", given.source_id or 1, rows, [PROBE_SYMBOL])
    ticks.symbol[:] = 0
    ticks.time_us[:] = given.time_us if len(given) else now_us
    ticks.trade_date[:] = given.trade_date if len(given) else now_us // DAY_US
    ticks.kind[:] = wire.Kind.TRADE
    ticks.price[:], ticks.size[:] = PRICE_UNIT, SIZE_UNIT
    # Stream 0 is nobody's, and each process has a number of its own there: probes do not wait for each other.
    ticks.tick_id[:] = (os.getpid() << TICK_BITS) + np.arange(rows)
    return ticks


def _neutral_records(batches: Sequence[Batch], ticks: Ticks) -> list[RecordGroup]:
    """Order books or events, or both, if these batches hold any: one of each of these trading dates."""
    ticks = _one_a_date(ticks)
    rows = len(ticks)
    nothing = np.full(rows, ABSENT, np.int64)
    level = np.full((rows, 1, 2), (PRICE_UNIT, SIZE_UNIT), np.int64)
    book = BookColumns(bids=level, asks=level, **dict.fromkeys(BOOK_FIGURES, nothing))
    neutral: list[Content] = [book, EventRows(words=["probe"] * rows, bodies=[{}] * rows, raw=[{}] * rows)]
    held = {batch.records.holds for batch in batches if batch.records is not None}
    return [RecordGroup(batches=[], ticks=ticks, content=content) for content in neutral if type(content) in held]


def _neutral_close(number: int) -> IndexClose:
    """A close of no index; `number` is of this process."""
    date = date_of(number % 3650)
    return IndexClose(code=f"probe.{number}", trade_date=date, close=PRICE_UNIT, feed="probe", time_us=0, event_id=0)


def _neutral_prices(batches: Sequence[Batch], ticks: Ticks) -> Ticks | None:
    """A snapshot of each of these trading dates that tells of its day, if these batches hold any."""
    decoded = [batch.decoded.ticks for batch in batches if batch.decoded is not None]
    if all(tick_arrays.with_day(one) is None for one in decoded):
        return None
    prices = _one_a_date(ticks)
    prices.kind[:] = wire.Kind.SNAPSHOT
    prices.day = day_figures.absent(len(prices))
    prices.day.open[:] = PRICE_UNIT
    return prices


def _one_a_date(ticks: Ticks) -> Ticks:
    return ticks.take(np.unique(ticks.trade_date, return_index=True)[1])
