"""Judges refused rows and dead letters again, and stores what passes under the number it came with.

One transaction a batch, under a lock on its claim row: the ticks, their candles, the ledger's figures and the row of
`ingest_requeue` that says who asked are written, and what was refused is removed, all of it or nothing. So it may be
killed, run twice or run by two at once. The feed hears of it by that row, once. While the rollover, retention or a
backup is at it, a requeue waits: what a backup compares does not change meanwhile.
"""

from __future__ import annotations

import datetime
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from celery import shared_task
from django.db import transaction
from django.db.models import F

from ingest import batch_decoding, record_storage, record_validation, repeats, room, tasks, validation
from ingest.batch_decoding import Batch, RecordGroup, TickGroup
from ingest.clocks import Trust
from marketdata import connections
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases, requests
from marketdata.models import (
    Client,
    DeadLetter,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestRequeue,
    IngestStream,
)
from marketdata.realtime import feed, live_state
from marketdata.storage import StorageError, storage
from marketdata.storage.base import EPOCH_DATE
from marketdata.types import checksums, decoding, minute_bars, records, reject_reasons
from marketdata.types import decoded as decoded_module
from marketdata.types import ticks as ticks_module
from marketdata.types.checksums import PRIME
from marketdata.types.decoded import Decoded
from marketdata.types.minute_bars import SumTooLargeError
from marketdata.types.records import Content, DecodedRecords
from marketdata.types.reject_reasons import Fault
from marketdata.types.ticks import SEQ_BITS, TICK_BITS, Int64, Mask, Ticks
from terminals import wire

