"""What the feed and the latest trades lack after a failure comes from the database: once, and whatever a clock says."""

import datetime
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import msgpack
import pytest
from django.db import connection
from redis.exceptions import ConnectionError as RedisGone

from ingest import notifications, recovery, tasks
from ingest.rights import Rights
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.models import FeedPending, Market, Symbol
from marketdata.realtime import cache_tables, feed, live_state, seeding
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import batch_number
from terminals import wire
from tests import market
from tests.market import MINUTE_US, NINE_US, price

REPLAY, SIMULATOR = 4, 5
HOUR_US = 3_600_000_000
CODES = ("000660", "005930", "035420")
EVER = (-(2**62), 2**62)


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
    cache_tables._written.clear()
    recovery._announced.clear()
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    for code in CODES:
        Symbol.objects.create(code=code, market=Market.objects.get(code="KRX"))
    yield
    live_state.connection().close()
    live_state.connection.cache_clear()


def trade(**other: Any) -> dict[str, Any]:
    return {"symbol": "005930", "time": NINE_US, "price": "70000", "size": "1", **other}


def process(*rows: dict[str, Any], seq: int = 1, name: str = "krx", source: int = REPLAY, stream: int = 1) -> None:
    """A batch of these rows, as a worker does it."""
    payload = wire.encode_rows(seq, name, 1, rows)
    message = notifications.batch_message(batch_number(stream, seq), payload, batch_ledger.now_us(), source, None, None)
    tasks.process_batches(batches=[message], reply_to="test")


def unannounced(*rows: dict[str, Any], **other: Any) -> None:
    """As `process`, by a worker that Redis leaves alone after the commit."""
    with mock.patch.object(feed, "publish", side_effect=RedisGone("gone")):
        process(*rows, **other)


def recover() -> None:
    recovery.announce_missed(settle_s=0.0)


def announced(name: str = "krx") -> list[feed.FeedEntry]:
    rows: Any = live_state.connection().xrange(feed.STREAM + name)
    return [feed.decode(name, number, values) for number, values in rows]


def back_to_nothing() -> None:
    """The database is put back to a backup from before the first batch; Redis goes on, the workers are started anew."""
    for table in ("ingest_batch_day", "ingest_batch", "feed_pending", "temp_market_data", "market_data_minute"):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
    recovery._announced.clear()


def prices(entries: Sequence[feed.FeedEntry]) -> list[list[int]]:
    return [entry.ticks.price.tolist() for entry in entries]


def pending() -> list[list[int]]:
    """The seqs that each row names, in the order of commits."""
    rows = FeedPending.objects.order_by("committed_us", "id").values_list("batches", flat=True)
    return [[batch & 0xFFFFFFFF for batch, _ticks in msgpack.unpackb(packed)] for packed in rows]


def clock_moved(by_us: int) -> Any:
    return mock.patch.object(batch_ledger, "now_us", side_effect=lambda now=batch_ledger.now_us: now() + by_us)


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_a_commit_after_the_clock_went_back_is_announced():
    process(trade(price="1"))
    with clock_moved(HOUR_US):
        recover()

    unannounced(trade(price="2"), seq=2)
    for _ in range(3):
        recover()

    assert prices(announced()) == [[price("1")], [price("2")]]


def test_a_commit_by_a_clock_that_was_an_hour_ahead_is_announced_once():
    with clock_moved(HOUR_US):
        process(trade(price="1"))
        unannounced(trade(price="2"), seq=2)
        recover()
    process(trade(price="3"), seq=3)
    unannounced(trade(price="4"), seq=4)
    with clock_moved(-HOUR_US):
        unannounced(trade(price="5"), seq=5)
        recover()
    recover()

    assert sorted(value for entry in announced() for value in entry.ticks.price.tolist()) == [
        price(str(number)) for number in range(1, 6)
    ]


def test_what_a_worker_announced_before_it_died_is_not_announced_again_however_the_clock_jumps():
    process(trade())
    recovery._announced.clear()  # it died before it could take its note away
    assert FeedPending.objects.count() == 1

    with clock_moved(HOUR_US):
        recover()
    recover()

    assert len(announced()) == 1
    assert not FeedPending.objects.exists()


# --- notes ------------------------------------------------------------------------------------------------------------


