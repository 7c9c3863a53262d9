"""What became of a batch is the same whether its worker says so or the ledger is asked."""

from collections.abc import Iterator
from typing import Any

import pytest

from ingest import ledger_outcomes, notifications, tasks
from ingest.in_flight import InFlightBatch
from ingest.rights import Rights
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.models import Client, DeadLetter, Feed, Market, Source, Symbol
from marketdata.realtime import live_state, seeding
from marketdata.reference.symbols import Directory
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import NINE_US

ME = "test"
GOOD: dict[str, Any] = {"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1"}


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    """An empty database and Redis, a symbol, and a worker that remembers nothing."""
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    seeding.seed()
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


@pytest.fixture
def stream() -> int:
    """The spool of a client that may send the feeds krx and new only."""
    fields = {"may_send": True, "feeds": "krx new"}
    client, _ = Client.objects.create_with_secret(name="desk", source=Source.objects.get(code="REPLAY"), **fields)
    return stream_numbers.open_stream(client, "0" * 16)


def entry(stream: int, payload: bytes, *, dead: str | None = None) -> InFlightBatch:
    made = InFlightBatch(
        number=batch_number(stream, 1), stream=stream, seq=1, payload=payload, rows=1,
        received_us=batch_ledger.now_us(),
        source_id=Source.objects.get(code="REPLAY").pk, register_market=None, since=0.0,
    )  # fmt: skip
    made.dead = dead
    return made


def process(one: InFlightBatch) -> notifications.Outcome:
    """Have a worker process it; what it says."""
    message = notifications.batch_message(
        one.number, one.payload, one.received_us, one.source_id, one.register_market, one.dead, one.offset_us
    )
    tasks.process_batches(batches=[message], reply_to=ME)
    answer: Any = live_state.connection().xrange(notifications.STREAM + ME)
    return notifications.read(answer)[1][-1]


def rows(*given: dict[str, Any], feed: str = "krx") -> bytes:
    return wire.encode_rows(1, feed, 1, given)


def too_many() -> bytes:
    return rows(GOOD)[:12] + (wire.BATCH_ROWS + 1).to_bytes(4, "little") + rows(GOOD)[16:]


BAD = rows(GOOD, {**GOOD, "price": "x", "size": "-1"}, {**GOOD, "price": None}, {**GOOD, "symbol": "000660"})
CASES = {
    "": (rows(GOOD), None),
    "rows": (BAD, None),
    "bad_batch": (rows(GOOD)[:-1], None),
    "too_many_rows": (too_many(), None),
    "feed_refused": (rows(GOOD, feed="nxt"), None),
    "dead_letter": (rows(GOOD), "failed 10 times, at last: poison"),
}


@pytest.mark.parametrize("code", CASES)
def test_the_ledger_says_of_a_batch_what_its_worker_said(code, stream):
    payload, dead = CASES[code]
    one = entry(stream, payload, dead=dead)
    said = process(one)

    asked = ledger_outcomes.look_up([one])

    assert asked == [said]
    assert said.code == code
    assert bool(said.message) == (code not in ("", "rows"))


def test_rows_are_counted_by_reason(stream):
    one = entry(stream, BAD)
    process(one)

    (asked,) = ledger_outcomes.look_up([one])

    assert asked.rejected == 3
    assert asked.reasons == {"price_not_a_number": 1, "size_negative": 1, "price_missing": 1, "symbol_unknown": 1}


def test_a_batch_of_a_feed_beyond_the_quota_is_told_as_such(stream, settings):
    settings.QUOTA_FEEDS = Feed.objects.count()
    one = entry(stream, rows(GOOD, feed="new"))
    said = process(one)

    assert ledger_outcomes.look_up([one]) == [said]
    assert said.code == "quota_reached"


def test_other_content_than_the_ledgers_is_kept_aside_and_what_the_ledger_lacks_is_not_told(stream):
    process(entry(stream, rows(GOOD, feed="nxt")))  # refused, so the ledger has a letter of its own under the number
    other = entry(stream, rows({**GOOD, "price": "1"}))
    unknown = entry(stream + 1, rows(GOOD))

    (asked,) = ledger_outcomes.look_up([other, unknown])
    said = process(other)

    assert asked == said
    assert asked.code == "checksum_mismatch"
    kept = DeadLetter.objects.get(code="checksum_mismatch")
    assert (kept.batch, bytes(kept.payload)) == (other.number, other.payload)