CODES = reject_reasons.LETTERS_AGAIN
MINUTE_US = 60_000_000
ROW_MASK = (1 << TICK_BITS) - 1
PAGE = 5_000
HOUR_S = 3600
UPKEEP_PATIENCE_S = 60.0
"""So long a batch waits for the upkeep: rollovers last seconds, a large backup longer."""
State = IngestBatch.State
NOT_STORED = (State.REFUSED, State.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to judge again. Times are when it was refused; nothing given selects everything."""

    batches: tuple[int, ...] = ()
    client: str = ""
    reason: str = ""  # a reason of a row; then no dead letters
    code: str = ""  # a code of a dead letter; then no rows
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def __str__(self) -> str:
        said = {
            "batch": ",".join(f"{one >> SEQ_BITS}/{one & batch_ledger.SEQ_MASK}" for one in self.batches),
            "client": self.client,
            "reason": self.reason,
            "code": self.code,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
        }
        return " ".join(f"{name}={value}" for name, value in said.items() if value) or "everything"

    def rejects(self) -> Any:
        """The refused rows. A repeated record is stored already: judged by itself it would count twice."""
        rows = self._narrowed(IngestReject.objects.exclude(reasons__contains=repeats.REASON))
        return rows.filter(reasons__contains=self.reason) if self.reason else (rows.none() if self.code else rows)

    def letters(self) -> Any:
        """The dead letters."""
        rows = self._narrowed(DeadLetter.objects.filter(code__in=CODES))
        return rows.filter(code=self.code) if self.code else (rows.none() if self.reason else rows)

    def _narrowed(self, rows: Any) -> Any:
        if self.batches:
            rows = rows.filter(batch__in=self.batches)
        if self.since:
            rows = rows.filter(created_at__gte=self.since)
        if self.until:
            rows = rows.filter(created_at__lt=self.until)
        if self.client:
            chosen = rows.none()
            for stream in IngestStream.objects.filter(client__name=self.client).values_list("pk", flat=True):
                chosen |= rows.filter(batch__gte=stream << SEQ_BITS, batch__lt=(stream + 1) << SEQ_BITS)
            rows = chosen
        return rows


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of one batch: rows judged again, rows stored, and why the others stay refused."""

    batch: int
    judged: int = 0
    stored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    error: str = ""


def run(selection: Selection, *, asked_by: str, dry_run: bool = False) -> Iterator[Result]:
    """Judge what is selected again, batch by batch in the order of their numbers. What cannot be processed is told in
    its result and stops no other. Announces what was stored at the end, and whatever an earlier run left.

    leases.LeaseHeld, after the announcing, when the upkeep lasts longer than UPKEEP_PATIENCE_S."""
    held: leases.LeaseHeld | None = None
    for number in _batches(selection):
        try:
            yield _patiently(number, selection, asked_by, dry_run)
        except leases.LeaseHeld as error:
            held = error
            break
        except Exception as error:  # noqa: BLE001 - told with the batch; nothing of it was changed
            connections.drop()  # it may have been interrupted at the end of its transaction: the next is no part of it
            yield Result(batch=number, error=f"{type(error).__name__}: {error}"[:500])
    if not dry_run:
        announce()
    if held is not None:
        raise held


def _patiently(number: int, selection: Selection, asked_by: str, dry_run: bool) -> Result:
    """As `_one`, when the upkeep lets it."""
    limit = time.monotonic() + UPKEEP_PATIENCE_S
    while True:
        try:
            return connections.steadily(partial(_one, number, selection, asked_by, dry_run))
        except leases.LeaseHeld:
            if time.monotonic() > limit:
                raise
            time.sleep(0.5)


def _batches(selection: Selection) -> Iterator[int]:
    after = -1
    while True:
        page: set[int] = set()
        for rows in (selection.rejects(), selection.letters()):
            numbers = rows.filter(batch__gt=after).order_by("batch").values_list("batch", flat=True).distinct()
            page.update(numbers[:PAGE])
        if not page:
            return
        # Of each kind the first PAGE numbers: what lies behind the end of a full page comes with the next one.
        chosen = sorted(page)[:PAGE]
        yield from chosen
        after = chosen[-1]


# --- one batch --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Judged:
    """The outcome for the rows of a batch: `indices` of those that were looked at, `ticks` of the good ones, and why
    the others are `bad`: index -> reasons. Of order books and events `content` is what is beside their `ticks`; of a
    batch of gaps there are no ticks, and `gaps` are the good ones."""

    decoded: Decoded
    indices: list[int]
    ticks: Ticks
    bad: dict[int, str]
    content: Content | None = None
    gaps: dict[int, wire.Gap] = field(default_factory=dict)

    @property
    def stored(self) -> int:
        """How many rows or gaps are good."""
        return len(self.ticks) + len(self.gaps)

    @property
    def records(self) -> RecordGroup | None:
        """The good ones, if these are order books or events."""
        return None if self.content is None else RecordGroup(batches=[], ticks=self.ticks, content=self.content)

    def only(self, chosen: Mask) -> _Judged:
        """These of the good ones."""
        content = None if self.content is None else self.content.take(chosen)
        return replace(self, ticks=self.ticks.take(chosen), content=content)

    def without(self, chosen: Mask, fault: Fault) -> _Judged:
        """Of these good ticks it is found that they are not."""
        reasons = " ".join(reject_reasons.names(int(fault)))
        found = dict.fromkeys(_rows(self.ticks.take(chosen)), reasons)
        return replace(self.only(~chosen), bad=self.bad | found)


def _rows(ticks: Ticks) -> list[int]:
    """Their places in their batch."""
    rows: list[int] = (ticks.tick_id & ROW_MASK).tolist()
    return rows


def _one(number: int, selection: Selection, asked_by: str, dry_run: bool) -> Result:
    claim = IngestBatch.objects.filter(pk=number).first()
    if claim is None:
        return Result(batch=number, error="not in the ledger any more, so nothing can be stored under its number once")
    letter = selection.letters().filter(batch=number, checksum=claim.checksum).first()
    chosen = list(selection.rejects().filter(batch=number).order_by("idx"))
    if selection.reason:
        chosen = [row for row in chosen if selection.reason in row.reasons.split()]
    if letter is not None and claim.state in NOT_STORED:
        judged = _judge_letter(claim, bytes(letter.payload))
    elif chosen:
        judged = _judge_rows(claim, chosen)
    else:
        return Result(batch=number)
    declared = repeats.declarations([number >> SEQ_BITS], tasks.rights.client)
    if dry_run:
        judged = _without_repeats(judged, declared)
    else:
        if (group := judged.records) is None:
            room.make([judged.ticks], room_s=math.inf)
        else:
            room.make((), [group], room_s=math.inf)
        judged = _store_whole(number, judged, letter, declared, selection, asked_by)
    result = Result(batch=number, judged=len(judged.indices), stored=judged.stored)
    for reasons in judged.bad.values():
        for reason in reasons.split():
            result.reasons[reason] = result.reasons.get(reason, 0) + 1
    return result


def _judge_letter(claim: IngestBatch, payload: bytes) -> _Judged:
    batch = Batch(number=claim.pk, payload=payload, received_us=claim.received_us, source_id=_source(claim.pk))
    batch_decoding.decode([batch])
    tasks.rights.refuse([batch])
    if batch.decoded is None:
        raise ValueError(f"it is still no batch: {batch.refusal}")
    claim.captured_us, claim.feed = batch.captured_us, batch.feed
    return _judge(claim, batch.decoded, list(range(len(batch.decoded.gaps or batch.decoded.ticks))))


def _judge_rows(claim: IngestBatch, rows: list[IngestReject]) -> _Judged:
    kept = [_read(row.record) for row in rows]
    # Of books and of events all rows are; a row of ticks may have had any word for its kind.
    kinds = [record.get("kind") for record in kept if isinstance(record, dict)]
    gaps = {row.idx: gap for row, record in zip(rows, kept, strict=True) if (gap := wire.gap_of(record)) is not None}
    indices = [row.idx for row in rows]
    head = (1, claim.feed, claim.captured_us or 0)
    if len(gaps) == len(rows):
        payload = wire.encode_gaps(*head, list(gaps.values()))
    elif kinds and all(kind == "book" for kind in kinds):
        books = [records.book_of(record) if isinstance(record, dict) else None for record in kept]
        indices = [idx for idx, book in zip(indices, books, strict=True) if book is not None]  # the others stay refused
        payload = records.payload_of_books(*head, [book for book in books if book is not None])
    elif kinds and all(kind == "status" for kind in kinds):
        payload = wire.encode_events(*head, [_read(row.record, number=float) for row in rows])
    else:
        payload = wire.encode_rows(*head, [_as_row(record) for record in kept])
    return _judge(claim, decoding.from_wire(payload, source_id=_source(claim.pk), batch=claim.pk), indices)


def _read(record: str, number: Callable[[str], object] = str) -> Any:
    """A row as it was kept, every number exact unless `number` makes something else of it; None for one that older
    versions cut short: it stays refused, as no object."""
    try:
        return json.loads(
            record,
            parse_float=number,
            parse_constant=number,
            parse_int=lambda digits: int(digits) if len(digits) <= 25 else number(digits),
        )
    except ValueError:
        return None


def _as_row(shown: Any) -> Any:
    """As a JSON row has it. Of packed columns the time is called `time_us`, and an absent kind is none: in rows it
    would mean a trade."""
    if isinstance(shown, dict) and "time_us" in shown and "time" not in shown:
        shown["time"] = shown.pop("time_us")
        shown["kind"] = shown.get("kind") or "absent"
    return shown


def _judge(claim: IngestBatch, decoded: Decoded, indices: list[int]) -> _Judged:
    """As a worker does it, by today's rules, symbols, rights and clock offset."""
    batch = Batch(
        number=claim.pk, payload=b"", received_us=claim.received_us, source_id=decoded.ticks.source_id, decoded=decoded
    )
    if decoded.gaps:
        tasks.rights.judge_gaps([batch], tasks.directory.find)
        good_gaps = {indices[place]: gap for place, gap in batch.gaps.items()}
        reasons = {indices[place]: why for place, why in batch.refused_gaps.items()}
        return _Judged(decoded=decoded, indices=indices, ticks=decoded.ticks, bad=reasons, gaps=good_gaps)
    content: Content | None = None
    if isinstance(decoded, DecodedRecords):
        ticks, content, faults = records.joined([decoded])
    else:
        ticks, faults = decoded_module.joined([decoded])
    ticks.tick_id = (claim.pk << TICK_BITS) + np.array(indices, np.int64)
    rules = tasks.directory.find(ticks.symbols)
    captured_us = _captured(claim, ticks.time_us, tasks.trust())
    recency = tasks.recency(ticks.source_id)
    if content is not None:
        record_validation.judge(ticks, content, faults, rules=rules, captured_us=captured_us, recency=recency)
    else:
        validation.judge(ticks, faults, rules=rules, captured_us=captured_us, recency=recency)
    tasks.rights.judge([batch], ticks, faults, find=tasks.directory.find)
    good = faults == 0
    bad = {indices[row]: " ".join(reject_reasons.names(int(faults[row]))) for row in np.flatnonzero(~good)}
    content = None if content is None else content.take(good)
    return _Judged(decoded=decoded, indices=indices, ticks=ticks.take(good), bad=bad, content=content)


def _without_repeats(judged: _Judged, declared: Mapping[int, Client]) -> _Judged:
    repeated = repeats.among(judged.ticks, declared)
    return judged.without(repeated, Fault.REPEATED_RECORD) if repeated.any() else judged


def _captured(claim: IngestBatch, times_us: Int64, trust: Trust) -> Int64:
    """When the rows were captured, by the server's clock as it is now: the clock they were refused by may have been the
    wrong one. Of a batch that does not say it, an event may be as late as now and as old as it may be on arrival."""
    now_us, captured_us = batch_ledger.now_us(), claim.captured_us or 0
    moment_us = captured_us - (_offset(claim.pk) or 0)
    if (
        captured_us >= wire.EARLIEST_US
        and claim.received_us - trust.longest_us <= moment_us <= now_us + trust.tolerance_us
    ):
        return np.full(len(times_us), min(moment_us, now_us), np.int64)
    return np.clip(times_us, min(claim.received_us, now_us), now_us)


def _source(number: int) -> int:
    stream = IngestStream.objects.select_related("client").get(pk=number >> SEQ_BITS)
    if stream.client.source_id is None:
        raise ValueError(f"client {stream.client.name} has no source any more; give it one in the admin")
    return int(stream.client.source_id)


def _offset(number: int) -> int | None:
    found = IngestStream.objects.filter(pk=number >> SEQ_BITS).values_list("client__clock_offset_us", flat=True)
    return next(iter(found), None)


# --- the transaction --------------------------------------------------------------------------------------------------


def _store_whole(
    number: int,
    judged: _Judged,
    letter: DeadLetter | None,
    declared: Mapping[int, Client],
    selection: Selection,
    asked_by: str,
) -> _Judged:
    """Days whose candles were removed meanwhile make no new ones, and what a candle cannot hold stays refused, as on
    arrival."""
    closed: set[datetime.date] = set()
    tries = 0
    while tries < connections.TRIES:
        try:
            with storage().transaction():
                leases.keep_free(leases.UPKEEP)
                repeats.lock(declared)
                found = _without_repeats(judged, declared)
                return _store(number, found, letter, selection, asked_by, closed)
        except tasks.CandlesGoneError as error:
            tries += 1
            closed |= error.dates
        except SumTooLargeError as error:  # some rows fewer each time, so it ends
            beyond = batch_decoding.trades_of(judged.ticks, error.feed, error.keys)
            if not beyond.any():
                raise StorageError(str(error)) from error
            judged = judged.without(beyond, Fault.SUM_OUT_OF_RANGE)
    raise StorageError("candles of more and more days were removed under every attempt")


def _store(
    number: int,
    judged: _Judged,
    letter: DeadLetter | None,
    selection: Selection,
    asked_by: str,
    closed: set[datetime.date],
) -> _Judged:
    """What of the outcome is still to be done, done. Whoever was quicker with a row has it."""
    claim = IngestBatch.objects.select_for_update().get(pk=number)
    now_us = batch_ledger.now_us()
    if letter is not None:
        if claim.state not in NOT_STORED or not DeadLetter.objects.filter(pk=letter.pk).delete()[0]:
            return replace(judged.only(np.zeros(len(judged.ticks), bool)), indices=[], bad={}, gaps={})
        decoded = judged.decoded
        claim.state = str(State.STORED)
        claim.feed, claim.captured_us = judged.ticks.feed, decoded.header.captured_us
        claim.rejected = len(judged.bad)
        record = batch_decoding.records_of(decoded)
        batch_ledger.keep_rejects((number, row, reasons, record(row)) for row, reasons in sorted(judged.bad.items()))
        if decoded.gaps:
            batch_ledger.keep_gaps([(number, judged.ticks.feed, judged.gaps)])
    else:
        waiting = set(IngestReject.objects.filter(batch=number).values_list("idx", flat=True))
        judged = judged.only(np.isin(judged.ticks.tick_id & ROW_MASK, np.array(sorted(waiting), np.int64)))
        judged.gaps = {place: gap for place, gap in judged.gaps.items() if place in waiting}
        batch_ledger.add_gaps([(number, claim.feed, judged.gaps)])
        _forget_rejects(number, [*_rows(judged.ticks), *judged.gaps])
        claim.rejected -= judged.stored
        _note_reasons(number, judged.bad)
    ticks, spans = judged.ticks, []
    if len(ticks):
        if (group := judged.records) is None:
            tasks.store_ticks([TickGroup(batches=[], ticks=ticks)], now_us, closed)
            _add_days(ticks)
            spans = _spans(ticks)
        else:  # nobody waits to hear of these
            record_storage.store([group])
        claim.first_us = min(int(ticks.time_us.min()), claim.first_us or 2**62)
        claim.last_us = max(int(ticks.time_us.max()), claim.last_us or -(2**62))
    claim.stored += len(ticks)
    claim.rows = claim.stored + claim.rejected
    claim.save(update_fields=["state", "feed", "captured_us", "rows", "stored", "rejected", "first_us", "last_us"])
    IngestRequeue.objects.create(
        batch=number, feed=ticks.feed, asked_by=asked_by[:80], selection=str(selection)[:300],
        judged=len(judged.indices), stored=judged.stored, spans=spans, at_us=now_us, announced=not spans,
    )  # fmt: skip
    return judged


def _forget_rejects(number: int, indices: list[int]) -> None:
    for start in range(0, len(indices), 500):
        IngestReject.objects.filter(batch=number, idx__in=indices[start : start + 500]).delete()


def _note_reasons(number: int, bad: dict[int, str]) -> None:
    """Rows that stay refused may have other reasons by now."""
    for reasons in set(bad.values()):
        indices = [index for index, found in bad.items() if found == reasons]
        for start in range(0, len(indices), 500):
            rows = IngestReject.objects.filter(batch=number, idx__in=indices[start : start + 500])
            rows.exclude(reasons=reasons[:200]).update(reasons=reasons[:200])


def _add_days(ticks: Ticks) -> None:
    """Add what is stored now to the ledger by trading date."""
    new = {}
    for (number, day), figure in checksums.by_batch(ticks, ticks.tick_id >> TICK_BITS).items():
        date = EPOCH_DATE + datetime.timedelta(days=day)
        rows = IngestBatchDay.objects.filter(batch=number, trade_date=date)
        known = rows.values_list("checksum", flat=True).first()
        if known is None:
            new[number, day] = figure
        else:
            rows.update(rows=F("rows") + figure.rows, checksum=(known + figure.checksum) % PRIME)
    batch_ledger.claim_days(new)


# --- the feed ---------------------------------------------------------------------------------------------------------


def _spans(ticks: Ticks) -> list[list[Any]]:
    """Where the ticks lie: symbol, first and last event time, and their rows in the batch."""
    found = []
    for index in np.unique(ticks.symbol).tolist():
        of_symbol = ticks.take(ticks.symbol == index)
        times = of_symbol.time_us
        found.append([ticks.symbols[index], int(times.min()), int(times.max()), _rows(of_symbol)])
    return found


@shared_task(soft_time_limit=HOUR_S, time_limit=HOUR_S + 60)
def requeue_asked(
    *,
    entry: int,
    by: str,
    batch: int | None = None,
    batches: Sequence[int] = (),
    reason: str = "",
    code: str = "",
    **_: object,
) -> None:
    """What somebody asked for by the page of operations or in the administration."""
    chosen = tuple(batches) if batch is None else (batch,)
    selection = Selection(batches=chosen, reason=reason, code=code)
    requests.carry_out(entry, partial(_told, selection, by))


def _told(selection: Selection, by: str) -> str:
    """Judge what is selected again; in words what became of it."""
    batches = judged = stored = failed = 0
    reasons: Counter[str] = Counter()
    for result in run(selection, asked_by=by):
        batches += 1
        judged, stored, failed = judged + result.judged, stored + result.stored, failed + bool(result.error)
        reasons.update(result.reasons)
    words = f"batches {batches:,}, judged again {judged:,}, stored {stored:,}"
    if reasons:
        words += f"; still refused: {', '.join(f'{reason} {rows:,}' for reason, rows in reasons.most_common())}"
    return words + (f"; {failed:,} batches could not be judged" if failed else "")


@shared_task
def announce_requeued(**_: object) -> None:
    """What a requeue that was killed, or found Redis away, has stored and not announced."""
    announce()


def announce() -> int:
    """Publish what was stored by a requeue and the feed does not have yet; returns of how many batches. Once, whoever
    else does the same. redis.RedisError: Redis is away, and it is done later."""
    done = 0
    for requeued in IngestRequeue.objects.filter(announced=False).order_by("pk").iterator(100):
        parts = [part for span in requeued.spans if len(part := _read_back(requeued, *span))]
        if parts:  # else they were dropped again meanwhile
            _publish(requeued, parts)
        with transaction.atomic():
            IngestRequeue.objects.filter(pk=requeued.pk).update(announced=True)
        done += 1
    return done


def _publish(requeued: IngestRequeue, parts: list[Ticks]) -> None:
    """The ticks of each symbol, with their candles as they are now."""
    bars = []
    for part in parts:
        minutes = np.unique(part.time_us // MINUTE_US) * MINUTE_US
        symbol = part.symbols[int(part.symbol[0])]
        found = storage().read_minutes(symbol, requeued.feed, int(minutes[0]), int(minutes[-1]) + 1)
        bars.append(found.take(np.isin(found.time_us, minutes)))
    ticks = ticks_module.concatenate(parts)
    pipeline = live_state.connection().pipeline(transaction=False)
    feed.publish(
        pipeline,
        ticks.take(ticks.tick_id.argsort(kind="stable")),
        minute_bars.concatenate(bars),
        # A note of its own: the batch's is for what was stored when it came (`ingest.recovery`).
        notes=[feed.requeue_note(requeued.pk, requeued.at_us)],
        committed_us=requeued.at_us,
    )
    live_state.remember(pipeline, ticks)
    pipeline.execute()


def _read_back(requeued: IngestRequeue, symbol: str, first_us: int, last_us: int, rows: list[int]) -> Ticks:
    ticks = storage().read_ticks(symbol, requeued.feed, first_us, last_us + 1)
    return ticks.take(np.isin(ticks.tick_id, (requeued.batch << TICK_BITS) + np.array(rows, np.int64)))
