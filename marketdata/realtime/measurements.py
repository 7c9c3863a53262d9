"""Measures the pipeline once, for its history (`marketdata.realtime.pipeline_history`): counters, queues, the time from
receipt to commit, terminals, room. What cannot be asked at the moment is left out of the point."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from django.db import DatabaseError, InterfaceError

from marketdata.ledger import batch_ledger
from marketdata.models import IngestBatch, Source
from marketdata.realtime import broker, feed, live_state, pipeline_history
from marketdata.realtime.feed import FeedEntry
from marketdata.realtime.pipeline_history import FINE, MOST_TERMINALS, Counted, Number, Point

log = logging.getLogger(__name__)

MOST_BATCHES = 2_000  # of the last ten seconds, whose times are compared
MOST_ENTRIES, PAGE = 1_000, 100  # of a feed, as well; read at a time
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


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
    waited = [
        (committed - received) / 1000
        for received, committed in rows.values_list("received_us", "committed_us")[:MOST_BATCHES]
    ]
    return _percentiles("commit_ms", waited)


def _feed_ms(at_us: int) -> dict[str, Number]:
    """From an event to its entry in the feed, of the entries that came since the last point was due, each with its
    newest event; a replay's events are of another day."""
    since_us = at_us - FINE.step_s * 1_000_000
    live = set(Source.objects.exclude(max_age_s=None).values_list("pk", flat=True))
    connection = live_state.connection()
    took = [
        (entry.committed_us - int(entry.ticks.time_us.max())) / 1000
        for name in live_state.feeds()
        for entry in _entries(connection, name, since_us)
        if entry.ticks.source_id in live and len(entry.ticks)
    ]
    return _percentiles("feed_ms", took)


def _entries(connection: redis.Redis, name: str, since_us: int) -> Iterator[FeedEntry]:
    """The entries of a feed that were committed since then, the newest first, at most MOST_ENTRIES. They are read a
    page at a time, for together they may be large."""
    upto: int | None = None
    for _page in range(MOST_ENTRIES // PAGE):
        page = feed.entries_upto(connection, name, upto, most=PAGE)
        yield from (entry for entry in page if entry.committed_us > since_us)
        if len(page) < PAGE or page[-1].committed_us <= since_us:
            return
        upto = page[-1].last - 1


def _percentiles(name: str, took: list[float]) -> dict[str, Number]:
    """Of milliseconds, by `SHARES`; nothing of none."""
    took.sort()
    return {f"{name}_{share}": round(took[int(len(took) * part)], 1) for share, part in SHARES.items()} if took else {}
