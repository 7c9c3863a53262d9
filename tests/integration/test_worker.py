"""The worker's transaction on a real database and a real Redis: once, whole, and told to everybody who waits for it."""

import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from ingest import notices, recovery, tasks
from ingest.flights import Flight, Flights
from ingest.rights import Rights
from marketdata import tasks as upkeep
from marketdata.ledger import batch_ledger
from marketdata.models import (
    Alarm,
    Client,
    DeadLetter,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestStream,
    Market,
    Source,
    Symbol,
)
from marketdata.realtime import feed, live_state, seeding
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.ticks import batch_number
from terminals import wire
from tests import market
from tests.fakes import FakeClock
from tests.market import MINUTE_US, NINE_US

ME = "test"
REPLAY, KIS = 4, 3
EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    """An empty database and Redis, two symbols, and a worker that remembers nothing."""
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    for code in ("005930", "000660"):
        Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"))
    seeding.seed()
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


def trade(**other: Any) -> dict[str, Any]:
    return {"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **other}


def rows(*given: dict[str, Any], seq: int = 1, name: str = "krx") -> bytes:
    return wire.encode_rows(seq, name, 1, given)


def message(*payloads: bytes, source: int = REPLAY, dead: str | None = None, **other: Any) -> list[list[object]]:
    """Batches as the ingest server hands them over."""
    return [
        notices.batch_message(
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


def told() -> list[notices.Outcome]:
    """What the ingest server would hear."""
    answer: Any = live_state.connection().xrange(notices.STREAM + ME)
    return notices.read(answer)[1]


def announced(name: str = "krx") -> list[feed.FeedEntry]:
    """What subscribers of a feed would hear."""
    answer: Any = live_state.connection().xrange(feed.STREAM + name)
    return [feed.decode(name, number, values) for number, values in answer]


def stored(symbol: str = "005930", name: str = "krx") -> list[int]:
    return [int(price) for price in storage().read_ticks(symbol, name, *EVER).price]


def counts() -> tuple[int, int, int]:
    return IngestBatch.objects.count(), storage().count("temp_market_data"), storage().count("market_data_minute")


# --- a claim row that is gone -------------------------------------------------------------------------------------


def without_claim(payload: bytes) -> None:
    """A batch was stored, and then its row of the ledger was lost."""
    process(payload)
    IngestBatch.objects.all().delete()
    assert IngestBatchDay.objects.count() == 1


@pytest.mark.parametrize("rolled", [False, True])
def test_a_batch_whose_claim_was_lost_is_claimed_again_and_counts_no_second_time(rolled):
    payload = rows(trade(), trade(time=NINE_US + 1))
    without_claim(payload)
    if rolled:
        storage().move_day(datetime.date(2026, 3, 16), progress=print)

    process(payload, rows(trade(symbol="000660"), seq=2))

    assert list(IngestBatch.objects.order_by("batch").values_list("state", "stored")) == [("stored", 2), ("stored", 1)]
    assert len(stored()) == 2
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [2]
    assert sorted(outcome.batch & 0xFFFFFFFF for outcome in told()) == [1, 1, 2]
    assert not DeadLetter.objects.exists()
    assert "with 0 ticks that were gone" in Alarm.objects.get(code="claim_restored").message


def test_ticks_that_were_lost_with_their_claim_are_stored_again_and_candles_stay():
    payload = rows(trade(), trade(time=NINE_US + 1))
    without_claim(payload)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data WHERE tick_id % 2 = 1")

    process(payload)

    assert len(stored()) == 2
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [2]
    assert "with 1 ticks that were gone" in Alarm.objects.get(code="claim_restored").message


def test_another_content_under_a_lost_claim_is_set_aside():
    without_claim(rows(trade()))

    process(rows(trade(price="1")))

    assert stored() == [market.price("70000")]
    assert (IngestBatch.objects.get().stored, DeadLetter.objects.get().code) == (1, "checksum_mismatch")
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [1]


# --- statements -------------------------------------------------------------------------------------------------------

# Loading ticks and merging candles go past Django on SQLite.
STATEMENTS = {
    "mariadb": ["LOAD DATA", "INSERT INTO market_data_minute"],
    "postgresql": [
        "SAVEPOINT",
        "COPY temp_market_data",
        "RELEASE SAVEPOINT",
        "SELECT pg_advisory_xact_lock_shared",
        "INSERT INTO market_data_minute",
    ],
    "sqlite": [],
}


@pytest.mark.parametrize("batches", [1, 5])
def test_a_commit_takes_the_same_few_statements_however_many_batches_it_has(vendor, batches, monkeypatch):
    source = Source.objects.get(code="REPLAY")
    client, _ = Client.objects.create_with_secret(name="t", source=source, may_send=True, feeds="*")
    IngestStream.objects.create(pk=1, client=client, epoch="e")
    monkeypatch.setattr(tasks, "directory", Directory(clock=lambda: 0.0))
    monkeypatch.setattr(tasks, "rights", Rights(clock=lambda: 0.0))
    recovery._announced.clear()
    given = [trade(time=batch_ledger.now_us()), trade(time=batch_ledger.now_us(), symbol="000660")]
    process(rows(*given))  # what a worker remembers is known from here on

    with CaptureQueriesContext(connection) as asked:
        process(*[rows(*given, seq=2 + seq) for seq in range(batches)])

    notes = ["ingest_batch", "ingest_batch_day", "feed_pending"]
    expected = ["BEGIN", *(f"INSERT INTO {table}" for table in notes), *STATEMENTS[vendor], "COMMIT"]
    statements = [re.sub(r'["`]', "", query["sql"]).strip() for query in asked.captured_queries]
    assert len(statements) == len(expected), statements
    for found, start in zip(statements, expected, strict=True):
        assert found.startswith(start)
    assert IngestBatch.objects.count() == 1 + batches


# --- room -----------------------------------------------------------------------------------------------------------


def test_a_batch_of_many_dates_gets_its_room_in_pieces_and_holds_up_no_other(monkeypatch):
    day_us = 24 * 60 * MINUTE_US
    many = rows(*[trade(time=NINE_US - 7 * week * day_us) for week in range(3)], seq=1)
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "ROOM_S", -1.0)
        process(many, rows(trade(), seq=2))
        assert [batch & 0xFFFFFFFF for batch in IngestBatch.objects.values_list("batch", flat=True)] == [2]
        assert not DeadLetter.objects.exists()

    process(many)

    assert IngestBatch.objects.count() == 2
    assert len(storage().dates("temp_market_data")) == 3


# --- a batch that is right -----------------------------------------------------------------------------------------


def test_a_batch_ends_in_ledger_ticks_candles_feed_and_live_state():
    process(rows(trade(price="70000"), trade(price="70100", time=NINE_US + 1, size="2.5")))

    batch = IngestBatch.objects.get()
    assert (batch.state, batch.rows, batch.stored, batch.rejected) == ("stored", 2, 2, 0)
    assert (batch.first_us, batch.last_us) == (NINE_US, NINE_US + 1)
    assert stored() == [market.price("70000"), market.price("70100")]
    assert storage().read_minutes("005930", "krx", *EVER).volume.tolist() == [market.size("3.5")]
    assert [outcome.batch for outcome in told()] == [batch.batch]
    (entry,) = announced()
    assert (entry.first, entry.last, entry.committed_us) == (1, 2, batch.committed_us)
    assert market.candles(entry.bars) == market.candles(storage().read_minutes("005930", "krx", *EVER))
    assert live_state.latest("krx")["005930"]["price"] == market.price("70100")
    assert live_state.status()["counters"] == {"stored": 2, "batches": 1, "commits": 1}


def test_several_batches_of_several_feeds_are_one_transaction_and_an_entry_each_feed():
    process(rows(trade()), rows(trade(symbol="000660"), seq=2, name="nxt"), rows(trade(), seq=3))

    assert counts() == (3, 3, 2)
    assert [len(entry.ticks) for entry in announced("krx")] == [2]
    assert [len(entry.ticks) for entry in announced("nxt")] == [1]
    assert live_state.status()["counters"]["commits"] == 1


def test_a_batch_without_rows_is_in_the_ledger_and_nowhere_else():
    process(wire.Columns().encode(1, "krx", 1), rows(seq=2))

    assert counts() == (2, 0, 0)
    assert announced() == []
    assert [outcome.code for outcome in told()] == ["", ""]


def test_what_a_terminal_had_to_drop_is_a_gap_with_bounds_and_a_count():
    process(wire.encode_gap(1, "krx", 1, NINE_US, NINE_US + 5, 12, "disk full"))

    gap = Gap.objects.get()
    assert (gap.feed, gap.from_us, gap.to_us, gap.rows, gap.reason) == ("krx", NINE_US, NINE_US + 5, 12, "disk full")
    assert [outcome.code for outcome in told()] == [""]


def test_a_replay_registers_its_symbols_with_its_own_market():
    # 23:30 UTC is 17:30 in Chicago: the next trading date has begun there.
    evening = market.DAY_US * 20_528 + 23 * 3_600_000_000 + 30 * MINUTE_US

    process(rows(trade(symbol="ESH6", time=evening)), market="CME")

    assert Symbol.objects.get(code="ESH6").market_id == "CME"
    assert storage().read_ticks("ESH6", "krx", *EVER).trade_date.tolist() == [20_529]


def test_offsets_of_a_feed_go_on_where_the_last_entry_ended():
    process(rows(trade(), trade()))
    process(rows(trade(), seq=2))

    assert [(entry.first, entry.last) for entry in announced()] == [(1, 2), (3, 3)]


def test_a_candle_is_announced_as_it_is_after_all_commits_so_far():
    for seq in (1, 2, 3):
        process(rows(trade(time=NINE_US + seq), seq=seq))

    assert [entry.bars.n.tolist() for entry in announced()] == [[1], [2], [3]]


def test_an_older_trade_does_not_replace_the_latest_one():
    process(rows(trade(price="2", time=NINE_US + 5)))
    process(rows(trade(price="1", time=NINE_US), seq=2))

    assert live_state.latest("krx", ["005930", "999999"]) == {
        "005930": {
            "time_us": NINE_US + 5,
            "tick_id": market.tick_id(1, 0),
            "price": market.price("2"),
            "size": market.size("1"),
        }
    }


# --- a batch that comes again --------------------------------------------------------------------------------------


def test_a_batch_that_comes_again_is_confirmed_and_counted_once():
    process(rows(trade()))

    process(rows(trade()))

    assert counts() == (1, 1, 1)
    assert len(announced()) == 1
    assert [outcome.code for outcome in told()] == ["", ""]
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [1]
    assert not DeadLetter.objects.exists()


def test_of_a_message_only_the_batches_not_stored_yet_are_stored():
    process(rows(trade(price="1")), rows(trade(price="2"), seq=2))

    process(*(rows(trade(price=str(seq)), seq=seq) for seq in (3, 1, 2, 4)))

    assert sorted(stored()) == [market.price(str(seq)) for seq in (1, 2, 3, 4)]
    assert [len(entry.ticks) for entry in announced()] == [2, 2]
    assert storage().read_minutes("005930", "krx", *EVER).n.tolist() == [4]


def test_the_same_number_with_other_content_is_kept_aside_and_changes_nothing():
    process(rows(trade(price="70000")))

    process(rows(trade(price="1")))

    assert stored() == [market.price("70000")]
    assert [outcome.code for outcome in told()] == ["", "checksum_mismatch"]
    letter = DeadLetter.objects.get()
    assert (letter.code, bytes(letter.payload)) == ("checksum_mismatch", rows(trade(price="1")))


# --- rows that are wrong -------------------------------------------------------------------------------------------


def test_one_wrong_row_stops_no_other():
    process(rows(trade(), trade(price="-1"), trade(symbol="999999")), rows(trade(), seq=2))

    assert counts() == (2, 2, 1)
    assert [(one.code, one.rejected, dict(one.reasons or {})) for one in told()] == [
        ("rows", 2, {"price_not_positive": 1, "symbol_unknown": 1}),
        ("", 0, {}),
    ]
    assert sorted(IngestReject.objects.values_list("idx", flat=True)) == [1, 2]


def test_the_ledger_knows_the_times_of_the_stored_rows_only():
    process(rows(trade(time=NINE_US + 7), trade(time=NINE_US - 5, price="-1")))

    batch = IngestBatch.objects.get()
    assert (batch.first_us, batch.last_us) == (NINE_US + 7, NINE_US + 7)


@pytest.mark.parametrize("odd", ["\ud800", "\x00", "𝟙🙂", "\\N", "'; DROP TABLE temp_market_data; --", "\t\n"])
def test_a_row_may_contain_any_text_and_still_be_kept_with_its_reason(odd):
    payload = rows(seq=1)[:-2] + json.dumps([trade(), trade(symbol=odd, note=odd)]).encode()
    payload = payload[:12] + (2).to_bytes(4, "little") + payload[16:]

    process(payload)

    assert [(outcome.code, outcome.failed) for outcome in told()] == [("rows", "")]
    assert IngestReject.objects.get().reasons == "symbol_unknown"
    assert len(stored()) == 1


def test_a_symbol_that_was_just_registered_is_known_at_once():
    process(rows(trade(symbol="035720")))
    Symbol.objects.create(code="035720", market=Market.objects.get(code="KRX"))

    process(rows(trade(symbol="035720"), seq=2))

    assert len(stored("035720")) == 1


# --- age ------------------------------------------------------------------------------------------------------------

DAY_US = 86_400_000_000


def test_what_was_captured_in_time_is_stored_however_late_it_comes():
    now = batch_ledger.now_us()
    then = now - 8 * DAY_US - 17 * 3600 * 1_000_000

    process(captured(then, trade(time=then - 1_000_000)), source=KIS, received_us=now)

    assert counts() == (1, 1, 1)
    assert IngestBatch.objects.get().captured_us == then


def test_what_was_old_at_its_capture_is_refused_however_soon_it_comes():
    now = batch_ledger.now_us()
    then = now - 3 * DAY_US

    process(captured(then, trade(time=then - 7 * DAY_US - 1)), source=KIS, received_us=now)
    process(captured(now, trade(time=now - 7 * DAY_US - 1), seq=2), source=KIS, received_us=now)

    assert set(IngestReject.objects.values_list("reasons", flat=True)) == {"time_past"}
    assert storage().count("temp_market_data") == 0


def test_a_terminal_whose_clock_is_an_hour_behind_is_understood():
    now, hour = batch_ledger.now_us(), 3_600_000_000
    then = now - 8 * DAY_US

    process(captured(then - hour, trade(time=then)), source=KIS, received_us=now, offset_us=-hour)

    assert counts() == (1, 1, 1)


def test_an_event_later_than_its_capture_is_refused_even_if_it_is_in_the_past_by_now():
    now = batch_ledger.now_us()

    process(captured(now - 8 * DAY_US, trade(time=now - 4 * DAY_US)), source=KIS, received_us=now)

    assert IngestReject.objects.get().reasons == "time_future"


def test_a_capture_that_cannot_be_does_not_make_old_events_young():
    now = batch_ledger.now_us()

    process(captured(now - 500 * DAY_US, trade(time=now - 500 * DAY_US)), source=KIS, received_us=now)
    process(captured(now + DAY_US, trade(time=now + DAY_US), seq=2), source=KIS, received_us=now)

    assert sorted(IngestReject.objects.values_list("reasons", flat=True)) == ["time_future", "time_past"]


# --- a batch that nobody can process --------------------------------------------------------------------------------


@pytest.fixture
def poison() -> Iterator[None]:
    """A database that refuses the candles of symbol 000660, for a reason no retry will mend."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            cursor.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW"
                " IF NEW.symbol = '000660' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poison'; END IF"
            )
        elif connection.vendor == "postgresql":
            cursor.execute(
                "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF NEW.symbol = '000660' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;"
                " CREATE TRIGGER poison BEFORE INSERT ON market_data_minute FOR EACH ROW EXECUTE FUNCTION poison()"
            )
        else:
            cursor.execute(
                "CREATE TRIGGER poison BEFORE INSERT ON market_data_minute WHEN NEW.symbol = '000660'"
                " BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION poison CASCADE" if connection.vendor == "postgresql" else "DROP TRIGGER poison")


def flight(payload: bytes, *, since: float) -> Flight:
    header = wire.parse_header(payload)
    return Flight(
        number=batch_number(1, header.seq),
        stream=1,
        seq=header.seq,
        payload=payload,
        rows=header.rows,
        received_us=batch_ledger.now_us(),
        source_id=REPLAY,
        register_market=None,
        since=since,
    )


def test_a_poisonous_batch_is_buried_after_ten_failures_and_the_others_go_on(poison):
    clock, flights, heard = FakeClock(), Flights(4, 5000, 5.0), 0
    deadly = rows(trade(symbol="000660"), seq=2)
    for payload in (rows(trade()), deadly, rows(trade(), seq=3)):
        flights.add(flight(payload, since=clock()))

    attempts: list[list[int]] = []
    settled: list[tuple[int, str]] = []
    while len(flights) and len(attempts) < 50:
        flights.overdue(clock.advance(5.0))
        if chosen := flights.next_message():
            flights.published(chosen, clock())
            attempts.append([one.seq for one in chosen])
            tasks.process_batches(
                batches=[
                    notices.batch_message(
                        one.number, one.payload, one.received_us, one.source_id, one.register_market, one.dead
                    )
                    for one in chosen
                ],
                reply_to=ME,
            )
        for outcome in told()[heard:]:
            heard += 1
            if outcome.failed:
                flights.fail(outcome.batch, outcome.failed, clock())
            elif flights.settle(outcome.batch, clock()):
                settled.append((outcome.batch & 0xFFFFFFFF, outcome.code))

    assert attempts == [[1, 2, 3]] + [[2]] * 10
    assert settled == [(1, ""), (3, ""), (2, "dead_letter")]
    letter = DeadLetter.objects.get()
    assert (letter.code, bytes(letter.payload)) == ("dead_letter", deadly)
    assert "poison" in letter.error
    assert IngestBatch.objects.get(batch=batch_number(1, 2)).state == "dead"
    assert storage().count("temp_market_data") == 2
    assert [len(entry.ticks) for entry in announced()] == [1, 1]


# --- Redis that is away --------------------------------------------------------------------------------------------


def test_what_the_feed_missed_is_published_exactly_once(redis_server):
    process(rows(trade(price="1")))
    redis_server.kill()
    process(rows(trade(price="2"), trade(symbol="000660", price="5"), seq=2))
    process(rows(trade(price="3"), seq=3))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0)
    recovery.announce_missed(settle_s=0.0)

    assert counts() == (3, 4, 2)
    prices = [sorted(entry.ticks.price.tolist()) for entry in announced()]
    assert prices == [[market.price("1")], [market.price("2"), market.price("5")], [market.price("3")]]
    last = announced()[-1].bars
    assert last.n[last.symbol == last.symbols.index("005930")].tolist() == [3]
    assert [entry.first for entry in announced()] == [1, 2, 4]


def test_more_than_is_published_at_a_time_is_published_in_turns(redis_server):
    process(rows(trade()))
    redis_server.kill()
    process(rows(trade(), seq=2, name="nxt"))
    process(rows(trade(), seq=3, name="krx"))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0, budget_s=0.0)
    recovery.announce_missed(settle_s=0.0, budget_s=0.0)

    assert [len(announced("nxt")), len(announced("krx"))] == [1, 2]


def test_what_is_published_late_is_the_latest_all_the_same(redis_server):
    redis_server.kill()
    process(rows(trade(price="2"), trade(symbol="000660", price="5")))
    redis_server.start()

    recovery.announce_missed(settle_s=0.0)

    assert {code: one["price"] for code, one in live_state.latest("krx").items()} == {
        "005930": market.price("2"),
        "000660": market.price("5"),
    }


def test_what_was_announced_is_not_announced_again():
    process(rows(trade()))

    recovery.announce_missed(settle_s=0.0)

    assert len(announced()) == 1


def test_a_batch_announced_late_is_not_announced_by_the_worker_that_was_slow(redis_server):
    redis_server.kill()
    process(rows(trade()))
    redis_server.start()
    recovery.announce_missed(settle_s=0.0)

    process(rows(trade()), rows(trade(), seq=2))

    assert [len(entry.ticks) for entry in announced()] == [1, 1]


def test_a_redis_that_is_away_loses_no_tick(redis_server):
    missed = REGISTRY.get_sample_value("naru_feed_failures_total") or 0
    redis_server.kill()

    process(rows(trade()))

    redis_server.start()
    assert counts() == (1, 1, 1)
    assert REGISTRY.get_sample_value("naru_feed_failures_total") == missed + 1


# --- room for the days to come -------------------------------------------------------------------------------------


def test_partitions_may_be_extended_any_number_of_times():
    upkeep.extend_partitions()
    upkeep.extend_partitions()

    process(rows(trade(time=batch_ledger.now_us())), source=KIS)

    assert counts() == (1, 1, 1)