def test_notes_go_together_with_a_later_commit_of_the_worker_that_announced(monkeypatch):
    monkeypatch.setattr(recovery, "REMOVED_TOGETHER", 3)
    for seq in (1, 2, 3):
        process(trade(price=str(seq)), seq=seq)
    assert pending() == [[1], [2], [3]]

    process(trade(price="4"), seq=4)

    assert pending() == [[4]]


def test_notes_of_a_worker_that_has_nothing_to_do_are_taken_away_by_the_recovery():
    process(trade())
    assert FeedPending.objects.count() == 1

    recover()

    assert (FeedPending.objects.count(), len(announced())) == (0, 1)


def test_a_note_stays_when_the_transaction_that_would_take_it_away_fails(monkeypatch):
    monkeypatch.setattr(recovery, "REMOVED_TOGETHER", 1)
    process(trade())
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "_load_and_merge", mock.Mock(side_effect=ZeroDivisionError))
        process(trade(price="2"), seq=2)
    assert pending() == [[1]]

    process(trade(price="3"), seq=3)

    assert pending() == [[3]]


def test_the_oldest_notes_of_the_feed_are_let_go_by_number(monkeypatch):
    monkeypatch.setattr(feed, "KEEP_ANNOUNCED", 3)
    for seq in range(1, 6):
        process(trade(), seq=seq)

    kept: Any = live_state.connection().zrange(feed.ANNOUNCED, 0, -1)
    assert [int(note.split(b":")[0]) & 0xFFFF for note in kept] == [3, 4, 5]


def test_a_batch_that_has_just_been_seen_may_still_be_on_its_way():
    unannounced(trade())

    recovery.announce_missed(settle_s=3600.0)
    assert (announced(), FeedPending.objects.count()) == ([], 1)

    recover()
    assert len(announced()) == 1


def together(*prices_of: str) -> list[list[object]]:
    """Batches of one trade each, as they come in one message."""
    payloads = [wire.encode_rows(seq, "krx", 1, [trade(price=value)]) for seq, value in enumerate(prices_of, start=1)]
    return [
        notifications.batch_message(batch_number(1, seq), payload, batch_ledger.now_us(), REPLAY, None, None)
        for seq, payload in enumerate(payloads, start=1)
    ]


def recover_the_first_alone() -> None:
    """The recovery's process dies when Redis has taken one batch of many."""
    publish, published = feed.publish, mock.Mock()

    def first(*given: Any, **other: Any) -> None:
        if not published.called:
            publish(*given, **other)
        published()

    with mock.patch.object(feed, "publish", first), mock.patch.object(recovery, "_remove", mock.Mock()):
        recover()


def test_batches_of_one_commit_have_one_note_and_are_recovered_each_for_itself():
    with mock.patch.object(feed, "publish", side_effect=RedisGone("gone")):
        tasks.process_batches(batches=together("1", "2", "3"), reply_to="test")
    assert pending() == [[1, 2, 3]]

    recover_the_first_alone()
    assert (prices(announced()), pending()) == ([[price("1")]], [[1, 2, 3]])
    for _ in range(2):
        recover()

    assert prices(announced()) == [[price("1")], [price("2")], [price("3")]]
    assert pending() == []


def test_what_a_worker_announces_in_one_with_a_batch_that_was_recovered_is_recovered_too():
    announce = tasks._announce

    def slow(*given: Any) -> None:
        """The recovery comes between the commit and the announcement, and does one of the two."""
        recover_the_first_alone()
        announce(*given)

    with mock.patch.object(tasks, "_announce", slow):
        tasks.process_batches(batches=together("1", "2"), reply_to="test")
    assert prices(announced()) == [[price("1")]]

    recover()

    assert prices(announced()) == [[price("1")], [price("2")]]


def test_a_batch_that_the_ledger_lost_takes_no_note_from_those_it_was_committed_with():
    with mock.patch.object(feed, "publish", side_effect=RedisGone("gone")):
        tasks.process_batches(batches=together("1", "2"), reply_to="test")
    for table in ("ingest_batch_day", "ingest_batch", "temp_market_data", "market_data_minute"):
        where = (
            f"tick_id >> 13 = {batch_number(1, 1)}" if table == "temp_market_data" else f"batch = {batch_number(1, 1)}"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}" + ("" if table == "market_data_minute" else f" WHERE {where}"))

    process(trade(price="3"))  # another content under its number
    recover()

    assert sorted(prices(announced())) == [[price("2")], [price("3")]]
    assert pending() == []


