"""Refused rows and dead letters of one batch, judged as if they came now. Writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ingest import batch_decoding, record_validation, repeats, tasks, validation
from ingest.batch_decoding import Batch, RecordGroup
from ingest.clocks import Trust
from marketdata.ledger import batch_ledger
from marketdata.models import Client, IngestBatch, IngestReject, IngestStream
from marketdata.types import decoded_batches, decoding, records, reject_reasons
from marketdata.types.decoded_batches import Decoded
from marketdata.types.records import Content, DecodedRecords
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS, Int64, Mask, Ticks
from terminals import wire

ROW_MASK = (1 << TICK_BITS) - 1


@dataclass(slots=True, kw_only=True)
class Judged:
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

    def only(self, chosen: Mask) -> Judged:
        """These of the good ones."""
        content = None if self.content is None else self.content.take(chosen)
        return replace(self, ticks=self.ticks.take(chosen), content=content)

    def without(self, chosen: Mask, fault: Fault) -> Judged:
        """Of these good ticks it is found that they are not."""
        reasons = " ".join(reject_reasons.names(int(fault)))
        found = dict.fromkeys(places(self.ticks.take(chosen)), reasons)
        return replace(self.only(~chosen), bad=self.bad | found)


def places(ticks: Ticks) -> list[int]:
    """Their places in their batch."""
    rows: list[int] = (ticks.tick_id & ROW_MASK).tolist()
    return rows


def judge_letter(claim: IngestBatch, payload: bytes) -> Judged:
    """What becomes of a dead letter. ValueError: it is still no batch."""
    batch = Batch(number=claim.pk, payload=payload, received_us=claim.received_us, source_id=_source(claim.pk))
    batch_decoding.decode([batch])
    tasks.rights.refuse([batch])
    if batch.decoded is None:
        raise ValueError(f"it is still no batch: {batch.refusal}")
    claim.captured_us, claim.feed = batch.captured_us, batch.feed
    return _judge(claim, batch.decoded, list(range(len(batch.decoded.gaps or batch.decoded.ticks))))


def judge_rows(claim: IngestBatch, rows: list[IngestReject]) -> Judged:
    """What becomes of refused rows of a batch."""
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


def _judge(claim: IngestBatch, decoded: Decoded, indices: list[int]) -> Judged:
    """As a worker does it, by today's rules, symbols, rights and clock offset."""
    batch = Batch(
        number=claim.pk, payload=b"", received_us=claim.received_us, source_id=decoded.ticks.source_id, decoded=decoded
    )
    if decoded.gaps:
        tasks.rights.judge_gaps([batch], tasks.directory.find)
        good_gaps = {indices[place]: gap for place, gap in batch.gaps.items()}
        reasons = {indices[place]: why for place, why in batch.refused_gaps.items()}
        return Judged(decoded=decoded, indices=indices, ticks=decoded.ticks, bad=reasons, gaps=good_gaps)
    content: Content | None = None
    if isinstance(decoded, DecodedRecords):
        ticks, content, faults = records.joined([decoded])
    else:
        ticks, faults = decoded_batches.joined([decoded])
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
    return Judged(decoded=decoded, indices=indices, ticks=ticks.take(good), bad=bad, content=content)


def without_repeats(judged: Judged, declared: Mapping[int, Client]) -> Judged:
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
