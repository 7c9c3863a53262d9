"""A road of which rows were refused, and what is stored and told when they are judged again."""

import datetime
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from analytics.integrity import consistency
from ingest import notifications, tasks
from ingest.rights import Rights
from marketdata.ledger import batch_ledger
from marketdata.models import (
    Client,
    IngestStream,
    Source,
    Symbol,
)
from marketdata.realtime import feed, live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import MINUTE_US, NINE_US

DAY = datetime.date(2026, 3, 16)
EVER = (-(2**62), 2**62)
REPLAY, KIS = 4, 3


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    """An empty database and Redis, a symbol, two clients with a stream each, and a worker that remembers nothing."""
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    monkeypatch.setattr("marketdata.connections.TRIES", 9)  # MariaDB may end the same one as a deadlock again and again
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    Symbol.objects.create(code="005930", market_id="KRX")
    for number, code in ((1, "REPLAY"), (2, "KIS")):
        client, _ = Client.objects.create_with_secret(
            name=code.lower(), source=Source.objects.get(code=code), may_send=True, feeds="*", shares_feeds=True
        )
        IngestStream.objects.create(id=number, client=client, epoch=f"{number:016x}")
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


def trade(at: int = 0, **other: Any) -> dict[str, Any]:
    return {"symbol": "005930", "time": NINE_US + at, "price": str(70_000 + at), "size": "1", **other}


def process(payload: bytes, *, stream: int = 1, dead: str | None = None, **other: Any) -> int:
    number = batch_number(stream, wire.parse_header(payload).seq)
    source = {1: REPLAY, 2: KIS}[stream]
    received_us = other.pop("received_us", batch_ledger.now_us())
    tasks.process_batches(
        batches=[notifications.batch_message(number, payload, received_us, source, None, dead, other.get("offset_us"))],
        reply_to="test",
    )
    return number


def rows(*given: dict[str, Any], seq: int = 1, captured_us: int = 1) -> bytes:
    return wire.encode_rows(seq, "krx", captured_us, given)


def register(code: str = "000660") -> None:
    Symbol.objects.create(code=code, market_id="KRX")


def run(*words: str) -> str:
    out = StringIO()
    call_command("requeue", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def stored(symbol: str = "000660") -> list[int]:
    return [int(one) for one in storage().read_ticks(symbol, "krx", *EVER).tick_id]


def announced() -> list[list[int]]:
    answer: Any = live_state.connection().xrange(feed.STREAM + "krx")
    return [feed.decode("krx", entry, values).ticks.tick_id.tolist() for entry, values in answer]


def consistent() -> bool:
    report = consistency.verify_day(DAY)
    assert report.is_consistent, report.findings
    return True


MIXED = (trade(0), trade(1, symbol="000660"), trade(MINUTE_US, symbol="000660"), trade(2, price="x"))
