"""Where order books and events go, in the transaction of their batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ingest.batch_decoding import RecordGroup
from marketdata.realtime import records_feed
from marketdata.storage import storage
from marketdata.types.order_books import SWITCHES, MarketEvent
from marketdata.types.records import BookColumns, EventRows


def store(groups: Sequence[RecordGroup]) -> list[MarketEvent]:
    """Inside a transaction; the events among them, of which `index_closes.note` wants to know at its end. What is there
    already is this very row: its key names batch and row, and only a batch that lost its claim row comes to be stored
    twice."""
    # Of all batches together: a statement costs more than a row.
    books = [(group.ticks, group.content) for group in groups if isinstance(group.content, BookColumns)]
    events = [
        event for group in groups if isinstance(group.content, EventRows) for event in group.content.events(group.ticks)
    ]
    if books:
        storage().store_books(books)
    if events:
        storage().store_events(events)
    return events


def switched(groups: Sequence[RecordGroup]) -> list[str]:
    """The feeds of which a VI or a halt began or is over."""
    return sorted(
        {
            group.ticks.feed for group in groups
            if isinstance(group.content, EventRows) and not SWITCHES.isdisjoint(group.content.words)
        }
    )  # fmt: skip


def publish(pipeline: Any, groups: Sequence[RecordGroup]) -> None:
    """Queue telling subscribers of what was stored on a Redis pipeline."""
    for group in groups:
        ticks, content = group.ticks, group.content
        if isinstance(content, BookColumns):
            records_feed.publish(pipeline, ticks.feed, [ticks.symbols[one] for one in np.unique(ticks.symbol)], [])
        elif not records_feed.STATUSES.isdisjoint(content.words):
            records_feed.publish(pipeline, ticks.feed, [], content.events(ticks))
