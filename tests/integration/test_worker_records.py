"""Order books and events in the worker's transaction: stored once, judged, kept when refused, and judged again."""

import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError

from analytics.integrity import consistency
from ingest import record_storage, recovery, requeue, room, tasks
from ingest.batch_decoding import Batch
from ingest.rights import Rights
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.models import (
    Client,
    DeadLetter,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestRequeue,
    IngestStream,
    Market,
    Source,
    Symbol,
)
from marketdata.realtime import live_state
from marketdata.storage import storage
from marketdata.types.tick_arrays import TICK_BITS, batch_number
from terminals import wire
from tests.integration.processing import EVER, announced, process, rows, stored, told, trade
from tests.market import NINE_US, price, size

pytestmark = pytest.mark.usefixtures("worker")
DAY = 20_528  # 2026-03-16


def book(**other: Any) -> dict[str, Any]:
    return {
        "symbol": "005930",
        "time_us": NINE_US,
        "bids": ((price("70000"), size("5")), (price("69900"), size("7.5"))),
        "asks": ((price("70100"), size("3")),),
        **other,
    }


def event(**other: Any) -> dict[str, Any]:
    return {"event": "vi", "time_us": NINE_US, "symbol": "005930", "body": {"code": "1", "값": 2.5}, **other}


def books(*given: dict[str, Any], seq: int = 1, name: str = "krx") -> bytes:
    content = wire.Books()
    for row in given:
        content.append(**row)
    return content.encode(seq, name, 1)


def events(*given: dict[str, Any], seq: int = 1, name: str = "krx") -> bytes:
    content = wire.Events()
    for row in given:
        content.append(**row)
    return content.encode(seq, name, 1)


def kept_books(symbol: str = "005930", name: str = "krx") -> list[Any]:
    return storage().read_books(symbol, name, *EVER, limit=1000)


def kept_events() -> list[Any]:
    return storage().read_events(*EVER, limit=1000)


def reasons() -> list[tuple[int, str]]:
    return list(IngestReject.objects.order_by("batch", "idx").values_list("idx", "reasons"))


def sender(name: str = "kis", **rights: Any) -> int:
    """The stream of a client."""
    client, _ = Client.objects.create_with_secret(
        name=name, source=Source.objects.get(code="REPLAY"), may_send=True, **{"feeds": "*", **rights}
    )
    return stream_numbers.open_stream(client, f"{client.pk:016x}")


def test_an_order_book_ends_in_ledger_and_table_with_every_level_and_every_total():
    process(
        books(book(bid_total=size("900"), mid_price=price("70050"), cum_volume=size("12")), book(time_us=NINE_US + 1))
    )

    batch = IngestBatch.objects.get()
    assert (batch.state, batch.rows, batch.stored, batch.rejected) == ("stored", 2, 2, 0)
    assert (batch.first_us, batch.last_us, batch.feed) == (NINE_US, NINE_US + 1, "krx")
    first, second = kept_books()
    assert first.bids == (("70000", "5"), ("69900", "7.5"))
    assert first.asks == (("70100", "3"),)
    assert (first.bid_total, first.mid_price, first.cum_volume) == (size("900"), price("70050"), size("12"))
    assert first.ask_total is second.bid_total is None
    assert (first.tick_id, second.tick_id) == (batch.batch << TICK_BITS, (batch.batch << TICK_BITS) + 1)
    assert (first.trade_date, first.source_id, first.time_us) == (DAY, 4, NINE_US)
    assert [outcome.code for outcome in told()] == [""]


def test_an_event_ends_in_ledger_and_table_as_it_was_told_whether_of_a_symbol_or_of_all():
    process(events(event(), event(event="market_status", symbol=None, time_us=NINE_US + 1, body={})))

    batch = IngestBatch.objects.get()
    assert (batch.state, batch.stored, batch.first_us, batch.last_us) == ("stored", 2, NINE_US, NINE_US + 1)
    first, second = kept_events()
    assert (first.kind, first.symbol, first.body, first.trade_date) == ("vi", "005930", {"code": "1", "값": 2.5}, DAY)
    assert (second.kind, second.symbol, second.body, second.trade_date) == ("market_status", "", {}, DAY)
    assert first.event_id == batch.batch << TICK_BITS


