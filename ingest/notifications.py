"""What ingest server and workers tell each other: a batch on its way to a worker, and what became of it on the way
back.

The way back is a hint over a short Redis stream; the ledger is the truth and is asked when a hint is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgpack
import redis

from ingest.batch_decoding import Batch
from marketdata.ledger import batch_ledger
from terminals import wire

STREAM = "naru:notices:"
KEEP = 5_000
EXPIRE_S = 3_600
SESSIONS = "sessions"
Code = wire.RejectCode | wire.BatchCode | Literal[""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a batch. `failed` says why a worker could not process it; it is then not in the ledger.
    `infrastructure`: not the batch is to blame, but what it was to be stored in. All of it is said of the content with
    this checksum (0: the worker did not say), and of no other under the same number."""

    batch: int
    code: Code = ""
    rejected: int = 0
    reasons: Mapping[str, int] | None = None
    message: str = ""
    failed: str = ""
    infrastructure: bool = False
    checksum: int = 0


def batch_message(
    number: int,
    payload: bytes,
    received_us: int,
    source_id: int,
    register_market: str | None,
    dead: str | None,
    offset_us: int | None = None,
) -> list[object]:
    """A batch as it travels in a Celery message; later versions may append fields."""
    return [number, payload, received_us, source_id, register_market, dead, offset_us]


def batch_fields(message: list[Any]) -> dict[str, Any]:
    """The inverse of `batch_message`, as arguments of `work.Batch`."""
    names = ("number", "payload", "received_us", "source_id", "register_market", "dead", "offset_us")
    return dict(zip(names, message, strict=False))


def outcome(batch: Batch, repeated: Mapping[int, int]) -> Outcome:
    """What to tell of a batch that is in the ledger now."""
    code: Code = ""
    message, rejected, reasons = "", 0, {}
    if batch.number in repeated:
        code, message = known_already(repeated[batch.number], batch.checksum)
    elif batch.refusal is not None:
        code, message = batch.refusal.code, batch.refusal.message
    elif batch.dead is not None:
        code, message = "dead_letter", batch.dead
    elif batch.rejected:
        code, rejected, reasons = "rows", batch.rejected, dict(batch.reasons)
    return Outcome(
        batch=batch.number, code=code, rejected=rejected, reasons=reasons, message=message, checksum=batch.checksum
    )


def known_already(known: int, checksum: int) -> tuple[Literal["", "checksum_mismatch"], str]:
    """(code, message) for a batch whose number was in the ledger before, with the checksum `known`."""
    if known == checksum:
        return "", ""
    if known == batch_ledger.GIVEN_UP:
        return "checksum_mismatch", "this client gave the number up, to send the batch in a new epoch"
    return "checksum_mismatch", "this seq was committed before with other content; the new content is kept aside"


def settled(pipeline: Any, reply_to: str, outcomes: Iterable[Outcome]) -> None:
    """Queue telling the ingest server `reply_to` that batches are committed."""
    _send(pipeline, reply_to, outcomes)


def failed(
    connection: redis.Redis, reply_to: str, batches: Iterable[Batch], error: str, *, infrastructure: bool
) -> None:
    """Tell the ingest server that batches could not be processed; it decides how often to try."""
    told = [
        Outcome(batch=batch.number, failed=error[:500], infrastructure=infrastructure, checksum=batch.checksum)
        for batch in batches
    ]
    try:
        _send(connection, reply_to, told)
    except redis.RedisError:
        return  # the batch is driven again anyway


def sessions_changed(client: redis.Redis, instance: str) -> None:
    """Tell an ingest server that a client of its has logged in elsewhere, so that it looks at once. A hint, as all of
    these; a server that is gone leaves nothing behind for long."""
    pipeline = client.pipeline(transaction=False)
    pipeline.xadd(STREAM + instance, {"o": msgpack.packb([]), SESSIONS: 1}, maxlen=KEEP, approximate=True)
    pipeline.expire(STREAM + instance, EXPIRE_S)
    pipeline.execute()


def tell_of_sessions(rows: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> bool:
    """Whether one of the rows read from the notice stream is `sessions_changed`."""
    return any(SESSIONS.encode() in values for _, values in rows)


def _send(client: Any, reply_to: str, outcomes: Iterable[Outcome]) -> None:
    packed = msgpack.packb(
        [
            [o.batch, o.code, o.rejected, dict(o.reasons or {}), o.message, o.failed, o.infrastructure, o.checksum]
            for o in outcomes
        ]
    )
    client.xadd(STREAM + reply_to, {"o": packed}, maxlen=KEEP, approximate=True)


def read(rows: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> tuple[bytes | None, list[Outcome]]:
    """(last entry id, outcomes) of rows read from the notice stream; what a worker of a later version adds is let
    pass."""
    last, outcomes = None, []
    names = ("batch", "code", "rejected", "reasons", "message", "failed", "infrastructure", "checksum")
    for entry_id, values in rows:
        last = entry_id
        outcomes += [Outcome(**dict(zip(names, told, strict=False))) for told in msgpack.unpackb(values[b"o"])]
    return last, outcomes
