"""One session a client over all ingest servers: a row of the database with a fence that grows with every login. Who
holds an older one has been taken over, wherever the newer one is, and may change nothing any more that a newer session
rests on.

A fence never ends a session for being unknown: a database that failed over to a replica, or was restored, may have lost
the newest logins. What it lacks is put back by the server that knows it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from marketdata.models import SessionFence
from marketdata.storage import storage

log = logging.getLogger(__name__)


class SupersededError(Exception):
    """The client has logged in again since; only its newest session may do this."""


@dataclass(frozen=True, slots=True)
class Fence:
    """A session's place among those of its client: the greatest `number` is the newest. `holder` tells two servers
    apart to which a database that had lost some gave the same."""

    client_id: int
    number: int
    holder: str

    def is_behind(self, number: int | None, holder: str | None) -> bool:
        """Whether a row that says this is of a newer session."""
        return number is not None and (number > self.number or (number == self.number and holder != self.holder))


def take(client_id: int, holder: str) -> tuple[Fence, str]:
    """A login: (its fence, the holder of the one before it or ""). All fences of the client before are old now."""
    mine = SessionFence.objects.filter(client_id=client_id)
    with storage().transaction():
        # `previous` first: MariaDB assigns from left to right and would read the new holder.
        if not mine.update(previous=F("holder"), holder=holder, number=F("number") + 1):
            SessionFence.objects.bulk_create([SessionFence(client_id=client_id)], ignore_conflicts=True)
            mine.update(previous=F("holder"), holder=holder, number=F("number") + 1)
        number, previous = mine.values_list("number", "previous").get()
    return Fence(client_id, number, holder), previous


def guard(fence: Fence) -> None:
    """Inside a transaction: nobody takes this client over before that ends. SupersededError if somebody has."""
    # The row is written, not only locked: the nodes of a Galera cluster do not know of each other's locks.
    mine = SessionFence.objects.filter(client_id=fence.client_id)
    if mine.filter(number=fence.number, holder=fence.holder).update(guarded=F("guarded") + 1):
        return
    if any(fence.is_behind(number, holder) for number, holder in mine.values_list("number", "holder")):
        raise SupersededError(f"client {fence.client_id} has logged in since fence {fence.number}")
    restore([fence])


def restore(lost: Iterable[Fence]) -> None:
    """Put back what the database does not know any more; what it knows of newer sessions stays."""
    for fence in lost:
        mine = SessionFence.objects.filter(client_id=fence.client_id)
        with transaction.atomic():
            SessionFence.objects.bulk_create([SessionFence(client_id=fence.client_id)], ignore_conflicts=True)
            if mine.filter(number__lt=fence.number).update(number=fence.number, holder=fence.holder):
                log.error("the database had lost a session client=%d fence=%d", fence.client_id, fence.number)
