"""Every piece of work begins with a usable database connection, and is tried again by one rule when the database
failed for a moment.

Django looks after connections at the begin and end of a web request only. Here is what everything else does: Celery's
tasks by their base class `Task`, the ingest server's threads by `refresh`, long commands by `steadily`.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from celery.contrib.django.task import DjangoTask
from django.db import close_old_connections, connections

from marketdata import metrics
from marketdata.logs import celery_signals
from marketdata.storage import storage
from marketdata.tracing import spans

log = logging.getLogger(__name__)

T = TypeVar("T")
TRIES = 5
GIVE_UP_S = 10.0
"""Work that began longer ago than this is not tried again at once, and with it what it is a part of: a database that is
frozen costs DATABASE_SILENCE_S and one try to connect, together less than 15 s. Whoever asked for the work does so
later: the ledger for batches, the timetable for everything else."""
ANSWERED_S = 0.05
"""A connection that answered so short a while ago is not asked whether it lives: where work follows on work that is a
round trip for each, and one that was lost since is met like any that is lost within the work."""
_work = threading.local()


@contextmanager
def _counted() -> Iterator[float]:
    """When the outermost piece of work of this thread began (monotonic)."""
    outermost = not hasattr(_work, "began")
    if outermost:
        _work.began = time.monotonic()
    try:
        yield _work.began
    finally:
        if outermost:
            del _work.began


def refresh() -> None:
    """Let go of this thread's connections that failed, are too old or do not answer. Not inside a transaction."""
    close_old_connections()
    lives = time.monotonic() < getattr(_work, "answered", float("-inf")) + ANSWERED_S
    for one in connections.all(initialized_only=True):
        if lives:
            one.health_check_done = True  # type: ignore[attr-defined]  # else Django asks before the next statement
        elif not one.in_atomic_block:
            one.close_if_health_check_failed()


def drop() -> None:
    """Close this thread's connections, also those that are too broken to be closed. Not inside a transaction."""
    _work.answered = float("-inf")
    for one in connections.all(initialized_only=True):
        if one.in_atomic_block:
            continue
        try:
            one.close()
        except Exception as error:  # noqa: BLE001 - a connection that cannot even be closed is gone as well
            log.debug("closing a broken connection failed error=%s", type(error).__name__)
            one.connection = None


def steadily(work: Callable[[], T], *, give_up_s: float | None = None) -> T:
    """Do something that is whole or not done at all, again on a new connection while the database fails for a moment
    (`Storage.is_transient`): at most `TRIES` times, and not once `give_up_s` (`GIVE_UP_S`) are over. Then the error is
    raised.

    Inside a transaction it is done once: only the whole transaction can be repeated.
    """
    longest_s = GIVE_UP_S if give_up_s is None else give_up_s
    with _counted() as began:
        for attempt in range(1, TRIES + 1):
            try:
                return work()
            except Exception as error:
                inside = any(one.in_atomic_block for one in connections.all(initialized_only=True))
                if inside or not storage().is_transient(error):
                    raise
                drop()
                if attempt == TRIES or time.monotonic() - began > longest_s:
                    raise
                metrics.TRANSACTION_RETRIES.inc()
                log.info("database failed for a moment attempt=%d error=%s", attempt, type(error).__name__)
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter, not a secret
    raise AssertionError("the last attempt returns or raises")


class Task(DjangoTask):  # type: ignore[type-arg]  # takes none when it runs
    """The base of every task. All tasks do whatever is still due, so each may be repeated as a whole."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _counted() as began, celery_signals.working_on(self.request, self.name), spans.task():
            refresh()
            try:
                answer = steadily(lambda: self.run(*args, **kwargs))
            except BaseException:
                drop()  # a task that was interrupted may leave its connection in the middle of an answer
                metrics.TASK_FAILURES.labels(self.name).inc()
                metrics.TASK_FAILURE.labels(self.name).set_to_current_time()
                raise
            _work.answered = time.monotonic()
            metrics.TASK_SECONDS.labels(self.name).observe(_work.answered - began)
            metrics.TASK_SUCCESS.labels(self.name).set_to_current_time()
            return answer
