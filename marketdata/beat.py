"""The timetable's scheduler: django-celery-beat's, with a usable connection for each look into the database, asked
again when the database fails for a moment, and ended by a signal whatever it does then."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from celery import current_app, platforms
from celery.signals import beat_init
from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, InterfaceError
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from marketdata import connections
from marketdata.launcher import liveness
from marketdata.maintenance.turns import WRITTEN
from marketdata.monitoring import listener

log = logging.getLogger(__name__)


class Entry(ModelEntry):  # type: ignore[misc]  # untyped upstream
    """An entry whose last run is written down although its connection was lost; upstream would forget that run."""

    def save(self) -> None:
        """Write down when it ran last."""
        connections.steadily(super().save)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # untyped upstream
    """Upstream's commit before each look would be the first to notice a lost connection, too late to renew it."""

    Entry = Entry
    sync_every = WRITTEN.total_seconds()  # upstream's three minutes leave who looks without a last run for so long
    _last_timestamp: datetime | None
    _dirty: set[str]
    _schedule: dict[str, Any]

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ring what is due; how many seconds until the next."""
        liveness.renew(settings.ALIVE_FILE)
        wait_s: float = super().tick(*args, **kwargs)
        return wait_s

    def schedule_changed(self) -> bool:
        """Whether an entry was changed since the last look. No while the database cannot tell: it is asked soon again,
        and the timetable that is known goes on."""
        connections.refresh()
        try:
            newest = connections.steadily(self.Changes.last_change)
        except (DatabaseError, InterfaceError) as error:
            log.warning("changes of the timetable cannot be read error=%s", type(error).__name__)
            return False
        before, self._last_timestamp = self._last_timestamp, newest
        return bool(newest and newest > (before or newest))

    def sync(self) -> None:
        """Write down when entries ran last. What the database does not take now is written the next time; upstream
        would forget the first of them."""
        connections.refresh()
        for name in tuple(self._dirty):
            try:
                if name in self._schedule:
                    self._schedule[name].save()
            except ObjectDoesNotExist:
                log.info("entry is no longer in the timetable entry=%s", name)
            except (DatabaseError, InterfaceError) as error:
                log.warning("last runs cannot be written error=%s entries=%d", type(error).__name__, len(self._dirty))
                return
            self._dirty.discard(name)

    def close(self) -> None:
        """Write down when entries ran last, by a new connection: a query of the other may have been ended halfway."""
        connections.drop()
        super().close()

    def all_as_schedule(self) -> dict[str, Any]:
        """All entries by name. While the database fails the timetable that is known goes on, here beat would end; and
        while last runs could not be written, for what is read would take them to be due once more.

        Raises:
            DatabaseError: nothing is known yet: beat has just begun.
        """
        if self._schedule and self._dirty:
            return self._schedule
        try:
            found: dict[str, Any] = connections.steadily(super().all_as_schedule)
        except (DatabaseError, InterfaceError) as error:
            if not self._schedule:
                raise
            log.warning("timetable cannot be read error=%s", type(error).__name__)
            return self._schedule
        return found


@beat_init.connect
def answer_prometheus(**_: object) -> None:
    """Beat is one, so it is the one that tells what belongs to no process."""
    if settings.METRICS_PORT:
        from marketdata.monitoring.deployment import Deployment  # what it looks at is loaded by nobody else in beat

        listener.start(looks=Deployment([queue.name for queue in current_app.conf.task_queues]))


@beat_init.connect
def end_at_signals(**_: object) -> None:
    """Celery's own handler writes down last runs within the signal, and then again at the end. While a query of psycopg
    is under way, that waits for ever for the query that it interrupts."""
    platforms.signals.update(SIGTERM=_end, SIGINT=_end)


def _end(*_: object) -> None:
    raise SystemExit