def test_a_run_looks_at_so_many_batches_and_the_next_one_at_the_others(monkeypatch):
    monkeypatch.setattr(recovery, "LOOKED_AT", 2)
    for seq in (1, 2, 3):
        unannounced(trade(price=str(seq)), seq=seq)

    recover()
    assert (prices(announced()), pending()) == ([[price("1")], [price("2")]], [[3]])
    recover()

    assert prices(announced()) == [[price("1")], [price("2")], [price("3")]]


@pytest.mark.parametrize("send", [process, unannounced])
def test_what_comes_under_the_numbers_of_commits_that_the_database_lost_is_announced(send):
    process(trade(price="1"))
    process(trade(price="2"), seq=2)
    back_to_nothing()

    process(trade(price="1"))  # the same again: subscribers have it
    send(trade(price="3"), seq=2)
    recover()

    assert prices(announced()) == [[price(number)] for number in ("1", "2", "3")]
    assert [2] not in pending()


def test_two_recoveries_do_not_run_at_the_same_time():
    unannounced(trade())
    with live_state.connection().lock(recovery.LEASE, timeout=60):
        recover()
        assert announced() == []
    recover()
    assert len(announced()) == 1


# --- what is read back ------------------------------------------------------------------------------------------------


def test_a_recovered_batch_is_as_the_worker_would_have_announced_it():
    rows = [
        trade(symbol=code, time=NINE_US + at, price=str(100 + at % 7), kind="trade")
        for at, code in ((0, "005930"), (5, "000660"), (MINUTE_US, "005930"), (-5 * 86_400_000_000, "005930"))
    ]
    process(*rows, trade(kind="quote", time=NINE_US + 2, price=None, size=None, bid="9", ask="10"))
    unannounced(trade(time=NINE_US + 1, price="5"), seq=2)
    storage_only = announced()
    live_state.connection().flushall()
    FeedPending.objects.all().delete()
    for table in ("ingest_batch", "ingest_batch_day", "temp_market_data", "market_data_minute"):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
    unannounced(*rows, trade(kind="quote", time=NINE_US + 2, price=None, size=None, bid="9", ask="10"))

    recover()

    (entry,) = announced()
    assert market.rows_of(entry.ticks) == market.rows_of(storage_only[0].ticks)
    assert entry.ticks.source_id == REPLAY
    assert sorted(market.candles(entry.bars), key=str) == sorted(market.candles(storage_only[0].bars), key=str)


def test_batches_of_many_symbols_feeds_and_sources_are_recovered_each_for_itself():
    start_us = batch_ledger.now_us() - HOUR_US
    for seq in range(1, 30):
        unannounced(
            *(
                trade(symbol=code, time=start_us + seq * 700_000 + row, price=str(seq))
                for row, code in enumerate(CODES)
            ),
            seq=seq,
            name="nxt" if seq % 7 == 0 else "krx",
            source=SIMULATOR if seq % 5 == 0 else REPLAY,
            stream=1 + seq % 3,
        )

    recover()

    for name, seqs in (("krx", [n for n in range(1, 30) if n % 7]), ("nxt", [7, 14, 21, 28])):
        entries = announced(name)
        assert sorted(prices(entries)) == [[price(str(seq))] * 3 for seq in seqs]
        assert [entry.last for entry in entries] == [3 * (at + 1) for at in range(len(seqs))]
        assert {entry.ticks.price[0]: entry.ticks.source_id for entry in entries} == {
            price(str(seq)): SIMULATOR if seq % 5 == 0 else REPLAY for seq in seqs
        }
    assert not FeedPending.objects.exists()


def test_ticks_that_moved_to_history_meanwhile_are_recovered():
    unannounced(trade(price="1"), trade(price="2", symbol="000660"))
    rollover.run_one(datetime.date(2026, 3, 16))
    assert storage().count("temp_market_data") == 0

    recover()

    assert sorted(prices(announced())[0]) == [price("1"), price("2")]


