"""Publishes to the feed what was stored by a requeue, once."""

from __future__ import annotations

import numpy as np
from django.db import transaction

from marketdata.models import IngestRequeue
from marketdata.realtime import feed, live_state
from marketdata.storage import storage
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from marketdata.types.units import MINUTE_US


def announce() -> int:
    """Publish what was stored by a requeue and the feed does not have yet; returns of how many batches. Once, whoever
    else does the same. redis.RedisError: Redis is away, and it is done later."""
    done = 0
    for requeued in IngestRequeue.objects.filter(announced=False).order_by("pk").iterator(100):
        parts = [part for span in requeued.spans if len(part := _read_back(requeued, *span))]
        if parts:  # else they were dropped again meanwhile
            _publish(requeued, parts)
        with transaction.atomic():
            IngestRequeue.objects.filter(pk=requeued.pk).update(announced=True)
        done += 1
    return done


def _publish(requeued: IngestRequeue, parts: list[Ticks]) -> None:
    """The ticks of each symbol, with their candles as they are now."""
    bars = []
    for part in parts:
        minutes = np.unique(part.time_us // MINUTE_US) * MINUTE_US
        symbol = part.symbols[int(part.symbol[0])]
        found = storage().read_minutes(symbol, requeued.feed, int(minutes[0]), int(minutes[-1]) + 1)
        bars.append(found.take(np.isin(found.time_us, minutes)))
    ticks = tick_arrays.concatenate(parts)
    pipeline = live_state.connection().pipeline(transaction=False)
    feed.publish(
        pipeline,
        ticks.take(ticks.tick_id.argsort(kind="stable")),
        minute_bars.concatenate(bars),
        # A note of its own: the batch's is for what was stored when it came (`ingest.recovery`).
        notes=[feed.requeue_note(requeued.pk, requeued.at_us)],
        committed_us=requeued.at_us,
    )
    live_state.remember(pipeline, ticks)
    pipeline.execute()


def _read_back(requeued: IngestRequeue, symbol: str, first_us: int, last_us: int, rows: list[int]) -> Ticks:
    ticks = storage().read_ticks(symbol, requeued.feed, first_us, last_us + 1)
    return ticks.take(np.isin(ticks.tick_id, (requeued.batch << TICK_BITS) + np.array(rows, np.int64)))
