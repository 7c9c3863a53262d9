"""What the workers do: check, store and announce what terminals sent. One transaction a message; the ledger makes
repeats harmless."""

from __future__ import annotations

import datetime
import functools
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import redis
from celery import shared_task
from django.conf import settings

from analytics.alerts import due as alerts
from analytics.series import candles, index_closes
from ingest import (
    batch_decoding,
    batch_spans,
    bodies,
    failures,
    lost_claims,
    notifications,
    price_limits,
    record_storage,
    recovery,
    repeats,
    room,
    validation,
)
from ingest.batch_decoding import Batch, RecordGroup, TickGroup
from ingest.clocks import Trust
from ingest.refusals import watch_refusals  # noqa: F401 - where Celery finds it
from ingest.rights import Rights
from marketdata import alarms, connections, metrics
from marketdata.ledger import batch_ledger, set_aside
from marketdata.ledger.batch_ledger import Claim
from marketdata.logs import configuration, context
from marketdata.maintenance import dropped
from marketdata.models import IngestBatch
from marketdata.realtime import feed, live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import StorageBusyError, StorageError, storage
from marketdata.storage.base import TEMP, Blame
from marketdata.tracing import spans
from marketdata.types import checksums, tick_arrays
from marketdata.types.checksums import Figure
from marketdata.types.minute_bars import Bars, SumTooLargeError
from marketdata.types.records import BookColumns, Content, EventRows
from marketdata.types.tick_arrays import TICK_BITS, Mask, Ticks
from marketdata.types.units import DAY_US, date_of, day_of

log = logging.getLogger(__name__)
steps = logging.getLogger(configuration.BATCHES)

GroupT = TypeVar("GroupT", TickGroup, RecordGroup)
directory = Directory()
rights = Rights()


@shared_task
def process_batches(
    *, batches: list[list[object]] | None = None, body: list[object] | None = None, reply_to: str = "", **_: object
) -> None:
    """Check, store and announce what terminals sent: `batches`, or what lies where `body` says."""
    if body is not None:
        batches = bodies.take(body)
    if batches is None:
        return  # nobody was told of these batches, so they are driven again
    members = [Batch(**notifications.batch_fields(fields)) for fields in batches]
    with context.storing([batch.number for batch in members]):
        if spans.on():
            spans.is_about(context.traces_at_work())
        _take(members, reply_to)


def _take(members: list[Batch], reply_to: str) -> None:
    try:
        _process(members, reply_to)
    except room.NoRoomYetError as error:
        if len(members) > 1:
            _one_by_one(members, reply_to)  # the others need not wait
        else:
            log.info("batch comes again for its room batch=%d reason=%s", members[0].number, error)
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        if failures.blame(error) is not Blame.UNKNOWN or not failures.road_is_well(members):
            # Nothing is said against the batches: the ledger has not heard of them, so they are driven again.
            log.warning("commit failed batches=%d error=%s", len(members), told)
            connections.drop()
            words = f"{told[:300]}; {alarms.english(storage().remedy(error))}"
            notifications.failed(live_state.connection(), reply_to, members, words, infrastructure=True)
        elif len(members) > 1:
            _one_by_one(members, reply_to)  # so that one poisonous batch stops no other
        else:
            log.exception("batch cannot be processed batch=%d", members[0].number)
            notifications.failed(live_state.connection(), reply_to, members[:1], told, infrastructure=False)


def _one_by_one(members: Sequence[Batch], reply_to: str) -> None:
    for batch in members:
        process_batches(
            batches=[
                notifications.batch_message(
                    batch.number,
                    batch.payload,
                    batch.received_us,
                    batch.source_id,
                    batch.register_market,
                    batch.dead,
                    batch.offset_us,
                )
            ],
            reply_to=reply_to,
        )