def test_a_recovery_reads_only_the_stretches_of_its_batches(monkeypatch):
    asked: list[tuple[str, int]] = []
    for seq in range(1, 4):
        process(*(trade(time=NINE_US + at * 1000 + seq) for at in range(400)), seq=seq)
    day_us = 86_400_000_000
    unannounced(trade(time=NINE_US - 5 * day_us), trade(time=NINE_US + 5 * day_us), seq=4)
    kind = type(storage())
    read = kind.read_spans

    def counting(self: Any, name: str, spans: Any) -> Any:
        parts = read(self, name, list(spans))
        asked.append((name, sum(len(part) for part in parts)))
        return parts

    monkeypatch.setattr(kind, "read_spans", counting)
    recover()

    assert asked[-1] == ("krx", 2)
    assert announced()[-1].ticks.time_us.tolist() == [NINE_US - 5 * day_us, NINE_US + 5 * day_us]


# --- an empty Redis ---------------------------------------------------------------------------------------------------


def latest() -> dict[str, int]:
    return {code: int(one["price"] or 0) for code, one in live_state.latest("krx").items()}


def test_after_an_emptied_redis_a_late_tick_is_not_the_latest():
    process(trade(time=NINE_US + HOUR_US, price="71000", size="3"))
    process(trade(symbol="000660", price="5"), seq=2)
    recover()
    live_state.connection().flushall()

    process(trade(price="70000"), seq=3)  # an hour older
    assert latest() == {}, "a Redis that is not seeded knows nothing"
    recover()

    assert latest() == {"005930": price("71000"), "000660": price("5")}
    assert live_state.latest("krx", ["005930"])["005930"]["size"] == market.size("3")


def test_the_cache_table_has_the_latest_of_the_database_while_redis_has_not():
    process(trade(time=NINE_US + HOUR_US, price="71000"))
    recover()
    cache_tables.refresh()
    live_state.connection().flushall()
    process(trade(price="70000"), seq=2)
    cache_tables._written.clear()

    cache_tables.refresh()

    with connection.cursor() as cursor:
        cursor.execute("SELECT tick_id FROM cache_realtime_data")
        assert list(cursor.fetchall()) == [(market.tick_id(1, 0),)]


def test_a_redis_is_seeded_once_in_its_life(redis, redis_server):
    process(trade())
    assert [seeding.seed(), seeding.seed()] == [True, False]

    redis.flushall()
    assert [seeding.seed(), seeding.seed()] == [True, False]


def test_a_redis_that_is_emptied_while_it_is_seeded_is_seeded_again(redis):
    process(trade())
    kind = type(storage())
    newest = kind.newest_trades

    def emptied(self: Any, symbols: Sequence[str]) -> Any:
        found = newest(self, symbols)
        redis.flushall()
        return found

    with mock.patch.object(kind, "newest_trades", emptied):
        assert not seeding.seed()
    assert latest() == {}

    assert seeding.seed()
    assert latest() == {"005930": price("70000")}


def test_seeding_takes_the_last_by_time_and_tick_across_days_and_minutes():
    day_us = 86_400_000_000
    process(trade(time=NINE_US + 1, price="1"), trade(time=NINE_US + 1, price="2"), trade(time=NINE_US, price="3"))
    process(trade(symbol="000660", time=NINE_US - 3 * day_us, price="4"), seq=2)
    process(trade(symbol="000660", time=NINE_US - 40 * day_us, price="5"), seq=3)
    process(trade(time=NINE_US + 9, price="6", trade_date="2026-03-17"), seq=4)
    process(trade(time=NINE_US + 8, price="7"), seq=5)
    process(trade(symbol="035420", kind="quote", price=None, size=None, bid="1", ask="2"), seq=6)
    process(trade(time=NINE_US + 5, price="8"), seq=7, name="nxt")
    rollover.run_one(datetime.date(2026, 3, 16))

    assert {(one.symbol, one.feed): one.price for one in storage().newest_trades(CODES)} == {
        ("005930", "krx"): price("6"),
        ("000660", "krx"): price("4"),
        ("005930", "nxt"): price("8"),
    }
    assert all(one.size == market.size("1") for one in storage().newest_trades(CODES))
