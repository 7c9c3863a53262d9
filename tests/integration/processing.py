"""Batches as a worker processes them, and what came of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ingest import notifications, tasks
from marketdata.ledger import batch_ledger
from marketdata.models import (
    IngestBatch,
)
from marketdata.realtime import feed, live_state
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import NINE_US

ME = "test"
REPLAY, KIS = 4, 3
EVER = (-(2**62), 2**62)


def trade(**other: Any) -> dict[str, Any]:
    return {"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **other}


def rows(*given: dict[str, Any], seq: int = 1, name: str = "krx") -> bytes:
    return wire.encode_rows(seq, name, 1, given)


def message(*payloads: bytes, source: int = REPLAY, dead: str | None = None, **other: Any) -> list[list[object]]:
    """Batches as the ingest server hands them over."""
    return [
        notifications.batch_message(
            batch_number(other.get("stream", 1), wire.parse_header(one).seq),
            one,
            other.get("received_us", batch_ledger.now_us()),
            source,
            other.get("market"),
            dead,
            other.get("offset_us"),
        )
        for one in payloads
    ]


def captured(captured_us: int, *given: dict[str, Any], seq: int = 1) -> bytes:
    """A batch whose header says when it was captured."""
    return wire.encode_rows(seq, "krx", captured_us, given)


def process(*payloads: bytes, **other: Any) -> None:
    tasks.process_batches(batches=message(*payloads, **other), reply_to=ME)


@contextmanager
def clock_off(us: int) -> Iterator[None]:
    """The clock of the worker's host is ahead of the right time by so much, or behind it."""
    with patch.object(batch_ledger, "now_us", lambda: time.time_ns() // 1000 + us):
        yield


@contextmanager
def clock_at(us: int) -> Iterator[None]:
    """It is this time by the clock of the worker's host, however long anything takes."""
    with patch.object(batch_ledger, "now_us", lambda: us):
        yield


def told() -> list[notifications.Outcome]:
    """What the ingest server would hear."""
    answer: Any = live_state.connection().xrange(notifications.STREAM + ME)
    return notifications.read(answer)[1]


def announced(name: str = "krx") -> list[feed.FeedEntry]:
    """What subscribers of a feed would hear."""
    answer: Any = live_state.connection().xrange(feed.STREAM + name)
    return [feed.decode(name, number, values) for number, values in answer]


def stored(symbol: str = "005930", name: str = "krx") -> list[int]:
    return [int(price) for price in storage().read_ticks(symbol, name, *EVER).price]


def counts() -> tuple[int, int, int]:
    return IngestBatch.objects.count(), storage().count("temp_market_data"), storage().count("market_data_minute")
