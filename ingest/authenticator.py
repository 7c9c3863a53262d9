"""Decides in the database whether a HELLO is let in, and where its spool resumes. Runs in a thread, never on the
event loop."""

from __future__ import annotations

import contextlib
import datetime
import time
from dataclasses import dataclass

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import connections
from marketdata.ledger import batch_ledger, comparisons, stream_numbers
from marketdata.ledger.comparisons import Difference
from marketdata.limits import quotas
from marketdata.models import Client, Market
from marketdata.realtime import redis_health
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


def open_stream(client_id: int, epoch: str, *, above: int = 0) -> int | Refused:
    """The number of a new spool whose first batch is there; `above` is the greatest one this server knows."""
    connections.refresh()
    try:
        return stream_numbers.open_stream(Client.objects.get(pk=client_id), epoch, above=above)
    except stream_numbers.OldEpochError:
        return Refused("old_epoch", "a newer spool of this client has begun; continue with that one", "old_epoch")
    except quotas.QuotaReached as error:
        return Refused("quota_reached", f"no new spool: {error}", "quota_reached")


def watch_redis(watches: list[redis_health.Watch]) -> None:
    """Look at each Redis, and raise or resolve its alarms."""
    connections.refresh()
    for watch in watches:
        watch.step(time.monotonic())


def revoked(client_ids: list[int]) -> list[int]:
    """Which of these clients may no longer send."""
    connections.refresh()
    allowed = set(Client.objects.filter(pk__in=client_ids, is_active=True, may_send=True).values_list("pk", flat=True))
    return [client_id for client_id in client_ids if client_id not in allowed]


def audit(admission: ClientSession, asked: wire.Audit, *, given: int = 0) -> Difference:
    """What of the client's batches the ledger does not have, or has with other content. `given` is the number its spool
    has by now; ledger.NumberTakenError if the database has given it to another."""
    connections.refresh()
    stream = given or admission.stream
    if stream:
        stream_numbers.keep_number(admission.client_id, admission.epoch, stream)
    else:
        stream = _stream(admission, closing=bool(asked.closing))
    if not asked.checksums:
        found = Difference(batch_ledger.missing(stream, asked.ranges), [])
    else:
        seqs = [seq for first, last in asked.ranges for seq in range(first, last + 1) if seq <= wire.MAX_SEQ]
        if asked.closing:
            comparisons.give_up(stream, seqs)
        sums = wire.unpack_checksums(asked.checksums)
        found = comparisons.compare(stream, dict(zip(seqs, sums, strict=False)))
    if stream and not asked.closing:
        comparisons.tell(admission.client_id, admission.epoch, found)
    return found


def _stream(admission: ClientSession, *, closing: bool) -> int:
    """The number of a spool that had none at its login. What is to be given up needs one."""
    client = Client.objects.get(pk=admission.client_id)
    if closing:
        return stream_numbers.open_stream(client, admission.epoch)
    return stream_numbers.find_stream(client, admission.epoch) or 0


def keep_offsets(offsets_us: dict[int, int]) -> None:
    """Note how far clients' clocks are from ours, by client."""
    connections.refresh()
    for client_id, offset_us in offsets_us.items():
        Client.objects.filter(pk=client_id).update(clock_offset_us=offset_us)
