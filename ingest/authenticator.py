"""Decides in the database whether a HELLO is let in, and where its spool resumes. Runs in a thread, never on the
event loop."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import connections
from marketdata.ledger import batch_ledger, comparisons, session_fences, stream_numbers
from marketdata.ledger.comparisons import Difference
from marketdata.ledger.session_fences import Fence
from marketdata.limits import quotas
from marketdata.models import Client, Market, SessionFence
from marketdata.realtime import redis_health
from marketdata.storage import storage
from marketdata.types import scopes
from terminals import wire

_NOBODY = wire.verifier(wire.new_secret())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSession:
    """A client that is let in. `stream` 0: its spool is new and gets a number with its first batch."""

    client_id: int
    name: str
    source_id: int
    source: str
    stream: int
    commit: int
    ranges: list[tuple[int, int]]
    proof: str
    epoch: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A client that is not: the code it is told, and the reason only the operator sees."""

    code: wire.ErrorCode
    message: str
    reason: str


def authenticate(hello: wire.Hello, auth_message: bytes, *, given: int = 0, above: int = 0) -> ClientSession | Refused:
    """Check identity first, then what it asks for. An unknown client and a wrong proof look the same from outside.

    `given` is the number this server knows the spool by, `above` the greatest one it knows."""
    connections.refresh()
    client = Client.objects.select_related("source").filter(name=hello.client).first()
    stored_key = bytes(client.stored_key) if client else _NOBODY.stored_key
    proven = wire.check_client(stored_key, auth_message, hello.proof)
    if client is None or not proven or not client.is_active or not client.may_send or client.source is None:
        if client is None:
            reason = "unknown_client"
        elif not proven:
            reason = "wrong_proof"
        else:
            reason = "disabled" if not client.is_active else "may_not_send"
        return Refused("not_authorised", "unknown client, wrong key, or a client that may not send", reason)
    if hello.source != client.source.code:
        return Refused(
            "source_mismatch", f"this client sends {client.source.code}, not {hello.source}", "source_mismatch"
        )
    if hello.register_market and not client.may_register:
        return Refused(
            "register_refused", "this client may not register symbols; allow it in the admin", "register_refused"
        )
    if hello.register_market and not scopes.allows(client.markets, hello.register_market):
        return Refused(
            "register_refused",
            f"this client may send symbols of {client.markets or 'no market'} only",
            "market_refused",
        )
    if hello.register_market and not Market.objects.filter(code=hello.register_market).exists():
        return Refused(
            "register_refused", f"there is no market {hello.register_market}; add it in the admin", "unknown_market"
        )
    if hello.first > wire.MAX_SEQ + 1:
        return Refused("bad_message", f"first must be at most {wire.MAX_SEQ + 1}", "bad_first")
    if given:
        with contextlib.suppress(stream_numbers.NumberTakenError):  # it begins anew under another
            stream_numbers.keep_number(client.pk, hello.epoch, given)
    try:
        stream = stream_numbers.find_stream(client, hello.epoch) or 0
        if not stream and hello.first > 1:  # it sent to a ledger that was lost: what it no longer has is to be told
            stream = stream_numbers.open_stream(client, hello.epoch, above=above)
    except stream_numbers.OldEpochError:
        message = "a newer spool of this client exists; continue with that one, or begin a new spool"
        return Refused("old_epoch", message, "old_epoch")
    except quotas.QuotaReached as error:
        return Refused("quota_reached", f"no new spool: {error}", "quota_reached")
    commit: int = hello.first - 1
    ranges: list[tuple[int, int]] = []
    if stream:
        top = batch_ledger.highest(stream)
        if top > hello.last and hello.compares:
            why = format_lazy(_("the spool ends at batch {last}, the ledger has {top}"), last=hello.last, top=top)
            comparisons.tell_differs(client, hello.epoch, why)
        elif top > hello.last:
            message = "the server has batches of this epoch that the spool does not have; begin a new spool"
            return Refused("spool_behind", message, "spool_behind")
        comparisons.tell_holes(client, stream, hello.first - 1)
        commit, ranges = batch_ledger.committed(stream, hello.first)
    Client.objects.filter(pk=client.pk).update(last_seen_at=datetime.datetime.now(datetime.UTC))
    return ClientSession(
        client_id=client.pk,
        name=client.name,
        source_id=client.source.pk,
        source=client.source.code,
        stream=stream,
        commit=commit,
        ranges=ranges,
        proof=wire.server_proof(bytes(client.server_key), auth_message),
        epoch=hello.epoch,
    )


