"""Measures the pipeline once, for its history (`marketdata.realtime.pipeline_history`): counters, queues, the time from
receipt to commit, terminals, room. What cannot be asked at the moment is left out of the point."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import DatabaseError, InterfaceError

from marketdata.ledger import batch_ledger
from marketdata.models import IngestBatch, Source
from marketdata.realtime import broker, feed, live_state, pipeline_history
from marketdata.realtime.pipeline_history import FINE, MOST_TERMINALS, Counted, Number, Point

log = logging.getLogger(__name__)

MOST_BATCHES = 2_000  # of the last ten seconds, whose times are compared
FRESH_US = 60_000_000  # a feed without a newer entry is quiet, and says nothing of how fast we are
SHARES = {"commit_ms_p50": 0.5, "commit_ms_p95": 0.95, "commit_ms_p99": 0.99}


def note(queues: Sequence[str], disk_free_bytes: int, at_us: int | None = None) -> bool:
    """Measure and keep it with the room of the fullest disk; False when this moment has its point already.
    redis.RedisError: it is not kept."""
    at_us = batch_ledger.now_us() if at_us is None else at_us
    connection = live_state.connection()
    status = live_state.status()
    counted = Counted(
        at_us, status["counters"].get("stored", 0), status["counters"].get("rejected", 0), status["refused"]
    )
    rates, rejected = counted.rates(pipeline_history.last_counted(connection))
    servers, clients = status["ingest"], [one for server in status["ingest"] for one in server.get("clients", [])]
    figures: dict[str, Number] = {
        **rates,
        "inflight_batches": sum(server.get("inflight_batches", 0) for server in servers),
        "terminals": len(clients),
        "disk_free_bytes": disk_free_bytes,
    }
    try:
        figures |= _commit_ms(at_us) | _feed_ms(at_us)
    except (DatabaseError, InterfaceError) as error:
        log.info("measured without the database error=%s", type(error).__name__)
    busiest = sorted(clients, key=lambda one: -one.get("rate", 0))[:MOST_TERMINALS]
    depths: dict[str, Number] = dict(broker.queue_depths(queues) or {})
    terminals = {one["client"]: _of_terminal(one) for one in busiest}
    return pipeline_history.note(connection, at_us, Point(figures, depths, rejected, terminals), counted)


def _of_terminal(told: dict[str, Any]) -> dict[str, Number]:
    return {name: told[name] for name in pipeline_history.TERMINAL_FIGURES if told.get(name) is not None}


def _commit_ms(at_us: int) -> dict[str, Number]:
    """From receiving a batch to its commit, of those that were committed since the last point was due."""
    since_us = at_us - FINE.step_s * 1_000_000
    rows = IngestBatch.objects.filter(state=IngestBatch.State.STORED, committed_us__gt=since_us).order_by(
        "-committed_us"
    )
    waited = sorted(
        (committed - received) / 1000
        for received, committed in rows.values_list("received_us", "committed_us")[:MOST_BATCHES]
    )
    return {name: round(waited[int(len(waited) * share)], 1) for name, share in SHARES.items()} if waited else {}


def _feed_ms(at_us: int) -> dict[str, Number]:
    """From an event to its entry in the feed; a replay's events are of another day."""
    live = set(Source.objects.exclude(max_age_s=None).values_list("pk", flat=True))
    entries = feed.newest(live_state.connection(), live_state.feeds())
    took = [
        (entry.committed_us - int(entry.ticks.time_us.max())) / 1000
        for entry in entries.values()
        if entry.ticks.source_id in live and entry.committed_us > at_us - FRESH_US and len(entry.ticks)
    ]
    return {"feed_ms": round(max(took), 1)} if took else {}
