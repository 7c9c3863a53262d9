"""What people ask for by a page, and what beat calls of this room. The names are those of messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from celery import shared_task
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ingest.requeue.announcements import announce
from ingest.requeue.runs import run
from ingest.requeue.selection import Selection
from marketdata.maintenance import requests

HOUR_S = 3600


@shared_task(name="ingest.requeue.requeue_asked", soft_time_limit=HOUR_S, time_limit=HOUR_S + 60)
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


def _told(selection: Selection, by: str) -> Promise:
    """Judge what is selected again; in words what became of it."""
    batches = judged = stored = failed = 0
    reasons: Counter[str] = Counter()
    for result in run(selection, asked_by=by):
        batches += 1
        judged, stored, failed = judged + result.judged, stored + result.stored, failed + bool(result.error)
        reasons.update(result.reasons)
    told = _("batches {batches:,}, judged again {judged:,}, stored {stored:,}")
    words = [format_lazy(told, batches=batches, judged=judged, stored=stored)]
    if reasons:
        named = ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common())
        words.append(format_lazy(_("still refused: {reasons}"), reasons=named))
    if failed:
        words.append(format_lazy(_("batches that could not be judged: {number:,}"), number=failed))
    return format_lazy("; ".join(["{}"] * len(words)), *words)


@shared_task(name="ingest.requeue.announce_requeued")
def announce_requeued(**_: object) -> None:
    """What a requeue that was killed, or found Redis away, has stored and not announced."""
    announce()
