"""Upkeep that a person asks for by hand. It is asked once at a time, done by a worker and never by who asks, and noted
in the audit log: who, what, and how it ended."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from celery import current_app

from marketdata.maintenance import leases
from marketdata.models import AuditEntry
from marketdata.storage import storage

log = logging.getLogger(__name__)

ASKED, RUNNING = "asked", "in progress"
EXPIRES = datetime.timedelta(minutes=15)
"""What no worker took within this is not done any more, and may be asked for again."""
_ASKING = "requests"  # a lease that nobody holds: who asks writes its row, so that two at once come one after the other


@dataclass(frozen=True, slots=True)
class Work:
    """The `task` that does it, and for how long it may be at it."""

    task: str
    longest: datetime.timedelta


WORKS = MappingProxyType(
    {
        "requeue": Work("ingest.requeue.requeue_asked", datetime.timedelta(hours=1)),
        "rollover": Work("marketdata.tasks.roll_over_asked", datetime.timedelta(hours=3)),
        "backup": Work("marketdata.tasks.back_up_asked", datetime.timedelta(hours=12)),
        "retention": Work("marketdata.tasks.retain_asked", datetime.timedelta(hours=1)),
    }
)
"""By name, which is that of the management command that does the same."""


def ask(name: str, *, by: str, text: str = "", **given: Any) -> tuple[AuditEntry, bool]:
    """The entry of the work, and whether it is new: False while the one before waits or is being done. `text` says
    what was asked beside the name, `given` is what the task takes (what msgpack knows). kombu's OperationalError,
    noted, when the broker is away."""
    work = WORKS[name]
    with storage().transaction():
        leases.keep_free(_ASKING)
        before = going(name)
        if before is not None:
            return before, False
        entry = AuditEntry.objects.create(actor=by[:100], action=name, text=f"{name} {text}".strip(), outcome=ASKED)
    try:
        current_app.send_task(
            work.task, kwargs={"entry": entry.pk, "by": by[:80], **given}, expires=EXPIRES.total_seconds()
        )
    except Exception as error:
        _end(entry.pk, f"not asked: {type(error).__name__}")
        raise
    return entry, True


def going(name: str) -> AuditEntry | None:
    """What waits or is being done of this work. One whose worker died counts until its time is over."""
    now = datetime.datetime.now(datetime.UTC)
    rows = AuditEntry.objects.filter(action=name)
    return (
        rows.filter(outcome=ASKED, at__gte=now - EXPIRES).first()
        or rows.filter(outcome=RUNNING, at__gte=now - EXPIRES - WORKS[name].longest).first()
    )


def carry_out(entry: int, work: Callable[[], str]) -> None:
    """In a worker: do what was asked for, once, and note what `work` says of it. A lease that somebody holds is an
    outcome; any other error is noted and raised."""
    if not AuditEntry.objects.filter(pk=entry, outcome=ASKED).update(outcome=RUNNING):
        return  # begun already
    try:
        outcome = work()
    except leases.LeaseHeld as error:
        outcome = f"not done, other upkeep is at it: {error}"
    except Exception as error:
        _end(entry, f"failed: {type(error).__name__}: {error}")
        raise
    _end(entry, outcome)


def _end(entry: int, outcome: str) -> None:
    AuditEntry.objects.filter(pk=entry).update(outcome=outcome[:300])
    log.info("asked work ended entry=%d outcome=%s", entry, outcome[:300])