def take_session(client_id: int, holder: str) -> tuple[Fence, str]:
    """Who is let in takes over from every session of the client before, also from those of other ingest servers: the
    fence, and who held the one before."""
    connections.refresh()
    return session_fences.take(client_id, holder)


def open_stream(fence: Fence, epoch: str, *, above: int = 0) -> int | Refused:
    """The number of a new spool whose first batch is there; `above` is the greatest one this server knows. Of a session
    that was taken over none is given: it would shut out the spool of the newer one."""
    connections.refresh()
    try:
        client = Client.objects.get(pk=fence.client_id)
        return stream_numbers.open_stream(client, epoch, above=above, fence=fence)
    except session_fences.SupersededError:
        return Refused("old_epoch", "this client has logged in again elsewhere; continue there", "superseded")
    except stream_numbers.OldEpochError:
        return Refused("old_epoch", "a newer spool of this client has begun; continue with that one", "old_epoch")
    except quotas.QuotaReached as error:
        return Refused("quota_reached", f"no new spool: {error}", "quota_reached")


def watch_redis(watches: list[redis_health.Watch]) -> None:
    """Look at each Redis, and raise or resolve its alarms."""
    connections.refresh()
    for watch in watches:
        watch.step(time.monotonic())


def ended(fences: Collection[Fence]) -> tuple[list[int], list[int]]:
    """(clients that may no longer send, clients that have a newer session elsewhere) of those that have these."""
    connections.refresh()
    allowed = Client.objects.filter(
        pk__in=[fence.client_id for fence in fences], is_active=True, may_send=True
    ).values_list("pk", "session_fence__number", "session_fence__holder")
    known: dict[int, tuple[int | None, str | None]] = {pk: (number, holder) for pk, number, holder in allowed}
    there = [fence for fence in fences if fence.client_id in known]
    superseded = {fence.client_id for fence in there if fence.is_behind(*known[fence.client_id])}
    session_fences.restore(
        fence
        for fence in there
        if fence.client_id not in superseded and known[fence.client_id] != (fence.number, fence.holder)
    )
    return [fence.client_id for fence in fences if fence.client_id not in known], sorted(superseded)


def audit(admission: ClientSession, asked: wire.Audit, fence: Fence, *, given: int = 0) -> Difference:
    """What of the client's batches the ledger does not have, or has with other content. `given` is the number its spool
    has by now; ledger.NumberTakenError if the database has given it to another. session_fences.SupersededError if a
    session that was taken over wants to give batches up."""
    connections.refresh()
    stream = given or admission.stream
    if stream:
        stream_numbers.keep_number(admission.client_id, admission.epoch, stream)
    else:
        stream = _stream(admission, fence if asked.closing else None)
    if not asked.checksums:
        found = Difference(batch_ledger.missing(stream, asked.ranges), [])
    else:
        seqs = [seq for first, last in asked.ranges for seq in range(first, last + 1) if seq <= wire.MAX_SEQ]
        if asked.closing:
            with storage().transaction():
                session_fences.guard(fence)
                comparisons.give_up(stream, seqs)
        sums = wire.unpack_checksums(asked.checksums)
        found = comparisons.compare(stream, dict(zip(seqs, sums, strict=False)))
    if stream and not asked.closing:
        comparisons.tell(admission.client_id, admission.epoch, found)
    return found


def _stream(admission: ClientSession, closing: Fence | None) -> int:
    """The number of a spool that had none at its login. What is to be given up needs one."""
    client = Client.objects.get(pk=admission.client_id)
    if closing is not None:
        return stream_numbers.open_stream(client, admission.epoch, fence=closing)
    return stream_numbers.find_stream(client, admission.epoch) or 0


def keep_offsets(offsets_us: Mapping[Fence, int]) -> None:
    """Note how far clients' clocks are from ours, by session; of one that was taken over nothing is noted."""
    connections.refresh()
    for fence, offset_us in offsets_us.items():
        session = SessionFence.objects.filter(client=OuterRef("pk"), number=fence.number, holder=fence.holder)
        Client.objects.filter(Exists(session), pk=fence.client_id).update(clock_offset_us=offset_us)