def test_ticks_books_and_events_of_one_message_are_one_commit_and_only_ticks_are_counted_by_date_and_announced():
    process(rows(trade()), books(book(), seq=2), events(event(), seq=3), rows(trade(), seq=4))

    assert [batch.stored for batch in IngestBatch.objects.order_by("batch")] == [1, 1, 1, 1]
    assert len(set(IngestBatch.objects.values_list("committed_us", flat=True))) == 1
    assert [len(stored()), len(kept_books()), len(kept_events())] == [2, 1, 1]
    assert sorted(IngestBatchDay.objects.values_list("batch", flat=True)) == [batch_number(1, 1), batch_number(1, 4)]
    assert [len(entry.ticks) for entry in announced()] == [2]
    assert live_state.status()["counters"] == {"stored": 2, "books": 1, "events": 1, "batches": 4, "commits": 1}
    assert consistency.verify_day(datetime.date(2026, 3, 16)).is_consistent
    assert not recovery.announce_missed()


def test_what_comes_again_is_stored_once_however_it_is_mixed():
    process(books(book()), events(event(), seq=2))

    process(events(event(), seq=2), books(book()), books(book(time_us=NINE_US + 5), seq=3))

    assert [len(kept_books()), len(kept_events()), IngestBatch.objects.count()] == [2, 1, 3]


def test_a_book_with_other_content_under_a_known_number_is_kept_aside():
    process(books(book()))
    process(books(book(time_us=NINE_US + 5)))

    assert [one.time_us for one in kept_books()] == [NINE_US]
    assert DeadLetter.objects.get().code == "checksum_mismatch"


@pytest.mark.parametrize("where", ["store", "claim_together"])
def test_a_transaction_that_ends_between_claim_and_commit_leaves_nothing_and_the_repeat_all(monkeypatch, where):
    payloads = books(book()), events(event(), seq=2), rows(trade(), seq=3)

    def fail(*_: object) -> None:
        raise DatabaseError("killed here")

    with monkeypatch.context() as patched:
        places = {"store": record_storage, "claim_together": batch_ledger}
        patched.setattr(places[where], where, fail)
        with pytest.raises(DatabaseError):
            tasks._process(tasks_of(*payloads), "test")
    assert [IngestBatch.objects.count(), len(kept_books()), len(kept_events()), len(stored())] == [0, 0, 0, 0]

    process(*payloads)

    assert [IngestBatch.objects.count(), len(kept_books()), len(kept_events()), len(stored())] == [3, 1, 1, 1]


def tasks_of(*payloads: bytes) -> list[Any]:
    return [
        Batch(number=batch_number(1, wire.parse_header(one).seq), payload=one, received_us=NINE_US, source_id=4)
        for one in payloads
    ]


def test_a_batch_of_books_that_lost_its_claim_row_is_stored_as_it_was():
    process(books(book()))
    IngestBatch.objects.all().delete()

    process(books(book()))

    assert [len(kept_books()), IngestBatch.objects.get().stored] == [1, 1]


@pytest.mark.parametrize("what", ["books", "events", "ticks"])
def test_a_batch_of_refused_rows_that_lost_its_claim_row_is_claimed_again_and_its_rows_are_kept_once(what):
    """Of no trading date is anything noted, so nothing says that it was stored before."""
    payload = {
        "books": books(book(), book(symbol="999999"), book(symbol=None)),
        "events": events(event(), event(symbol="999999"), event(time_us=4_000_000_000_000_000)),
        "ticks": rows(trade(symbol="999999"), trade(price="-1")),
    }[what]
    process(payload)
    before = reasons()
    IngestBatch.objects.all().delete()

    process(payload)

    assert (reasons(), len(before), IngestBatch.objects.get().rejected) == (before, 2, 2)
    assert not DeadLetter.objects.exists()


