"""The numbers of spools: given with the first batch of each, kept, and never given again."""

from __future__ import annotations

import logging

from django.db import IntegrityError, transaction

from marketdata.ledger import session_fences
from marketdata.limits import quotas
from marketdata.models import Client, IngestBatch, IngestStream
from marketdata.storage.base import StorageBusyError
from marketdata.types.tick_arrays import SEQ_BITS

log = logging.getLogger(__name__)
NUMBER_TRIES = 20


class OldEpochError(Exception):
    """The client has since opened a newer spool; only that one may send."""


class NumberTakenError(Exception):
    """The number of a spool is another one's in the database as it is now."""


def find_stream(client: Client, epoch: str) -> int | None:
    """The number of the client's spool `epoch`, None if it has none yet. OldEpochError unless it is the newest of the
    client."""
    newest = IngestStream.objects.filter(client=client).order_by("-id").first()
    if newest is not None and newest.epoch == epoch:
        return int(newest.pk)
    if IngestStream.objects.filter(client=client, epoch=epoch).exists():
        raise OldEpochError(epoch)
    return None


def keep_number(client_id: int, epoch: str, number: int) -> None:
    """A spool is known to have this number. A failover to a replica that lagged may have lost it, while batches under
    it are stored: then it is put back. NumberTakenError if it was given to another spool meanwhile."""
    if IngestStream.objects.filter(pk=number, client=client_id, epoch=epoch).exists():
        return
    try:
        with transaction.atomic():
            IngestStream.objects.create(pk=number, client_id=client_id, epoch=epoch)
    except IntegrityError as error:
        raise NumberTakenError(f"number {number} of epoch {epoch} was given to another spool") from error
    log.error("the database had lost the number of a spool stream=%d epoch=%s", number, epoch)


def open_stream(client: Client, epoch: str, *, above: int = 0, fence: session_fences.Fence | None = None) -> int:
    """As `find_stream`, and a spool that has no number is given one: when its first batch is there, for numbers are
    never used again. It is greater than `above` and the number of any batch. quotas.QuotaReached if the client may not
    have one more today, or nobody ever. StorageBusyError if others were quicker each time.

    With a `fence` only the newest session of the client is given one, else session_fences.SupersededError."""
    found = find_stream(client, epoch)
    if found is not None:
        return found
    for quota in (quotas.STREAMS, quotas.SPOOLS):
        if not quota.take(1, client):
            raise quota.reached(client)
    for _try in range(NUMBER_TRIES):
        # Not the database's own sequence, which leaves out a number for each transaction that is rolled back.
        number = max(quotas.STREAMS.used(None), _highest_stream(), above) + 1
        try:
            with transaction.atomic():
                if fence is not None:
                    session_fences.guard(fence)
                return int(IngestStream.objects.create(pk=number, client=client, epoch=epoch).pk)
        except IntegrityError:  # somebody else was quicker, perhaps another connection of this very terminal
            found = find_stream(client, epoch)
            if found is not None:
                return found
    raise StorageBusyError("other clients take every number for a spool; come again")


def _highest_stream() -> int:
    newest = IngestBatch.objects.order_by("-batch").values_list("batch", flat=True).first()
    return 0 if newest is None else int(newest) >> SEQ_BITS