def _process(members: list[Batch], reply_to: str) -> None:
    taken = time.perf_counter()
    batch_decoding.decode(members)
    groups, records = connections.steadily(lambda: _judge(members))
    started, began_ns = time.perf_counter(), time.time_ns()
    metrics.JUDGING_SECONDS.observe(started - taken)
    merged, committed_us, repeated = _commit(members, groups, records)
    metrics.TRANSACTION_SECONDS.observe(time.perf_counter() - started)
    fresh = [batch for batch in members if batch.number not in repeated]
    if spans.on():
        batch_spans.committed(members, repeated, began_ns)
    if steps.isEnabledFor(logging.DEBUG):
        for batch in members:
            steps.debug(
                "batch committed stored=%d rejected=%d repeated=%s", batch.stored if batch in fresh else 0,
                batch.rejected, batch.number in repeated, extra={"batches": (batch.number,)},
            )  # fmt: skip
    _announce(members, fresh, merged, _records_without(records, repeated), committed_us, repeated, reply_to)


def _judge(members: list[Batch]) -> tuple[list[TickGroup], list[RecordGroup]]:
    """What is good of the batches, and room for it."""
    rights.refuse(members)
    for batch in members:  # a replay may bring symbols nobody registered; its client was given that right
        rights.register(batch, directory)
    rights.judge_gaps(_unknown_gaps(members), directory.find)
    judge = functools.partial(rights.judge, find=directory.find)
    groups = batch_decoding.group(members, find=directory.find, recency=recency, trust=trust(), rights=judge)
    records: list[RecordGroup] = []
    if any(batch.records for batch in members):
        records = batch_decoding.group_records(
            members, find=directory.find, recency=recency, trust=trust(), rights=judge
        )
    room.make([group.ticks for group in groups], records)
    return groups, records


def _unknown_gaps(members: list[Batch]) -> list[Batch]:
    """The batches of gaps that the ledger does not have: one that is sent again uses up no quota."""
    told = [batch for batch in members if batch.decoded is not None and batch.decoded.gaps]
    known = batch_ledger.checksums(batch.number for batch in told) if told else {}
    return [batch for batch in told if batch.number not in known]


def trust() -> Trust:
    return Trust(longest_us=settings.MAX_SPOOL_DAYS * DAY_US, tolerance_us=int(settings.MAX_FUTURE_S * 1e6))


def recency(source_id: int) -> validation.Recency:
    max_age_s = directory.max_age_s(source_id)
    return validation.Recency(
        max_future_us=int(settings.MAX_FUTURE_S * 1e6), max_age_us=None if max_age_s is None else max_age_s * 1_000_000
    )


def _commit(
    members: list[Batch], groups: list[TickGroup], records: list[RecordGroup]
) -> tuple[list[tuple[TickGroup, Bars]], int, dict[int, int]]:
    """One transaction: claim, rejects, order books and events, ticks, candles, closes of indices. Returns merged
    candles by group, the time, and batches stored before."""
    known: dict[int, int] = {}
    closed: set[datetime.date] = set()
    tries = 0
    while tries < connections.TRIES:
        fresh = [batch for batch in members if batch.number not in known]
        if not fresh:
            return [], batch_ledger.now_us(), known
        try:
            left = _without(groups, known) if known else groups
            new = _records_without(records, known) if known else records
            merged, committed_us = connections.steadily(functools.partial(_store, fresh, left, new, closed))
            return merged, committed_us, known
        except CandlesGoneError as error:
            tries += 1
            log.warning("ticks kept without candles dates=%s", ",".join(map(str, sorted(error.dates))))
            closed |= error.dates
        except SumTooLargeError as error:  # some rows fewer each time, so it ends
            groups = batch_decoding.without_candles(groups, error.feed, error.keys)
        except batch_ledger.AlreadyClaimedError:
            tries += 1
            before, known = known, _known(members)
            if known == before:  # no claim row was in the way, so one is lost
                connections.steadily(functools.partial(_claim_again, fresh, left))
                known = _known(members)
    raise StorageBusyError("the ledger changed under every attempt to claim these batches")


def _known(members: list[Batch]) -> dict[int, int]:
    return connections.steadily(lambda: batch_ledger.checksums(batch.number for batch in members))


