"""Upkeep that a person asks for by hand. It is asked once at a time, done by a worker and never by who asks, and noted
in the audit log: who, what, and how it ended.

Whoever does it holds a lease meanwhile, so it is known within a minute that a worker died: the work may be asked for
again then, and its entry says that it was not finished."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from celery import current_app
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.maintenance import leases
from marketdata.models import AuditEntry
from marketdata.models.texts import in_language, with_kind
from marketdata.storage import storage

log = logging.getLogger(__name__)

ASKED, RUNNING = "asked", "in progress"
LOST = "not finished: its worker ended; ask again, what is done stays done"
NOT_TAKEN = "not done: no worker took it in time; ask again"
_WORDS: dict[str, Promise] = {
    ASKED: _("waits for a worker"),
    RUNNING: _("in progress"),
    LOST: _("not finished: its worker ended; ask again, what is done stays done"),
    NOT_TAKEN: _("not done: no worker took it in time; ask again"),
    "done": _("done"),  # what a command ended with
}
"""What people read for the outcomes that are kept as these words."""
EXPIRES = datetime.timedelta(minutes=15)
"""What no worker took within this is not done any more, and may be asked for again."""
MOST_TOLD = 300  # letters of an outcome
LEASE_S = 60.0
"""So long after its worker died a work may be asked for again."""
_ASKING = "requests"  # a lease that nobody holds: who asks writes its row, so that two at once come one after the other


WORKS = MappingProxyType(
    {
        "requeue": "ingest.requeue.requeue_asked",
        "rollover": "marketdata.tasks.roll_over_asked",
        "backup": "marketdata.tasks.back_up_asked",
        "retention": "marketdata.tasks.retain_asked",
        "repair": "marketdata.tasks.repair_asked",
    }
)
"""The task that does it, by name, which is that of the management command that does the same."""


def ask(name: str, *, by: str, text: str = "", **given: Any) -> tuple[AuditEntry, bool]:
    """The entry of the work, and whether it is new: False while the one before waits or is being done. `text` says
    what was asked beside the name, `given` is what the task takes (what msgpack knows). kombu's OperationalError,
    noted, when the broker is away."""
    task = WORKS[name]
    with storage().transaction():
        leases.keep_free(_ASKING)
        before = going(name)
        if before is not None:
            return before, False
        entry = AuditEntry.objects.create(actor=by[:100], action=name, text=f"{name} {text}".strip(), outcome=ASKED)
    try:
        current_app.send_task(task, kwargs={"entry": entry.pk, "by": by[:80], **given}, expires=EXPIRES.total_seconds())
    except Exception as error:
        _end(entry.pk, format_lazy(_("not asked: {error}"), error=type(error).__name__))
        raise
    return entry, True


def going(name: str) -> AuditEntry | None:
    """What waits or is being done of this work: not what no worker took in time, nor what its worker left."""
    rows = AuditEntry.objects.filter(action=name)
    running = rows.filter(outcome=RUNNING).first()
    if running is not None and leases.is_held(_lease(name)):
        return running
    return rows.filter(outcome=ASKED, at__gte=datetime.datetime.now(datetime.UTC) - EXPIRES).first()


def close() -> int:
    """Say of what nobody does any more that it was not finished, or not begun; of how many that was so."""
    rows = AuditEntry.objects.filter(action__in=list(WORKS))
    asked = rows.filter(outcome=ASKED, at__lt=datetime.datetime.now(datetime.UTC) - EXPIRES)
    count = asked.update(outcome=NOT_TAKEN)
    for entry in rows.filter(outcome=RUNNING):
        if is_lost(entry):
            count += rows.filter(pk=entry.pk, outcome=RUNNING).update(outcome=LOST)
    return count


def is_lost(entry: AuditEntry) -> bool:
    """Whether the worker that was at it is gone: nobody holds the lease, or somebody who began later."""
    if entry.outcome != RUNNING:
        return False
    held = leases.is_held(_lease(entry.action))
    return not held or AuditEntry.objects.filter(action=entry.action, outcome=RUNNING, pk__gt=entry.pk).exists()


def texts(entry: AuditEntry) -> dict[str, str]:
    """The outcome by language, without English; nothing of one that was only kept in English."""
    if entry.outcome in _WORDS:
        return alarms.translations(_WORDS[entry.outcome])
    return entry.texts or {}


def shown(entry: AuditEntry) -> str:
    """The outcome in the reader's language, where there is one."""
    if entry.outcome in _WORDS:
        return str(_WORDS[entry.outcome])
    return in_language(entry.outcome, entry.texts)


def carry_out(entry: int, work: Callable[[], str | Promise]) -> None:
    """In a worker: do what was asked for, once, and note what `work` says of it, a text of the catalogue in each
    language. A lease that somebody holds is an outcome; any other error is noted and raised."""
    row = AuditEntry.objects.filter(pk=entry, outcome=ASKED).first()
    if row is None:
        return  # begun already
    try:
        with leases.hold(_lease(row.action), ttl_s=LEASE_S):
            if AuditEntry.objects.filter(pk=entry, outcome=ASKED).update(outcome=RUNNING):
                _end(entry, _outcome(entry, work))
    except leases.LeaseHeld as error:
        _end(entry, format_lazy(_("not done, {holder} is doing {job}"), holder=error.owner or "?", job=error.job))


def _outcome(entry: int, work: Callable[[], str | Promise]) -> str | Promise:
    try:
        return work()
    except leases.LeaseHeld as error:
        told = _("not done, other upkeep is at it: {job} by {holder}")
        return format_lazy(told, job=error.job, holder=error.owner or "?")
    except Exception as error:
        _end(entry, format_lazy(_("failed: {error}"), error=with_kind(error)))
        raise


def _lease(name: str) -> str:
    return f"asked/{name}"


def _end(entry: int, outcome: str | Promise) -> None:
    by_language = {language: text[:MOST_TOLD] for language, text in alarms.translations(outcome).items()}
    told = alarms.english(outcome)[:MOST_TOLD]
    AuditEntry.objects.filter(pk=entry).update(outcome=told, texts=by_language)
    log.info("asked work ended entry=%d outcome=%s", entry, told)
