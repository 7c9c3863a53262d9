"""When the timetable's entries run: what django-celery-beat has in the database, which is written by beat itself."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from celery import schedules
from django_celery_beat.models import PeriodicTask

WRITTEN = datetime.timedelta(seconds=30)
"""So seldom beat writes down when entries ran last."""
SLACK = datetime.timedelta(minutes=1)
"""Beat looks around every few seconds, and is started again within so long."""


@dataclass(frozen=True, slots=True)
class Turn:
    """When an entry is to run next (None: never), and whether it should have run by now, as far as can be known."""

    at: datetime.datetime | None
    overdue: bool


def following(entry: PeriodicTask, now: datetime.datetime) -> Turn:
    """The next turn of an entry as it is known at `now`."""
    if not entry.enabled or (entry.expires is not None and entry.expires <= now):
        return Turn(None, overdue=False)
    if entry.clocked is not None:
        return Turn(entry.clocked.clocked_time, overdue=entry.clocked.clocked_time < now - WRITTEN - SLACK)
    begins = entry.start_time if entry.start_time is not None and entry.start_time > now else None
    if begins is not None:
        return Turn(begins, overdue=False)
    last = entry.last_run_at
    if last is None:  # beat lets a time of day come after it was told of it
        at = now if entry.crontab is None else max(now, _after(entry, entry.date_changed or now, now))
        return Turn(at, overdue=False)
    due = _after(entry, last, now)
    overdue = due < now - WRITTEN - SLACK
    return Turn(due if overdue else _ahead(entry, due, now), overdue)


def _after(entry: PeriodicTask, last: datetime.datetime, now: datetime.datetime) -> datetime.datetime:
    """The turn after `last`, which may be over."""
    plan: Any = entry.schedule
    if isinstance(plan, schedules.crontab):
        start, left, _ = plan.remaining_delta(last)
        after: datetime.datetime = start + left
    elif isinstance(plan, schedules.schedule):
        after = last + plan.run_every  # type: ignore[attr-defined]  # set by its constructor
    else:
        after = now + max(plan.remaining_estimate(last), datetime.timedelta(0))
    return after


def _ahead(entry: PeriodicTask, due: datetime.datetime, now: datetime.datetime) -> datetime.datetime:
    """The first turn that is not over: runs since `last` may not be written down yet."""
    every: datetime.timedelta | None = getattr(entry.schedule, "run_every", None)
    if due < now and every:
        return due - (due - now) // every * every
    return max(due, now)