@pytest.mark.once
@pytest.mark.parametrize("encode", [books, events])
def test_records_of_many_dates_get_their_room_in_pieces_and_hold_up_no_other(monkeypatch, encode):
    one = book if encode is books else event
    many = encode(*[one(time_us=NINE_US - 7 * week * 86_400_000_000) for week in range(3)])
    with monkeypatch.context() as patched:
        patched.setattr(room, "ROOM_S", -1.0)
        process(many, rows(trade(), seq=2))
        assert [batch & 0xFFFFFFFF for batch in IngestBatch.objects.values_list("batch", flat=True)] == [2]

    process(many)

    assert len(kept_books() + kept_events()) == 3


LEVEL = (price("70000"), size("1"))
REFUSED_BOOKS: dict[str, dict[str, Any]] = {
    "symbol_unknown": {"symbol": "999999"},
    "symbol_missing": {"symbol": None},
    "time_missing": {"time_us": None},
    "time_future": {"time_us": 4_000_000_000_000_000},
    "price_not_positive": {"bids": ((-price("1"), size("1")),)},
    "price_out_of_range": {"asks": ((10**18, size("1")),)},
    "size_negative": {"bids": ((price("1"), -1),)},
    "size_out_of_range": {"bids": ((price("1"), 2 * 10**16),)},
    "book_unordered": {"bids": (LEVEL, (LEVEL[0] + 1, LEVEL[1]))},
    "trade_date_malformed": {"trade_date": DAY + 9},
}


@pytest.mark.once
@pytest.mark.parametrize("reason", REFUSED_BOOKS)
def test_a_book_that_cannot_be_believed_is_kept_with_its_reason_and_the_others_are_stored(reason):
    process(books(book(), book(**REFUSED_BOOKS[reason]), book(time_us=NINE_US + 1)))

    assert [one.time_us for one in kept_books()] == [NINE_US, NINE_US + 1]
    assert reasons() == [(1, reason)]
    assert [(outcome.code, outcome.rejected, outcome.reasons) for outcome in told()] == [("rows", 1, {reason: 1})]
    batch = IngestBatch.objects.get()
    assert (batch.rows, batch.stored, batch.rejected) == (3, 2, 1)


def test_asks_go_up_bids_go_down_and_a_crossed_book_of_an_auction_is_no_fault():
    process(
        books(
            book(bids=(LEVEL, (LEVEL[0] - 1, LEVEL[1])), asks=((LEVEL[0] - 5, LEVEL[1]), LEVEL)),
            book(asks=(LEVEL, (LEVEL[0] - 1, LEVEL[1])), time_us=NINE_US + 1),
            book(bids=(), asks=(), time_us=NINE_US + 2),
        )
    )

    assert reasons() == [(1, "book_unordered")]
    assert [(len(one.bids), len(one.asks)) for one in kept_books()] == [(2, 2), (0, 0)]


def test_a_level_at_which_nobody_is_is_left_out_and_those_behind_it_move_up():
    worse = (LEVEL[0] - price("100"), size("2"))
    process(books(book(bids=((LEVEL[0], 0), (0, size("9")), worse), expected_price=0, mid_price=0)))

    (kept,) = kept_books()
    assert kept.bids == (("69900", "2"),)
    assert kept.expected_price is kept.mid_price is None


def test_where_a_price_may_be_zero_or_less_a_book_has_such_levels():
    Symbol.objects.create(code="ESM6", market=Market.objects.get(code="CME"))

    process(books(book(symbol="ESM6", bids=((0, size("1")), (-price("2.5"), size("3"))), asks=())))

    assert kept_books("ESM6")[0].bids == (("0", "1"), ("-2.5", "3"))


def test_a_level_of_a_price_without_a_size_is_refused_and_kept_as_it_came():
    payload = bytearray(books(book(bids=(LEVEL,), asks=())))
    at = wire.parse_books(payload, wire.parse_header(payload)).offsets[wire.BookColumn.BID_SIZE]
    payload[at : at + 8] = wire.ABSENT.to_bytes(8, "little", signed=True)

    process(bytes(payload))

    assert reasons() == [(0, "level_incomplete")]
    assert '"bids": [["70000", null]]' in IngestReject.objects.get().record