def _store(
    fresh: list[Batch], groups: list[TickGroup], records: list[RecordGroup], closed: set[datetime.date]
) -> tuple[list[tuple[TickGroup, Bars]], int]:
    """`closed` are the trading dates whose ticks make no candles; CandlesGoneError if there are more of them."""
    with storage().transaction():
        groups = repeats.set_aside(groups, rights.client)
        committed_us = batch_ledger.now_us()
        recovery.let_go()
        notes = recovery.notes({group.number: group.ticks for group in groups}, committed_us)
        batch_ledger.claim_together(_claim_rows(fresh, groups, records, committed_us), _by_day(groups), notes)
        _keep_refused(fresh)
        events = record_storage.store(records)
        merged = store_ticks(groups, committed_us, closed)
        index_closes.note(events)
    return merged, committed_us


def store_ticks(groups: list[TickGroup], now_us: int, closed: set[datetime.date]) -> list[tuple[TickGroup, Bars]]:
    """Within a transaction: ticks, what snapshots tell of their day, and candles; the candles as they will be. `closed`
    are the trading dates whose ticks make no candles; CandlesGoneError if there are more of them."""
    groups = sorted((group for group in groups if len(group.ticks)), key=lambda group: group.ticks.feed)
    for group in groups:
        _load_prices(group)
    merged = _load_and_merge([group.ticks for group in groups], now_us, closed) if groups else []
    # Asked last: what is noted from now on is removed after we commit, and our candles with it.
    if late := dropped.without_candles(_long_ago(groups, now_us) - closed):
        raise CandlesGoneError(late)
    return list(zip(groups, merged, strict=True))


def _claim_again(fresh: list[Batch], groups: list[TickGroup]) -> None:
    with storage().transaction():
        groups = repeats.set_aside(groups, rights.client)
    lost_claims.restore(
        _claim_rows(fresh, groups, (), batch_ledger.now_us()),
        _by_day(groups),
        groups,
        rejects={batch.number: batch.rejects for batch in fresh},
        categories=directory.categories,
    )


def _without(groups: list[TickGroup], known: dict[int, int]) -> list[TickGroup]:
    return [TickGroup(batches=left, ticks=group.ticks.take(rows)) for group, left, rows in _left(groups, known)]


def _records_without(groups: list[RecordGroup], known: dict[int, int]) -> list[RecordGroup]:
    return [
        RecordGroup(batches=left, ticks=group.ticks.take(rows), content=group.content.take(rows))
        for group, left, rows in _left(groups, known)
    ]


def _left(groups: Iterable[GroupT], known: dict[int, int]) -> Iterator[tuple[GroupT, list[Batch], Mask]]:
    """Of each group the batches that are not known yet, if there are any, and which rows are theirs."""
    for group in groups:
        left = [batch for batch in group.batches if batch.number not in known]
        if left:
            numbers = np.array([batch.number for batch in left], np.int64)
            yield group, left, np.isin(group.ticks.tick_id >> TICK_BITS, numbers)


def _keep_refused(fresh: list[Batch]) -> None:
    rejects = [reject for batch in fresh for reject in batch.rejects]
    if rejects:
        set_aside.keep_rejects(rejects)
    for batch in fresh:
        if batch.refusal is not None or batch.dead is not None:
            code = batch.refusal.code if batch.refusal else "dead_letter"
            error = batch.refusal.message if batch.refusal else str(batch.dead)
            set_aside.add_dead_letter(
                batch.number, checksum=batch.checksum, code=code, error=error, payload=batch.payload
            )
    set_aside.keep_gaps(
        (batch.number, batch.feed, batch.gaps)
        for batch in fresh
        if batch.refusal is None and batch.dead is None and batch.decoded is not None and batch.decoded.gaps
    )


def _by_day(groups: list[TickGroup]) -> dict[tuple[int, int], Figure]:
    """What each batch stores of each trading date; a batch is in one group only."""
    days: dict[tuple[int, int], Figure] = {}
    for group in groups:
        days |= checksums.by_batch(group.ticks, group.ticks.tick_id >> TICK_BITS)
    return days


