"""Where order books and events go: room for their trading dates, and their rows, in the transaction of their batch."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ingest.batch_decoding import RecordGroup
from marketdata.storage import storage
from marketdata.storage.base import BOOKS, EPOCH_DATE, EVENTS
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.records import BookColumns, EventRows


def make_room(groups: Sequence[RecordGroup]) -> None:
    """Partitions for the trading dates of these groups. Commits, so never inside a transaction."""
    for table, kind in ((BOOKS, BookColumns), (EVENTS, EventRows)):
        ticks = [group.ticks for group in groups if isinstance(group.content, kind)]
        days = {EPOCH_DATE + datetime.timedelta(days=day) for part in ticks for day in set(part.trade_date.tolist())}
        if days:
            storage().ensure_partitions(days, [table])


def store(groups: Sequence[RecordGroup]) -> None:
    """Inside a transaction. What is there already is this very row: its key names batch and row, and only a batch that
    lost its claim row comes to be stored twice."""
    books: list[OrderBook] = []
    events: list[MarketEvent] = []
    for group in groups:
        if isinstance(group.content, BookColumns):
            books += group.content.books(group.ticks)
        else:
            events += group.content.events(group.ticks)
    # Of all batches together: a statement costs more than a row.
    if books:
        storage().store_books(books)
    if events:
        storage().store_events(events)
