"""Stores what passed, in one transaction a batch, and removes what was refused of it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from django.db.models import F

from analytics.series import index_closes
from ingest import batch_decoding, record_storage, repeats, tasks
from ingest.batch_decoding import TickGroup
from ingest.requeue import judging
from ingest.requeue.judging import Judged
from ingest.requeue.selection import Selection
from marketdata import connections
from marketdata.ledger import batch_ledger, set_aside
from marketdata.maintenance import leases
from marketdata.models import Client, DeadLetter, IngestBatch, IngestBatchDay, IngestReject, IngestRequeue
from marketdata.storage import StorageError, storage
from marketdata.types import checksums
from marketdata.types.checksums import PRIME
from marketdata.types.minute_bars import SumTooLargeError
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import date_of

State = IngestBatch.State
NOT_STORED = (State.REFUSED, State.DEAD)


def store(
    number: int,
    judged: Judged,
    letter: DeadLetter | None,
    declared: Mapping[int, Client],
    selection: Selection,
    asked_by: str,
) -> Judged:
    """Days whose candles were removed meanwhile make no new ones, and what a candle cannot hold stays refused, as on
    arrival. Returns what was still to be done. StorageError: it could not be stored, and nothing of it was."""
    closed: set[datetime.date] = set()
    tries = 0
    while tries < connections.TRIES:
        try:
            with storage().transaction():
                leases.keep_free(leases.UPKEEP)
                repeats.lock(declared)
                found = judging.without_repeats(judged, declared)
                return _written(number, found, letter, selection, asked_by, closed)
        except tasks.CandlesGoneError as error:
            tries += 1
            closed |= error.dates
        except SumTooLargeError as error:  # some rows fewer each time, so it ends
            beyond = batch_decoding.trades_of(judged.ticks, error.feed, error.keys)
            if not beyond.any():
                raise StorageError(str(error)) from error
            judged = judged.without(beyond, Fault.SUM_OUT_OF_RANGE)
    raise StorageError("candles of more and more days were removed under every attempt")


def _written(
    number: int,
    judged: Judged,
    letter: DeadLetter | None,
    selection: Selection,
    asked_by: str,
    closed: set[datetime.date],
) -> Judged:
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
        set_aside.keep_rejects((number, row, reasons, record(row)) for row, reasons in sorted(judged.bad.items()))
        if decoded.gaps:
            set_aside.keep_gaps([(number, judged.ticks.feed, judged.gaps)])
    else:
        waiting = set(IngestReject.objects.filter(batch=number).values_list("idx", flat=True))
        judged = judged.only(np.isin(judged.ticks.tick_id & judging.ROW_MASK, np.array(sorted(waiting), np.int64)))
        judged.gaps = {place: gap for place, gap in judged.gaps.items() if place in waiting}
        set_aside.add_gaps([(number, claim.feed, judged.gaps)])
        _forget_rejects(number, [*judging.places(judged.ticks), *judged.gaps])
        claim.rejected -= judged.stored
        _note_reasons(number, judged.bad)
    ticks, spans = judged.ticks, []
    if len(ticks):
        if (group := judged.records) is None:
            tasks.store_ticks([TickGroup(batches=[], ticks=ticks)], now_us, closed)
            _add_days(ticks)
            spans = _spans(ticks)
        else:  # nobody waits to hear of these
            index_closes.note(record_storage.store([group]))
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
        date = date_of(day)
        rows = IngestBatchDay.objects.filter(batch=number, trade_date=date)
        known = rows.values_list("checksum", flat=True).first()
        if known is None:
            new[number, day] = figure
        else:
            rows.update(rows=F("rows") + figure.rows, checksum=(known + figure.checksum) % PRIME)
    batch_ledger.claim_days(new)


def _spans(ticks: Ticks) -> list[list[Any]]:
    """Where the ticks lie: symbol, first and last event time, and their rows in the batch."""
    found = []
    for index in np.unique(ticks.symbol).tolist():
        of_symbol = ticks.take(ticks.symbol == index)
        times = of_symbol.time_us
        found.append([ticks.symbols[index], int(times.min()), int(times.max()), judging.places(of_symbol)])
    return found
