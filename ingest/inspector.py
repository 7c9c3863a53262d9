"""Answers questions about what an ingest server holds in memory (`marketdata.realtime.inspection`). A thread of its
own: to open batches takes time that the event loop does not have."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import redis
from django.conf import settings

from ingest.dataset import Dataset
from ingest.registry import Registry
from marketdata.realtime import inspection, redis_clients

log = logging.getLogger(__name__)

PAUSE_S = 0.5


class Inspector(threading.Thread):
    """Takes one question after the other; asks no database."""

    def __init__(self, instance: str, registry: Registry[Any], dataset: Dataset) -> None:
        super().__init__(name="inspector", daemon=True)
        self._instance, self._registry, self._dataset = instance, registry, dataset
        self._halted = threading.Event()

    def stop(self) -> None:
        """End within a second."""
        self._halted.set()

    def run(self) -> None:
        with redis_clients.client(
            settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=3, socket_keepalive=True
        ) as client:
            while not self._halted.is_set():
                try:
                    question = inspection.next_question(client, self._instance)
                    if question is not None:
                        self._answer(client, question)
                except redis.RedisError as error:
                    log.debug("questions unreadable error=%s", type(error).__name__)
                    self._halted.wait(PAUSE_S)
                except Exception:
                    log.exception("question not answered")

    def _answer(self, client: redis.Redis, question: list[Any]) -> None:
        token, kind, *given = question
        try:
            told = self._recent(*given) if kind == "recent" else self._latest(*given)
        except Exception as error:
            inspection.answer(client, token, None, type(error).__name__)
            raise
        inspection.answer(client, token, told)

    def _recent(self, client: str, rows: int, symbol: str | None) -> list[Any] | None:
        """None when the client is not connected here."""
        kept = self._registry.recent(client)
        if kept is None:
            return None
        found = kept.newest(min(rows, inspection.MOST_ROWS), symbol)
        return inspection.tell_recent((batch.received_us, ticks) for batch, ticks in found)

    def _latest(self, rows: int, symbol: str | None) -> list[Any]:
        now, count = time.monotonic(), min(rows, inspection.MOST_ROWS)
        series, total = self._dataset.latest(count, symbol, now=now)
        ticks = [] if symbol is None else self._dataset.recent(symbol, count, now=now)
        return inspection.tell_latest(series, total, ticks)
