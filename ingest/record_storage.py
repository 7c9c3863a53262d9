"""Where order books and events go: room for their trading dates, and their rows, in the transaction of their batch."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np

from ingest.batch_decoding import RecordGroup
from marketdata.storage import storage
from marketdata.storage.base import BOOKS, EPOCH_DATE, EVENTS
from marketdata.types.records import BookColumns


def make_room(groups: Sequence[RecordGroup]) -> None:
    """Partitions for the trading dates of these groups. Commits, so never inside a transaction."""
    for group in groups:
        days = {EPOCH_DATE + datetime.timedelta(days=day) for day in np.unique(group.ticks.trade_date).tolist()}
        storage().ensure_partitions(days, [BOOKS if isinstance(group.content, BookColumns) else EVENTS])


def store(groups: Sequence[RecordGroup]) -> None:
    """Inside a transaction. What is there already is this very row: its key names batch and row, and only a batch that
    lost its claim row comes to be stored twice."""
    for group in groups:
        if isinstance(group.content, BookColumns):
            storage().store_books(group.content.books(group.ticks))
        else:
            storage().store_events(group.content.events(group.ticks))