REFUSED_EVENTS: dict[str, object] = {
    "not_an_object": [1],
    "event_malformed": {"event": "VI", "time": NINE_US},
    "body_malformed": {"event": "vi", "time": NINE_US, "body": {"a": "\0"}},
    "body_malformed ": {"event": "vi", "time": NINE_US, "body": {"a": float("nan")}},
    "symbol_unknown": {"event": "vi", "time": NINE_US, "symbol": "999999"},
    "symbol_unknown ": {"event": "vi", "time": NINE_US, "symbol": 5930},
    "time_missing": {"event": "vi"},
    "time_malformed": {"event": "vi", "time": 1.5},
    "trade_date_malformed": {"event": "vi", "time": NINE_US, "trade_date": "2026-13-01"},
    "seq_malformed": {"event": "vi", "time": NINE_US, "seq": "x"},
}


@pytest.mark.once
@pytest.mark.parametrize("reason", REFUSED_EVENTS)
def test_an_event_that_cannot_be_believed_is_kept_with_its_reason_and_the_others_are_stored(reason):
    good = {"event": "halt", "time": "2026-03-16T09:00:00+09:00", "symbol": "005930"}

    process(wire.encode_events(1, "krx", 1, [good, REFUSED_EVENTS[reason]]))

    assert [(one.kind, one.time_us) for one in kept_events()] == [("halt", NINE_US)]
    assert reasons() == [(1, reason.strip())]


def test_books_that_cannot_be_read_are_refused_as_a_whole_and_hold_up_nobody():
    process(books(book())[:-8], events(event(), seq=2)[:-1], books(book(), seq=3))

    assert sorted(DeadLetter.objects.values_list("code", flat=True)) == ["bad_batch", "bad_batch"]
    assert [one.state for one in IngestBatch.objects.order_by("batch")] == ["refused", "refused", "stored"]
    assert len(kept_books()) == 1


@pytest.mark.parametrize(
    ("kinds", "expected"), [("trade", [0, 0, 1]), ("book", [1, 0, 0]), ("status", [0, 1, 0]), ("*", [1, 1, 1])]
)
def test_a_client_sends_the_kinds_it_may_and_no_others(kinds, expected):
    stream = sender(kinds=kinds, shares_feeds=True)

    process(books(book()), events(event(), seq=2), rows(trade(), seq=3), stream=stream)

    assert [len(kept_books()), len(kept_events()), len(stored())] == expected
    assert {why for _, why in reasons()} == (set() if kinds == "*" else {"kind_refused"})


def test_a_symbol_of_a_feed_belongs_to_one_client_in_books_and_events_too():
    first, second = sender("first"), sender("second")

    process(books(book()), stream=first)
    process(books(book(), book(symbol="000660")), events(event(), event(symbol=None), seq=2), stream=second)

    assert [len(kept_books()), len(kept_books("000660")), len(kept_events())] == [1, 1, 1]
    assert reasons() == [(0, "feed_refused"), (0, "feed_refused")]


def test_an_event_of_a_whole_market_may_be_sent_by_whoever_may_send_some_market():
    stream = sender(markets="US", shares_feeds=True)

    process(events(event(), event(symbol=None)), stream=stream)

    assert [one.symbol for one in kept_events()] == [""]
    assert reasons() == [(0, "market_refused")]


def test_a_feed_that_may_not_be_written_takes_no_books_either():
    stream = sender(feeds="sim*")

    process(books(book()), events(event(), seq=2), stream=stream)

    assert set(DeadLetter.objects.values_list("code", flat=True)) == {"feed_refused"}
    assert [kept_books(), kept_events()] == [[], []]


def test_books_register_the_symbols_they_bring_as_far_as_the_quota_goes(settings):
    settings.QUOTA_SYMBOLS_PER_CLIENT = 1
    stream = sender(may_register=True, shares_feeds=True)

    process(books(book(symbol="ESH6"), book(symbol="ESM6")), stream=stream, market="CME")

    assert [len(kept_books("ESH6")), len(kept_books("ESM6"))] == [1, 0]
    assert [why for _, why in reasons()] == ["symbol_unknown quota_reached"]


# --- judged again -----------------------------------------------------------------------------------------------------