def _claim_rows(
    fresh: list[Batch], groups: list[TickGroup], records: Sequence[RecordGroup], committed_us: int
) -> list[Claim]:
    ticks = [*(group.ticks for group in groups), *(group.ticks for group in records)]
    times = {batch: between for part in ticks for batch, between in batch_decoding.times_of_batches(part).items()}
    return [_claim_row(batch, times.get(batch.number, (None, None)), committed_us) for batch in fresh]


def _claim_row(batch: Batch, times_us: tuple[int | None, int | None], committed_us: int) -> Claim:
    """`times_us` are the first and the last event time of what is stored of the batch."""
    state = IngestBatch.State.STORED
    if batch.dead is not None:
        state = IngestBatch.State.DEAD
    elif batch.refusal is not None:
        state = IngestBatch.State.REFUSED
    return Claim(
        batch=batch.number,
        state=str(state),
        feed=batch.feed,
        rows=batch.stored + batch.rejected,
        stored=batch.stored,
        rejected=batch.rejected,
        checksum=batch.checksum,
        first_us=times_us[0],
        last_us=times_us[1],
        received_us=batch.received_us,
        committed_us=committed_us,
        captured_us=batch.captured_us,
    )


def _load_prices(group: TickGroup) -> None:
    told = tick_arrays.with_day(group.ticks)
    if told is None:
        return
    if storage().load_prices(told, directory.categories(told.symbols)) != len(told):
        raise StorageError("fewer prices were stored than the claimed batches have; the transaction is rolled back")


class CandlesGoneError(Exception):
    """Minute candles of these trading dates were removed, or the ledger that tells a repeat from what is new: their
    ticks are stored, and make no candles."""

    def __init__(self, dates: set[datetime.date]) -> None:
        super().__init__(dates)
        self.dates = dates


def _long_ago(groups: list[TickGroup], now_us: int) -> set[datetime.date]:
    """The trading dates of the ticks that retention may have got to: it keeps everything for a day at least."""
    today = now_us // DAY_US
    days = {day for group in groups for day in tick_arrays.trading_dates(group.ticks) if day < today - 1}
    return {date_of(day) for day in days}


def _load_and_merge(groups: list[Ticks], now_us: int, closed: set[datetime.date]) -> list[Bars]:
    """The ticks of all groups, then candles, in key order: they are what two workers may both want to write."""
    partial = [_partial(ticks, now_us, closed) for ticks in groups]
    stored = sum(storage().load(TEMP, ticks) for ticks in groups[:-1])
    last, merged = storage().load_and_merge(TEMP, groups[-1], partial[0])
    if stored + last != sum(map(len, groups)):
        raise StorageError("fewer ticks were stored than the claimed batches have; the transaction is rolled back")
    return [merged, *map(storage().merge_minutes, partial[1:])]


def _partial(ticks: Ticks, committed_us: int, closed: set[datetime.date]) -> Bars:
    live_source = directory.max_age_s(ticks.source_id) is not None
    if closed:
        ticks = ticks.take(~np.isin(ticks.trade_date, [day_of(date) for date in closed]))
    return candles.build(
        ticks,
        now_us=committed_us if live_source else None,
        late_after_us=int(settings.LATE_AFTER_S * 1e6),
    )


