"""A vendor's record that comes again is one trade where the client says what tells two apart, and else it is two."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from ingest import notifications, repeats, requeue, tasks
from ingest.rights import Rights
from marketdata import alarms
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.models import Client, DeadLetter, IngestBatch, IngestReject, Market, Source, Symbol
from marketdata.realtime import live_state
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import NINE_US

EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    alarms.told.clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    for code in ("005930", "000660"):
        Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"))
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


class Sender:
    """A client's batches, processed as a worker does; `again` begins a new spool, as after a lost PC."""

    def __init__(self, unique_by: str, name: str = "desk") -> None:
        self.client, _ = Client.objects.create_with_secret(
            name=name, source=Source.objects.get(code="REPLAY"), may_send=True, feeds="*", unique_by=unique_by,
            shares_feeds=True,
        )  # fmt: skip
        self.epochs = 0
        self.again()

    def again(self) -> None:
        self.epochs += 1
        self.stream = stream_numbers.open_stream(self.client, f"{self.epochs:016x}")
        self.seq = 0

    def message(self, *rows: dict[str, Any], feed: str = "krx", dead: str | None = None) -> list[object]:
        self.seq += 1
        given = [{"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **row} for row in rows]
        payload = wire.encode_rows(self.seq, feed, 1, given)
        return notifications.batch_message(
            batch_number(self.stream, self.seq), payload, batch_ledger.now_us(), 4, None, dead
        )

    def send(self, *rows: dict[str, Any], feed: str = "krx") -> None:
        process(self.message(*rows, feed=feed))


def process(*messages: list[object]) -> None:
    tasks.process_batches(batches=list(messages), reply_to="test")


def stored(symbol: str = "005930", feed: str = "krx") -> int:
    return len(storage().read_ticks(symbol, feed, *EVER))


def volume() -> int:
    return int(storage().read_minutes("005930", "krx", *EVER).n.sum())


def reasons() -> list[str]:
    return list(IngestReject.objects.order_by("batch", "idx").values_list("reasons", flat=True))


@pytest.mark.parametrize("column", ["seq", "cum_volume"])
def test_a_repeated_record_is_set_aside_in_a_batch_across_batches_and_across_spools(column):
    sender = Sender(column)
    sender.send({column: "1"}, {column: "2"}, {column: "1"})
    sender.send({column: "2"}, {column: "3"})
    sender.again()
    sender.send({column: "3"}, {column: "4"})

    assert stored() == volume() == 4
    assert reasons() == ["repeated_record"] * 3
    counts = IngestBatch.objects.order_by("batch").values_list("rows", "stored", "rejected")
    assert list(counts) == [(3, 2, 1), (2, 1, 1), (2, 1, 1)]
    answer: Any = live_state.connection().xrange(notifications.STREAM + "test")
    told = notifications.read(answer)[1]
    assert [outcome.reasons for outcome in told] == [{"repeated_record": 1}] * 3


def test_a_repeated_record_that_is_judged_again_stays_aside():
    sender = Sender("seq")
    sender.send({"seq": 1}, {"seq": 1}, {"seq": 2})

    for selection in (requeue.Selection(), requeue.Selection(reason="repeated_record")):
        assert list(requeue.run(selection, asked_by="test")) == []

    assert stored() == volume() == 2
    assert reasons() == ["repeated_record"]


@pytest.mark.parametrize("column", ["seq", "cum_volume"])
def test_repeated_records_of_a_dead_letter_that_is_judged_again_are_set_aside(column):
    sender = Sender(column)
    sender.send({column: "1"})
    process(sender.message({column: "1"}, {column: "2"}, {column: "2"}, {column: "3"}, dead="failed 10 times"))

    assert said_again(dry_run=True) == [(4, 2, {"repeated_record": 2})]
    assert stored() == 1
    assert said_again() == [(4, 2, {"repeated_record": 2})]

    assert stored() == volume() == 3
    assert reasons() == ["repeated_record"] * 2
    batch = IngestBatch.objects.latest("batch")
    assert (batch.state, batch.rows, batch.stored, batch.rejected) == ("stored", 4, 2, 2)
    assert said_again() == []


def test_a_refused_row_whose_record_came_again_meanwhile_is_a_repeat_when_it_is_judged_again():
    sender = Sender("seq")
    sender.send({"seq": 1, "symbol": "000990"}, {"seq": 2, "symbol": "000990"})
    Symbol.objects.create(code="000990", market=Market.objects.get(code="KRX"))
    sender.again()
    sender.send({"seq": 1, "symbol": "000990"})

    assert said_again() == [(2, 1, {"repeated_record": 1})]

    assert stored("000990") == 2
    assert reasons() == ["repeated_record"]
    assert said_again() == []


def said_again(*, dry_run: bool = False) -> list[tuple[int, int, dict[str, int]]]:
    """What a requeue of everything says of each batch."""
    found = requeue.run(requeue.Selection(), asked_by="test", dry_run=dry_run)
    return [(one.judged, one.stored, one.reasons) for one in found]


def test_a_batch_that_lost_its_claim_row_does_not_repeat_itself():
    sender = Sender("seq")
    message = sender.message({"seq": 1}, {"seq": 2})
    process(message)
    IngestBatch.objects.all().delete()

    process(message)

    assert stored() == volume() == 2
    assert reasons() == []
    assert IngestBatch.objects.get().stored == 2


@pytest.mark.parametrize("unique_by", ["", "cum_volume"])
def test_two_real_equal_trades_stay_two(unique_by):
    sender = Sender(unique_by)
    sender.send({"seq": 1}, {"seq": 1})
    sender.send({"seq": 1})

    assert stored() == volume() == 3


def test_a_trade_with_another_number_time_price_size_side_symbol_or_feed_is_another():
    sender = Sender("seq")
    sender.send({"seq": 1})

    sender.send(
        {"seq": 2}, {"seq": 1, "time": NINE_US + 1}, {"seq": 1, "price": "1"}, {"seq": 1, "size": "2"},
        {"seq": 1, "side": "buy"}, {"seq": 1, "symbol": "000660"}, {},
    )  # fmt: skip
    sender.send({"seq": 1}, feed="nxt")

    assert (stored(), stored("000660"), stored(feed="nxt")) == (7, 1, 1)
    assert reasons() == []


def test_quotes_are_never_taken_for_repeats():
    sender = Sender("seq")
    sender.send(*[{"kind": "quote", "bid": "1", "seq": 1}] * 2)

    assert stored() == 2


def test_what_another_client_sent_of_the_feed_counts_as_stored():
    Sender("", "old").send({"seq": 1})
    Sender("seq", "new").send({"seq": 1}, {"seq": 2})

    assert stored() == 2


def test_batches_of_one_message_and_of_several_clients_are_told_apart():
    declared, plain = Sender("seq", "one"), Sender("", "two")

    process(
        declared.message({"seq": 1}, {"seq": 1}),
        plain.message({"seq": 7}, {"seq": 7}),
        declared.message({"seq": 1}, {"price": "x"}, {"seq": 2}),
    )

    assert stored() == 4
    assert reasons() == ["repeated_record", "repeated_record", "price_not_a_number"]
    assert sorted(IngestBatch.objects.values_list("stored", flat=True)) == [1, 1, 2]


def test_a_batch_driven_again_has_the_same_answer():
    sender = Sender("seq")
    sender.send({"seq": 1})
    message = sender.message({"seq": 1}, {"seq": 2})

    process(message)
    process(message)

    assert stored() == 2
    assert reasons() == ["repeated_record"]


def test_a_transaction_that_is_repeated_notes_each_repeat_once(monkeypatch):
    sender = Sender("seq")
    sender.send({"seq": 1})
    real, tries = batch_ledger.claim_together, []

    def breaks_once(*given: Any) -> None:
        tries.append(given)
        if len(tries) == 1:
            raise ConnectionResetError
        real(*given)

    monkeypatch.setattr(batch_ledger, "claim_together", breaks_once)
    monkeypatch.setattr(type(storage()), "is_transient", lambda _, error: isinstance(error, ConnectionResetError))

    sender.send({"seq": 1}, {"seq": 2})

    assert len(tries) == 2
    assert stored() == 2
    assert reasons() == ["repeated_record"]


def test_two_workers_with_the_same_record_store_it_once(vendor):
    sender = Sender("seq")
    first = sender.message({"seq": 1})
    sender.again()
    second = sender.message({"seq": 1})
    barrier = threading.Barrier(2)

    def work(message: list[object]) -> None:
        barrier.wait(300)
        try:
            process(message)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(message,)) for message in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)

    assert stored() == volume() == 1
    assert reasons() == [repeats.REASON]


@pytest.mark.once
def test_what_tells_records_apart_is_said_by_command():
    call_command("addclient", "kis1", "--source", "KIS", "--unique-by", "cum_volume")

    assert Client.objects.get(name="kis1").unique_by == "cum_volume"


def test_a_batch_with_repeated_records_that_lost_its_claim_row_is_known_when_it_comes_again():
    sender = Sender("seq")
    sender.send({"seq": 1})
    sender.again()
    message = sender.message({"seq": 1}, {"seq": 2})
    process(message)
    before = reasons()
    IngestBatch.objects.all().delete()

    process(message)

    assert (stored(), volume(), reasons(), len(before)) == (2, 2, before, 1)
    assert [(batch.stored, batch.rejected) for batch in IngestBatch.objects.all()] == [(1, 1)]
    assert not DeadLetter.objects.exists()