def requeued() -> str:
    out = StringIO()
    call_command("requeue", "--all", stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def replay(worker: None) -> None:
    """A client whose first stream is 1."""
    client, _ = Client.objects.create_with_secret(
        name="replay", source=Source.objects.get(code="REPLAY"), may_send=True, feeds="*", shares_feeds=True
    )
    IngestStream.objects.create(id=1, client=client, epoch=f"{1:016x}")


@pytest.mark.usefixtures("replay")
def test_refused_books_and_events_are_stored_once_when_their_symbol_is_there():
    refused = book(symbol="035720", expected_price=price("69000"), bid_total=size("0.5"), seq=9, trade_date=DAY)
    process(books(book(), refused), events(event(), event(symbol="035720", trade_date=DAY), seq=2))
    assert {why for _, why in reasons()} == {"symbol_unknown"}
    Symbol.objects.create(code="035720", market_id="KRX")

    requeued()
    requeued()

    (kept,) = kept_books("035720")
    assert (kept.bids, kept.asks) == ((("70000", "5"), ("69900", "7.5")), (("70100", "3"),))
    assert (kept.expected_price, kept.bid_total, kept.trade_date) == (price("69000"), size("0.5"), DAY)
    assert kept.tick_id == (batch_number(1, 1) << TICK_BITS) + 1
    assert [(one.symbol, one.body) for one in kept_events()] == [
        ("005930", {"code": "1", "값": 2.5}), ("035720", {"code": "1", "값": 2.5})
    ]  # fmt: skip
    assert not IngestReject.objects.exists()
    assert sorted(IngestBatch.objects.values_list("rows", "stored", "rejected")) == [(2, 2, 0), (2, 2, 0)]
    assert list(IngestRequeue.objects.values_list("stored", "announced")) == [(1, True), (1, True)]
    assert not IngestBatchDay.objects.exists()
    assert announced() == []


@pytest.mark.usefixtures("replay")
def test_what_can_be_no_book_stays_refused_as_it_was():
    process(books(book(), book(bids=(LEVEL, (LEVEL[0] + 1, LEVEL[1])))))
    process(wire.encode_events(2, "krx", 1, [{"event": "VI", "time": NINE_US}, 5]))

    requeued()

    assert [why for _, why in reasons()] == ["book_unordered", "event_malformed", "not_an_object"]
    assert [len(kept_books()), len(kept_events())] == [1, 0]


@pytest.mark.usefixtures("replay")
def test_a_dead_letter_of_books_is_stored_when_its_feed_may_be_written(monkeypatch):
    Client.objects.update(feeds="sim*")
    process(books(book()), events(event(), seq=2))
    Client.objects.update(feeds="*")
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))

    requeued()
    requeued()

    assert [len(kept_books()), len(kept_events())] == [1, 1]
    assert not DeadLetter.objects.exists()
    assert sorted(IngestBatch.objects.values_list("state", "stored")) == [("stored", 1), ("stored", 1)]


@pytest.mark.usefixtures("replay")
def test_what_would_be_stored_is_said_and_nothing_is():
    process(books(book(symbol="035720")))
    Symbol.objects.create(code="035720", market_id="KRX")

    results = list(requeue.run(requeue.Selection(), asked_by="test", dry_run=True))

    assert [(one.judged, one.stored) for one in results] == [(1, 1)]
    assert kept_books("035720") == []


# --- gaps -------------------------------------------------------------------------------------------------------------


def test_the_gaps_of_a_batch_are_kept_each_with_its_symbol_and_its_volume():
    told_gaps = [
        wire.Gap(NINE_US, NINE_US + 5, 0, "volume_hole", "005930", size("120.5"), DAY),
        wire.Gap(NINE_US, NINE_US + 9, 12, "spool_full"),
    ]

    process(wire.encode_gaps(1, "krx", 1, told_gaps))
    process(wire.encode_gaps(1, "krx", 1, told_gaps))

    kept = Gap.objects.order_by("idx").values_list("symbol", "from_us", "to_us", "rows", "missing", "reason")
    assert list(kept) == [
        ("005930", NINE_US, NINE_US + 5, 0, size("120.5"), "volume_hole"),
        ("", NINE_US, NINE_US + 9, 12, None, "spool_full"),
    ]
    dates = Gap.objects.order_by("idx").values_list("trade_date", flat=True)
    assert list(dates) == [datetime.date(2026, 3, 16), None]
