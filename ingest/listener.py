"""Hears from the workers what became of batches. A thread, because a blocking read is the quickest way to hear."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import redis
from django.conf import settings

from ingest import notifications
from marketdata.realtime import redis_clients

log = logging.getLogger(__name__)

BLOCK_MS = 1_000
PAUSE_S = 0.5
KEEP_EACH_S = 60.0
"""So often the stream is told to stay, once there is one."""


class Listener(threading.Thread):
    """Follows the notice stream of this server; `heard(outcomes)`, `sessions()` when a client logged in
    elsewhere, and `back()` after Redis was away, are called from this thread."""

    def __init__(
        self,
        instance: str,
        *,
        heard: Callable[[list[notifications.Outcome]], None],
        sessions: Callable[[], None],
        back: Callable[[], None],
    ) -> None:
        super().__init__(name="notices", daemon=True)
        self._stream = notifications.STREAM + instance
        self._heard = heard
        self._sessions = sessions
        self._back = back
        self._halted = threading.Event()

    def stop(self) -> None:
        """End within a second."""
        self._halted.set()

    def run(self) -> None:
        client = redis_clients.client(
            settings.REDIS_URL, socket_timeout=5 + BLOCK_MS / 1000, socket_connect_timeout=3, socket_keepalive=True
        )
        last, away, kept_at = b"0", False, float("-inf")
        while not self._halted.is_set():
            try:
                answer: Any = client.xread({self._stream: last}, count=200, block=BLOCK_MS)
                if away:
                    away = False
                    self._back()
                if time.monotonic() - kept_at > KEEP_EACH_S and client.expire(self._stream, notifications.EXPIRE_S):
                    kept_at = time.monotonic()
                for _, rows in answer.items() if isinstance(answer, dict) else answer:
                    entry_id, outcomes = notifications.read(rows)
                    last = entry_id or last
                    self._heard(outcomes)
                    if notifications.tell_of_sessions(rows):
                        self._sessions()
            except redis.RedisError as error:
                # Not from the start again: a failure heard twice would count twice. A Redis that lost its data goes on
                # from its clock, and what is missed for that the ledger tells.
                log.warning("notices unreadable error=%s", type(error).__name__)
                away = True
                self._halted.wait(PAUSE_S)
        client.close()
