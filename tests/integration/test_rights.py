"""What a client may write and read: its feeds, markets and kinds, and the one client that a feed of a symbol belongs
to."""

import datetime
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from api.auth import authentication
from ingest import authenticator, notifications, requeue, tasks
from ingest.rights import Rights
from marketdata import alarms as alarms_module
from marketdata import tasks as upkeep
from marketdata.ledger import batch_ledger, stream_numbers
from marketdata.limits import reached
from marketdata.models import (
    Alarm,
    Client,
    DeadLetter,
    Feed,
    FeedOwner,
    Gap,
    IngestBatch,
    IngestReject,
    Market,
    Source,
    Symbol,
)
from marketdata.realtime import live_state
from marketdata.reference import owners
from marketdata.reference.owners import Owners
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests.market import NINE_US

EVER = (-(2**62), 2**62)
ONCE = pytest.mark.once


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    alarms_module.told.clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    for code, market in (("005930", "KRX"), ("000660", "KRX"), ("ESH6", "CME")):
        Symbol.objects.create(code=code, market=Market.objects.get(code=market))
    yield
    Feed.objects.update(shared=False)
    live_state.connection().close()
    live_state.connection.cache_clear()


def client(name: str, *, source: str = "KIS", **fields: Any) -> Client:
    rights = {"may_send": True, **fields}
    return Client.objects.create_with_secret(name=name, source=Source.objects.get(code=source), **rights)[0]


