"""Order books, events and gaps of a symbol from a terminal's program to the tables: real terminal, ingest server
and worker. A worker that dies in between loses and doubles nothing."""

import secrets
from pathlib import Path

import pytest

from marketdata.models import Client, Gap, IngestBatch, IngestReject, Market, Source, Symbol
from marketdata.storage import storage
from terminals import wire
from terminals.connection import Address
from terminals.link import Config, Identity, Terminal
from tests.market import NINE_US
from tests.road import Road

EVER = (-(2**62), 2**62)


@pytest.fixture
def config(road: Road, tmp_path: Path) -> Config:
    Symbol.objects.create(code="005930", market=Market.objects.get(code="KRX"))
    _, secret = Client.objects.create_with_secret(
        name="desk", source=Source.objects.get(code="REPLAY"), may_send=True, feeds="*"
    )
    return Config(
        Address("127.0.0.1", road.port), Identity("desk", secret, "REPLAY"), "krx", tmp_path / secrets.token_hex(4)
    )


def book(number: int, **other: object) -> dict[str, object]:
    bids = ((70_000 * 10**8, number * 10**6),)
    return {"kind": wire.Kind.BOOK, "symbol": "005930", "time_us": NINE_US + number, "bids": bids, **other}


def event(number: int) -> dict[str, object]:
    return {"kind": wire.Kind.STATUS, "event": "vi", "time_us": NINE_US + number, "body": {"number": number}}


def tick(number: int) -> dict[str, object]:
    return {"symbol": "005930", "time_us": NINE_US + number, "price": 70_000 * 10**8, "size": 10**6}


def books_of(feed: str) -> list[int]:
    return [one.time_us - NINE_US for one in storage().read_books("005930", feed, *EVER, limit=10_000)]


@pytest.mark.once
def test_books_events_gaps_and_ticks_of_two_feeds_arrive_and_what_is_refused_is_told(road, config):
    road.ingest()
    road.worker()
    with Terminal(config) as terminal:
        terminal.send([tick(1), book(1), event(1), book(2, symbol="999999")])
        terminal.send([book(1)], feed="nxt")
        terminal.report_gaps([wire.Gap(NINE_US, NINE_US + 9, 0, "volume_hole", "005930", 7_500_000)])
        assert terminal.wait_committed(60)
        road.until(lambda: terminal.stats().rows_rejected == 1, seconds=60, what="the refused row")

    assert [books_of("krx"), books_of("nxt")] == [[1], [1]]
    assert [one.body for one in storage().read_events(*EVER, limit=10)] == [{"number": 1}]
    assert len(storage().read_ticks("005930", "krx", *EVER)) == 1
    assert IngestReject.objects.get().reasons == "symbol_unknown"
    gap = Gap.objects.get()
    assert (gap.symbol, gap.missing, gap.reason, gap.feed) == ("005930", 7_500_000, "volume_hole", "krx")


def test_a_worker_killed_in_the_middle_loses_no_book_and_doubles_none(road, config):
    road.ingest()
    road.worker()
    with Terminal(config) as terminal:
        for number in range(1, 61):
            terminal.send([book(number), event(number), tick(number)])
            terminal.flush()
            if number == 30:
                road.kill("worker")
                road.worker()
        assert terminal.wait_committed(60)

    assert books_of("krx") == list(range(1, 61))
    assert [one.body["number"] for one in storage().read_events(*EVER, limit=1000)] == list(range(1, 61))
    assert len(storage().read_ticks("005930", "krx", *EVER)) == 60
    assert sum(IngestBatch.objects.values_list("stored", flat=True)) == 180
