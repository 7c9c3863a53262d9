"""Gives messages to the broker from a thread of its own, one at a time, so that a slow broker never holds the event
loop."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable

import redis
from celery import current_app
from django.conf import settings

from ingest import batch_spans
from ingest.bodies import Bodies
from ingest.in_flight import InFlightBatch, ids_of
from ingest.notifications import batch_message
from marketdata import metrics
from marketdata.logs import celery_signals, configuration
from marketdata.realtime import broker, redis_urls
from marketdata.tracing import spans

log = logging.getLogger(__name__)
steps = logging.getLogger(configuration.BATCHES)

TASK = "ingest.tasks.process_batches"
QUEUE = "raw_market_data"
PAUSE_S = 0.5


class Dispatcher(threading.Thread):
    """Takes one message at a time: `idle` says whether it would. `done(flights, taken)` is called from this thread."""

    def __init__(self, *, reply_to: str, max_messages: int, done: Callable[[list[InFlightBatch], bool], None]) -> None:
        super().__init__(name="dispatch", daemon=True)
        self._reply_to = reply_to
        self._done = done
        self._bodies = Bodies(reply_to, max_messages) if redis_urls.is_redis(settings.BROKER_URL) else None
        self._envelopes: broker.Envelopes | None = None
        self._handover: queue.SimpleQueue[tuple[int | None, list[InFlightBatch]] | None] = queue.SimpleQueue()
        self._halted = threading.Event()
        self.idle = True
        self.error = ""  # why the broker did not take the last message

    def give(self, entries: list[InFlightBatch]) -> None:
        """Hand over a message; only when idle, and only from the event loop."""
        self.idle = False
        self._handover.put((entries[0].message, entries))

    def stop(self) -> None:
        """End after the message in hand."""
        self._halted.set()
        self._handover.put(None)

    def run(self) -> None:
        while (given := self._handover.get()) is not None:
            message, entries = given
            taken = self._publish(message, entries)
            if not taken:
                self._halted.wait(PAUSE_S)
            self._done(entries, taken)

    def _publish(self, message: int | None, entries: list[InFlightBatch]) -> bool:
        batches = [
            batch_message(f.number, f.payload, f.received_us, f.source_id, f.register_market, f.dead, f.offset_us)
            for f in entries
        ]
        try:
            body = self._bodies.put(batches, entries, message) if self._bodies is not None else None
            what: dict[str, object] = {"batches": batches} if body is None else {"body": body}
            call = str(uuid.uuid4())
            self._send(
                {**what, "reply_to": self._reply_to}, call, {one.stream: one.epoch for one in entries if one.epoch}
            )
        except Exception as error:  # noqa: BLE001 - whatever the transport raises, the batches stay with us
            metrics.PUBLISH_FAILURES.inc()
            self.error = f"{type(error).__name__}: {error}"[:300]
            log.warning("publish failed error=%s", type(error).__name__, extra=ids_of(entries))
            return False
        if spans.on():
            batch_spans.accepted(entries, call)
        if steps.isEnabledFor(logging.DEBUG):
            for entry in entries:
                steps.debug("batch dispatched to_task=%s batches=%d", call, len(entries), extra=entry.ids)
        return True

    def _send(self, kwargs: dict[str, object], call: str, epochs: dict[int, str]) -> None:
        headers = celery_signals.header(epochs=epochs)
        if self._bodies is None:
            # Else Celery makes a text of all the bytes.
            current_app.send_task(
                TASK, kwargs=kwargs, queue=QUEUE, argsrepr="()", kwargsrepr="<batches>", task_id=call, headers=headers
            )
            return
        # What Celery and kombu do beside making and pushing the text costs three times as much (docs/adr/0014).
        if self._envelopes is None:
            self._envelopes = broker.Envelopes(current_app, TASK, QUEUE)
        broker.connection().lpush(QUEUE, self._envelopes.make(kwargs, call=call, headers=headers))


def queue_depth() -> int | None:
    """Messages waiting for a worker, or None when the broker does not answer."""
    try:
        depths = broker.queue_depths([QUEUE])
    except redis.RedisError as error:
        log.debug("queue depth unknown error=%s", type(error).__name__)
        return None
    return None if depths is None else depths[QUEUE]
