"""A large message's batches lie in a Redis key of their own, and the Celery message carries the key's name.

kombu writes a message's body as base64 in JSON, which costs more than all else about it. The keys are slots that are
written over and over: as many as messages may be out, so that their memory is bounded without anybody deleting them. A
key that is gone or has other content by then is a lost message like any other: the ingest server sends its batches
again, and then within the message.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

import msgpack
import redis

from ingest.in_flight import InFlightBatch
from marketdata import metrics
from marketdata.realtime import broker

log = logging.getLogger(__name__)

KEY = "naru:body:"
EXPIRE_S = 300
"""How long a body is kept when nobody writes over it: after that its ingest server is gone, or no worker runs."""
FROM_BYTES = 48 << 10
"""Smaller bodies travel within the message: a second command costs more than their base64 (docs/adr/0014)."""
UP_TO_BYTES = 1 << 20
"""Larger ones as well, so that the keys of an ingest server have at most so many bytes each."""
TOKEN_BYTES = 8


class Bodies:
    """The keys of one ingest server. Knows which are in use from the batches of the messages they were written for."""

    def __init__(self, owner: str, most: int) -> None:
        self._owner = owner
        self._users: list[tuple[int | None, list[InFlightBatch]]] = [(None, [])] * most

    def put(
        self, batches: list[list[object]], entries: list[InFlightBatch], message: int | None
    ) -> list[object] | None:
        """Write a body; [key, token] for the message that is to carry it, None for one that has to carry its batches
        itself. redis.RedisError when that fails."""
        size = sum(len(entry.payload) for entry in entries)
        if not FROM_BYTES <= size <= UP_TO_BYTES or message is None or any(entry.publishes for entry in entries):
            return None
        slot = self._free()
        if slot is None:
            return None
        key, token = f"{KEY}{self._owner}:{slot}", secrets.token_bytes(TOKEN_BYTES)
        broker.connection().set(key, token + msgpack.packb(batches), ex=EXPIRE_S)
        self._users[slot] = (message, entries)
        return [key, token]

    def _free(self) -> int | None:
        """A key whose message is settled, given up or being sent again."""
        for slot, (message, entries) in enumerate(self._users):
            if all(entry.message != message for entry in entries):
                return slot
        return None


def take(body: list[Any]) -> list[list[object]] | None:
    """The batches that lie where [key, token] says, None (counted) when they are not there or cannot be read."""
    key, token = body
    try:
        found: Any = broker.connection().get(key)
    except redis.RedisError as error:
        found = None
        log.warning("body unreadable key=%s error=%s", key, type(error).__name__)
    if found is None or found[:TOKEN_BYTES] != token:
        metrics.MISSING_BODIES.inc()
        log.warning("body gone key=%s", key)
        return None
    batches: list[list[object]] = msgpack.unpackb(memoryview(found)[TOKEN_BYTES:])
    return batches