class Sender:
    """A client's batches, processed as a worker does; a replay's source, so that any time will do."""

    def __init__(self, owner: Client) -> None:
        self.stream = stream_numbers.open_stream(owner, f"{owner.pk:016x}")
        self.seq = 0

    def send(self, *rows: dict[str, Any], feed: str = "krx", source: int = 4) -> None:
        self.seq += 1
        given = [{"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **row} for row in rows]
        self.process(wire.encode_rows(self.seq, feed, 1, given), source)

    def process(self, payload: bytes, source: int = 4) -> None:
        number = batch_number(self.stream, self.seq)
        message = notifications.batch_message(number, payload, batch_ledger.now_us(), source, None, None)
        tasks.process_batches(batches=[message], reply_to="test")


def prices(symbol: str = "005930", feed: str = "krx") -> list[int]:
    return [int(price) // 10**8 for price in storage().read_ticks(symbol, feed, *EVER).price]


def rejected() -> list[str]:
    return list(IngestReject.objects.order_by("batch", "idx").values_list("reasons", flat=True))


def alarms() -> set[tuple[str, str]]:
    return set(Alarm.objects.filter(cleared_at=None).values_list("code", "subject"))


# --- feeds, markets, kinds -----------------------------------------------------------------------------------------


def test_a_simulator_cannot_put_its_prices_into_the_exchanges_feed():
    Sender(client("desk")).send({"price": "70000"})

    simulator = Sender(client("toy", source="SIMULATOR"))
    simulator.send({"price": "999999"})
    simulator.send({"price": "1"}, feed="sim2")

    assert prices() == [70_000]
    assert prices(feed="sim2") == [1]  # and nothing is blocked behind the refused batch
    letter = DeadLetter.objects.get()
    assert letter.code == "feed_refused"
    assert "sim*" in letter.error
    assert IngestBatch.objects.get(batch=letter.batch).state == "refused"
    assert alarms() == {("feed_refused", "toy krx")}


def test_a_gap_of_a_symbol_is_judged_like_its_rows_and_the_others_of_its_batch_stand():
    Sender(client("desk")).send({"price": "70000"})
    other = Sender(client("other", markets="KRX"))
    other.seq = 1
    gaps = [wire.Gap(1, 2, 3, "lost", code, 4) for code in ("005930", "000660", "999999", "ESH6", None)]

    for _ in range(2):
        other.process(wire.encode_gaps(1, "krx", 1, gaps))

    kept = Gap.objects.order_by("idx").values_list("idx", "symbol", "missing")
    assert list(kept) == [(1, "000660", 4), (4, "", 4)]
    assert rejected() == ["feed_refused", "symbol_unknown", "market_refused"]
    batch = IngestBatch.objects.get(batch=batch_number(other.stream, 1))
    assert (batch.state, batch.stored, batch.rejected) == ("stored", 0, 3)
    assert ("feed_refused", "other krx") in alarms()

    FeedOwner.objects.filter(symbol="005930").update(client=None)
    Symbol.objects.create(code="999999", market_id="CME")
    (result,) = requeue.run(requeue.Selection(), asked_by="boss")

    assert (result.judged, result.stored, result.reasons, result.error) == (3, 1, {"market_refused": 2}, "")
    assert sorted(Gap.objects.values_list("idx", "symbol")) == [(0, "005930"), (1, "000660"), (4, "")]
    assert rejected() == ["market_refused"] * 2
    batch.refresh_from_db()
    assert (batch.rows, batch.rejected) == (2, 2)


def test_who_only_tells_of_gaps_becomes_no_owner_and_the_one_with_the_trades_is_taken():
    stands_by = Sender(client("standby"))
    stands_by.seq = 1

    stands_by.process(wire.encode_gaps(1, "krx", 1, [wire.Gap(1, 2, 3, "lost", "005930")]))
    Sender(client("desk")).send({"price": "70000"})

    assert (Gap.objects.count(), prices(), alarms()) == (1, [70_000], set())
    assert FeedOwner.objects.filter(feed="krx", symbol="005930", client__name="desk").exists()


@pytest.mark.once
def test_a_terminal_hears_by_name_that_its_batch_was_refused_and_goes_on(road):
    road.ingest()
    road.worker()
    _, secret = Client.objects.create_with_secret(
        name="toy", source=Source.objects.get(code="SIMULATOR"), may_send=True
    )
    terminal = road.terminal("toy", source="SIMULATOR", secret=secret)
    terminal.login()
    now = batch_ledger.now_us()

    terminal.rows([{"symbol": "005930", "time": now, "price": "999999", "size": "1"}])
    terminal.until_committed()
    terminal.batch(wire.encode_rows(2, "sim", 1, [{"symbol": "005930", "time": now, "price": "5", "size": "1"}]))
    terminal.until_committed(2)

    assert [reject.code for reject in terminal.rejects] == ["feed_refused"]
    assert "may not write the feed krx" in terminal.rejects[0].message
    assert (prices(), prices(feed="sim")) == ([], [5])


def test_only_symbols_of_its_markets_and_ticks_of_its_kinds_are_taken():
    sender = Sender(client("desk", feeds="krx", markets="KRX", kinds="trade"))

    sender.send({}, {"symbol": "ESH6"}, {"kind": "quote", "bid": "1"}, {"symbol": "ESH6", "kind": "quote", "bid": "1"})

    assert rejected() == ["market_refused", "kind_refused", "kind_refused"]
    assert (prices(), prices("ESH6")) == ([70_000], [])
    assert alarms() == {("scope_refused", "desk kinds"), ("scope_refused", "desk markets")}


def test_a_scope_that_is_widened_counts_from_the_next_batch():
    owner = client("desk", feeds="nxt")
    sender = Sender(owner)
    sender.send({})
    owner.feeds = "nxt krx"
    owner.save()

    sender.send({"price": "70100"})

    assert prices() == [70_100]


@ONCE
def test_the_clients_that_are_known_are_read_together_when_one_has_to_be_read_again():
    now = [0.0]
    rights = Rights(keep_s=5.0, clock=lambda: now[0])
    streams = [Sender(client(name, feeds="krx")).stream for name in ("desk1", "desk2")]

    def feeds() -> list[str]:
        return [known.feeds if (known := rights.client(stream)) else "nobody's" for stream in streams]

    assert feeds() == ["krx", "krx"]
    Client.objects.update(feeds="nxt")

    now[0] = 6.0
    with CaptureQueriesContext(connection) as asked:
        assert feeds() == ["nxt", "nxt"]
    assert len(asked) == 1


def test_a_refusal_that_came_to_an_end_is_no_alarm_any_more():
    Sender(client("toy", source="SIMULATOR")).send({})
    reached.tell("websockets", "there is no room")
    upkeep.watch_upkeep()
    assert alarms() == {("feed_refused", "toy krx"), ("limit_reached", "websockets")}
    Alarm.objects.update(seen_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=11))

    upkeep.watch_upkeep()

    assert alarms() == set()


@ONCE
def test_a_new_sender_may_write_the_feeds_of_its_source_and_not_read():
    call_command("addclient", "desk1", "--source", "SIMULATOR", "--register")
    call_command("addclient", "desk2", "--source", "REPLAY", "--feeds", "krx, nxt", "--markets", "KRX", "--read")
    call_command("addclient", "notebook")

    shown = Client.objects.order_by("name").values_list("name", "feeds", "markets", "kinds", "may_read")
    assert list(shown) == [
        ("desk1", "sim*", "*", "*", False),
        ("desk2", "krx nxt", "KRX", "*", True),
        ("notebook", "", "*", "*", True),
    ]


@pytest.mark.once
@ONCE
@pytest.mark.parametrize("wrong", [{"kinds": "trades"}, {"markets": "NYSE"}, {"feeds": "kr-x"}, {"feeds": "*x"}])
def test_a_scope_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        client("desk", **wrong)


@ONCE
def test_a_market_outside_its_scope_cannot_be_registered_in():
    owner, secret = Client.objects.create_with_secret(
        name="desk", source=Source.objects.get(code="REPLAY"), may_send=True, may_register=True, markets="KRX"
    )
    signed = b"signed"
    hello = wire.Hello(
        client="desk", epoch="00" * 8, nonce=wire.new_nonce(), first=1, last=0, source="REPLAY", register_market="CME",
        agent="test", time_us=1, proof=wire.client_proof(secret, signed),
    )  # fmt: skip

    answer = authenticator.authenticate(hello, signed)

    assert isinstance(answer, authenticator.Refused)
    assert (answer.code, answer.reason) == ("register_refused", "market_refused")
    assert owner.markets == "KRX"


# --- owners --------------------------------------------------------------------------------------------------------


def test_the_second_client_of_a_symbols_feed_is_refused_and_only_for_that_symbol():
    Sender(client("first")).send({})

    Sender(client("second")).send({"price": "1"}, {"symbol": "000660", "price": "2"})

    assert (prices(), prices("000660")) == ([70_000], [2])
    assert rejected() == ["feed_refused"]
    assert alarms() == {("feed_refused", "second krx")}
    assert "feeds transfer" in Alarm.objects.get().message


def test_another_feed_of_the_symbol_may_have_another_owner():
    Sender(client("first")).send({})
    Sender(client("second")).send({}, feed="nxt")

    assert rejected() == []
    assert FeedOwner.objects.count() == 2


def test_a_client_or_a_feed_that_is_shared_on_purpose_has_no_owner():
    Sender(client("first")).send({})
    Sender(client("beside", shares_feeds=True)).send({"price": "1"})
    call_command("feeds", "share", "--feed", "krx")
    Sender(client("third")).send({"price": "2"})

    assert sorted(prices()) == [1, 2, 70_000]


def test_rows_that_are_wrong_by_themselves_claim_nothing():
    Sender(client("first")).send({"price": "x"})

    assert not FeedOwner.objects.exists()


def test_of_two_workers_that_claim_at_once_one_gets_it():
    first, second = client("first"), client("second")
    barrier, found = threading.Barrier(2), {}

    def claim(one: Client) -> None:
        barrier.wait(300)
        try:
            found[one.name] = Owners().owned("krx", ["005930", "000660"], one)
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)

    assert sorted(found) == ["first", "second"]
    assert found["first"] | found["second"] == {"005930", "000660"}
    assert found["first"] & found["second"] == set()


def test_what_was_released_belongs_to_the_next_who_sends_it():
    Sender(client("old")).send({})
    new = Sender(client("new"))

    call_command("feeds", "release", "--client", "old", "--symbol", "005930")
    new.send({"price": "1"})

    assert sorted(prices()) == [1, 70_000]
    assert FeedOwner.objects.values_list("client__name", flat=True).get() == "new"


def test_what_was_transferred_is_refused_from_the_old_one():
    old, new = Sender(client("old")), Sender(client("new"))
    old.send({})

    call_command("feeds", "transfer", "--client", "old", "--to", "new", "--feed", "krx")
    new.send({"price": "1"})
    old.send({"price": "2"})

    assert sorted(prices()) == [1, 70_000]


def test_a_client_that_was_switched_off_owns_nothing():
    old = client("old")
    Sender(old).send({})
    old.is_active = False
    old.save()

    Sender(client("new")).send({"price": "1"})

    assert sorted(prices()) == [1, 70_000]


def test_a_worker_hears_of_a_release_by_what_changed():
    first, second, workers = client("first"), client("second"), Owners(keep_s=0.0)
    assert workers.owned("krx", ["005930"], first) == {"005930"}

    owners.transfer(first, second)

    assert workers.owned("krx", ["005930"], first) == set()
    assert workers.owned("krx", ["005930"], second) == {"005930"}


@ONCE
def test_a_transfer_to_who_may_not_write_the_feed_is_refused(capsys):
    client("old")
    client("toy", source="SIMULATOR")

    with pytest.raises(CommandError, match="may not write"):
        call_command("feeds", "transfer", "--client", "old", "--to", "toy", "--feed", "krx")
    with pytest.raises(CommandError, match="no such feed"):
        call_command("feeds", "share", "--feed", "nowhere")


@ONCE
def test_owners_are_released_in_the_admin():
    Sender(client("old")).send({}, {"symbol": "000660"})
    get_user_model().objects.create_superuser("boss", password="correct horse battery")
    browser = Browser()
    browser.login(username="boss", password="correct horse battery")
    chosen = FeedOwner.objects.get(symbol="005930")

    answer = browser.post("/admin/marketdata/feedowner/", {"action": "release", "_selected_action": [chosen.pk]})

    assert answer.status_code == 302
    assert dict(FeedOwner.objects.values_list("symbol", "client__name")) == {"005930": None, "000660": "old"}
    get_user_model().objects.all().delete()


# --- reading -------------------------------------------------------------------------------------------------------


@ONCE
def test_a_sender_reads_nothing_unless_it_was_said():
    _, secret = Client.objects.create_with_secret(
        name="term1", source=Source.objects.get(code="SIMULATOR"), may_send=True
    )
    headers = {
        authentication.KEY_HEADER: Client.objects.get(name="term1").key_id,
        authentication.SECRET_HEADER: secret,
    }

    answers = [Browser().get(path, headers=headers).status_code for path in ("/v2/symbols", "/v2/status", "/metrics")]

    assert answers == [403, 403, 403]


@ONCE
def test_a_reader_sees_the_terminals_and_not_where_they_are():
    reader, secret = Client.objects.create_with_secret(name="reader")
    shown = {"client": "desk", "address": "10.1.2.3", "agent": "naru/1 (PC-KIM)", "rate": 5}
    live_state.show_ingest("one", {"instance": "one", "clients": [shown]})
    headers = {authentication.KEY_HEADER: reader.key_id, authentication.SECRET_HEADER: secret}

    answer = Browser().get("/v2/status", headers=headers)

    assert answer.status_code == 200
    assert answer.json()["ingest"][0]["clients"][0]["client"] == "desk"
    assert b"10.1.2.3" not in answer.content
    assert b"PC-KIM" not in answer.content