def _announce(
    members: list[Batch],
    fresh: list[Batch],
    merged: list[tuple[TickGroup, Bars]],
    records: list[RecordGroup],
    committed_us: int,
    repeated: dict[int, int],
    reply_to: str,
) -> None:
    """Tell feed, live state and the ingest server. A failure loses nothing: `ingest.recovery` and the ledger make up
    for it."""
    outcome = [notifications.outcome(batch, repeated) for batch in members]
    rows = sum(batch.stored for batch in fresh if batch.records is None)
    metrics.STORED_TICKS.inc(rows)
    books, events = (_stored(fresh, kind) for kind in (BookColumns, EventRows))
    metrics.STORED_BOOKS.inc(books)
    metrics.STORED_EVENTS.inc(events)
    metrics.STORED_GAPS.inc(sum(len(batch.gaps) for batch in fresh))
    for batch in fresh:
        for reason, number in batch.reasons.items():
            metrics.REJECTED_ROWS.labels(reason).inc(number)
        if batch.noise:
            metrics.FLOAT_NOISE.labels(directory.source(batch.source_id)).inc(batch.noise)
        if batch.refusal is not None:
            metrics.REFUSED_BATCHES.labels(batch.refusal.code).inc()
    _quarantine_changed(members, repeated)
    told_ns = time.time_ns()
    try:
        pipeline = live_state.connection().pipeline(transaction=False)
        notifications.settled(pipeline, reply_to, outcome)
        published = [(group, bars) for group, bars in merged if len(group.ticks)]
        for group, bars in published:
            feed.publish(
                pipeline,
                group.ticks,
                bars,
                notes=[feed.batch_note(b.number, b.checksum) for b in group.batches if b.stored],
                committed_us=committed_us,
                traces=context.traces_at_work() if spans.on() or steps.isEnabledFor(logging.DEBUG) else (),
            )
        for group, _ in published:
            live_state.remember(pipeline, group.ticks)
        live_state.count(
            pipeline,
            stored=rows,
            books=books,
            events=events,
            rejected=sum(b.rejected for b in fresh),
            float_noise=sum(b.noise for b in fresh),
            batches=len(fresh),
            commits=1 if fresh else 0,
            repeated=len(repeated),
            refused=sum(b.refusal is not None for b in fresh),
            dead=sum(b.dead is not None for b in fresh),
        )
        live_state.count_refused(pipeline, sum((Counter(batch.reasons) for batch in fresh), Counter()))
        record_storage.publish(pipeline, records)
        answers = pipeline.execute()
        if published:
            oldest_us = min(batch.received_us for group, _ in published for batch in group.batches)
            metrics.FEED_SECONDS.observe(max(batch_ledger.now_us() - oldest_us, 0) / 1e6)
        told = zip(published, answers[1 : 1 + len(published)], strict=True)
        if spans.on():
            for (group, _), answer in zip(published, answers[1:], strict=False):
                if answer[0] > 0:
                    batch_spans.announced(group.batches, group.ticks.feed, answer[0], told_ns)
        if steps.isEnabledFor(logging.DEBUG):
            for (group, _), answer in zip(published, answers[1:], strict=False):
                for batch in group.batches:
                    steps.debug(
                        "batch announced feed=%s offset=%s",
                        group.ticks.feed,
                        answer[0],
                        extra={"batches": (batch.number,)},
                    )
        # What is repeated was announced late meanwhile in a part, and so will the other part be.
        recovery.announced(group.number for (group, _), answer in told if not feed.repeated(answer))
        watched = [
            group.ticks.feed for (group, _), answer in zip(published, answers[1:], strict=False)
            if feed.is_watched(answer)
        ]  # fmt: skip
        watched += [feed for feed in record_storage.switched(records) if feed not in watched]
        if watched:
            alerts.evaluate_beside(watched)
    except redis.RedisError as error:
        metrics.FEED_FAILURES.inc()
        log.warning("announcing failed batches=%d error=%s", len(members), type(error).__name__)
    price_limits.watch((group.ticks for group, _ in merged if len(group.ticks)), directory.find)


def _stored(batches: list[Batch], kind: type[Content]) -> int:
    """How many records of a kind were stored of these batches."""
    return sum(one.stored for one in batches if one.records is not None and one.records.holds is kind)


def _quarantine_changed(members: list[Batch], repeated: dict[int, int]) -> None:
    """A seq that comes again with other content is kept aside: one of the two is a lie."""
    for batch in members:
        if batch_ledger.changed(repeated.get(batch.number, batch.checksum), batch.checksum):
            set_aside.keep_aside(batch.number, checksum=batch.checksum, payload=batch.payload)
