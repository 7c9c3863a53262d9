"""Who may run a piece of upkeep: one at a time, by a row in the database whose fence grows with every new owner.

Time is the database's own clock, so machines need not agree on theirs. A holder that was paused finds its lease lost
the next time it asks, and what it writes with an older fence is refused.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection, connections

from marketdata.models import JobLease
from marketdata.storage import storage

log = logging.getLogger(__name__)

UPKEEP = "upkeep"
"""The rollover, retention, voids and backups take it, and a requeue waits for it (`keep_free`): while a backup is made
no partition changes, and of what counts ticks nothing goes and nothing that is settled changes."""


class LeaseHeld(Exception):
    """Another process holds the lease; the message names it."""

    def __init__(self, job: str, owner: str, fence: int) -> None:
        super().__init__(f"{job!r} is being run by {owner or 'somebody'} (fence {fence})")
        self.job, self.owner, self.fence = job, owner, fence


class LeaseLost(Exception):
    """The lease ran out and somebody else may have it; stop at once."""


class Lease:
    """A lease held by this process, until `hold` ends. `fence` is written with whatever is done under it."""

    def __init__(self, job: str, owner: str, fence: int, ttl_s: float) -> None:
        self.job, self.owner, self.fence, self.ttl_s = job, owner, fence, ttl_s

    def check(self) -> None:
        """Make the lease last `ttl_s` from now; LeaseLost if it is not ours any more."""
        clock = storage().clock_sql
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE job_lease SET until_us = {clock} + %s"  # noqa: S608 - an expression of the storage's own
                f" WHERE job = %s AND owner = %s AND fence = %s AND until_us >= {clock}",
                [int(self.ttl_s * 1e6), self.job, self.owner, self.fence],
            )
            if cursor.rowcount == 0 and not self._still_ours():
                raise LeaseLost(f"the lease {self.job!r} (fence {self.fence}) ran out; somebody else may have it")

    def _still_ours(self) -> bool:
        # MariaDB counts changed rows: two checks within one microsecond change nothing the second time.
        found = JobLease.objects.filter(job=self.job, owner=self.owner, fence=self.fence)
        return any(until_us >= storage().clock_us() for until_us in found.values_list("until_us", flat=True))


@contextmanager
def hold(job: str, *, ttl_s: float = 60.0) -> Iterator[Lease]:
    """Hold the lease while the block runs; a thread renews it three times in `ttl_s`. LeaseHeld if it is taken."""
    lease = _take(job, ttl_s)
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, ended), name=f"lease-{job}", daemon=True)
    keeper.start()
    try:
        yield lease
    finally:
        ended.set()
        keeper.join(timeout=5)
        _give_back(lease)


def _take(job: str, ttl_s: float) -> Lease:
    owner = f"{socket.gethostname()[:40]}/{os.getpid()}/{secrets.token_hex(4)}"
    _make_row(job)
    clock = storage().clock_sql
    with storage().transaction(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE job_lease SET owner = %s, fence = fence + 1, until_us = {clock} + %s"  # noqa: S608 - as above
            f" WHERE job = %s AND until_us < {clock}",
            [owner, int(ttl_s * 1e6), job],
        )
        taken = cursor.rowcount
        row = JobLease.objects.get(job=job)
    if not taken:
        raise _held(row)
    return Lease(job, owner, row.fence, ttl_s)


def keep_free(job: str) -> None:
    """Inside a transaction: nobody takes the lease before that ends; who wants it waits so long. LeaseHeld if
    somebody has it. For work that is done in many short transactions and must not keep the holders from theirs."""
    _make_row(job)
    with connection.cursor() as cursor:
        # The row is written, not only locked: the nodes of a Galera cluster do not know of each other's locks.
        cursor.execute(
            f"UPDATE job_lease SET fence = fence + 1 WHERE job = %s AND until_us < {storage().clock_sql}",  # noqa: S608
            [job],
        )
        if cursor.rowcount == 0:
            raise _held(JobLease.objects.get(job=job))


def is_held(job: str) -> bool:
    """Whether somebody has the lease at this moment."""
    held = JobLease.objects.filter(job=job).values_list("until_us", flat=True)
    return any(until_us >= storage().clock_us() for until_us in held)


def _make_row(job: str) -> None:
    if not JobLease.objects.filter(job=job).exists():
        JobLease.objects.bulk_create([JobLease(job=job)], ignore_conflicts=True)


def _held(row: JobLease) -> LeaseHeld:
    return LeaseHeld(row.job, row.owner, row.fence)


def _keep(lease: Lease, ended: threading.Event) -> None:
    try:
        while not ended.wait(lease.ttl_s / 3):
            try:
                lease.check()
            except LeaseLost:
                log.warning("lease lost job=%s fence=%d", lease.job, lease.fence)
                return
            except DatabaseError as error:  # tried again; the holder itself asks before each step
                log.warning("lease not renewed job=%s error=%s", lease.job, type(error).__name__)
                connection.close()
    finally:
        connections.close_all()


def _give_back(lease: Lease) -> None:
    try:
        JobLease.objects.filter(job=lease.job, owner=lease.owner, fence=lease.fence).update(until_us=0)
    except DatabaseError as error:  # it runs out by itself
        log.warning("lease not given back job=%s error=%s", lease.job, type(error).__name__)
