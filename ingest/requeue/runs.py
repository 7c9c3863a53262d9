"""Judges what is selected again, batch by batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from ingest import repeats, room, tasks
from ingest.requeue import judging, storing
from ingest.requeue.announcements import announce
from ingest.requeue.selection import Selection, batches
from marketdata import connections
from marketdata.maintenance import leases
from marketdata.models import IngestBatch
from marketdata.types.tick_arrays import SEQ_BITS

UPKEEP_PATIENCE_S = 60.0
"""So long a batch waits for the upkeep: rollovers last seconds, a large backup longer."""


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
    for number in batches(selection):
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


def _one(number: int, selection: Selection, asked_by: str, dry_run: bool) -> Result:
    claim = IngestBatch.objects.filter(pk=number).first()
    if claim is None:
        return Result(batch=number, error="not in the ledger any more, so nothing can be stored under its number once")
    letter = selection.letters().filter(batch=number, checksum=claim.checksum).first()
    chosen = list(selection.rejects().filter(batch=number).order_by("idx"))
    if selection.reason:
        chosen = [row for row in chosen if selection.reason in row.reasons.split()]
    if letter is not None and claim.state in storing.NOT_STORED:
        judged = judging.judge_letter(claim, bytes(letter.payload))
    elif chosen:
        judged = judging.judge_rows(claim, chosen)
    else:
        return Result(batch=number)
    declared = repeats.declarations([number >> SEQ_BITS], tasks.rights.client)
    if dry_run:
        judged = judging.without_repeats(judged, declared)
    else:
        if (group := judged.records) is None:
            room.make([judged.ticks], room_s=math.inf)
        else:
            room.make((), [group], room_s=math.inf)
        judged = storing.store(number, judged, letter, declared, selection, asked_by)
    result = Result(batch=number, judged=len(judged.indices), stored=judged.stored)
    for reasons in judged.bad.values():
        for reason in reasons.split():
            result.reasons[reason] = result.reasons.get(reason, 0) + 1
    return result
