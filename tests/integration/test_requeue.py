"""Refused rows and dead letters judged again: what passes now is stored once, under the number it came with, and
everything that counts ticks agrees."""

import datetime
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from redis.exceptions import ConnectionError as RedisGone

from analytics import voids
from analytics.integrity import consistency
from ingest import notifications, recovery, refusals, requeue, tasks
from ingest.requeue import runs
from ingest.rights import Rights
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases, rollover
from marketdata.models import (
    Alarm,
    Client,
    DeadLetter,
    IngestBatch,
    IngestReject,
    IngestRequeue,
    IngestStream,
    RolloverRun,
    Source,
    Symbol,
)
from marketdata.realtime import feed, live_state
from marketdata.reference import owners
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.ticks import TICK_BITS, batch_number
from terminals import wire
from tests import database, market
from tests.market import MINUTE_US, NINE_US, price
from tests.road import ROOT
from tests.upkeep import Clock
from tests.waiting import until

DAY = datetime.date(2026, 3, 16)
EVER = (-(2**62), 2**62)
REPLAY, KIS = 4, 3


@pytest.fixture(autouse=True)
def _clean(road_database, redis, redis_server, settings, monkeypatch) -> Iterator[None]:
    """An empty database and Redis, a symbol, two clients with a stream each, and a worker that remembers nothing."""
    settings.REDIS_URL = redis_server.url
    live_state.connection.cache_clear()
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


def told() -> list[int]:
    """Every tick that subscribers heard of, as often as they did."""
    return sorted(one for entry in announced() for one in entry)


def consistent() -> bool:
    report = consistency.verify_day(DAY)
    assert report.is_consistent, report.findings
    return True


MIXED = (trade(0), trade(1, symbol="000660"), trade(MINUTE_US, symbol="000660"), trade(2, price="x"))


def test_the_batch_after_one_that_was_interrupted_at_its_commit_is_stored():
    """By an error that is not the database's, as when memory is short."""
    first, second = (process(rows(trade(seq, symbol="000660"), seq=seq)) for seq in (1, 2))
    register()
    one: Any = connections["default"]
    commit = one._commit
    interrupted: list[int] = []

    def interrupt() -> None:
        if not interrupted and stored():
            interrupted.append(first)
            raise MemoryError
        commit()

    with mock.patch.object(one, "_commit", interrupt):
        results = list(requeue.run(requeue.Selection(), asked_by="boss"))
    one.close()  # what is not committed is gone

    assert [(result.batch, bool(result.error)) for result in results] == [(first, True), (second, False)]
    assert second << TICK_BITS in stored()
    assert consistent()


# --- rows -------------------------------------------------------------------------------------------------------------


def test_what_passes_now_is_stored_under_its_own_number_and_everything_that_counts_agrees():
    number = process(rows(*MIXED))
    register()

    said = run("--reason", "symbol_unknown")

    batch = IngestBatch.objects.get()
    assert stored() == [number << 13 | 1, number << 13 | 2]
    assert (batch.rows, batch.stored, batch.rejected) == (4, 3, 1)
    assert batch.last_us == NINE_US + MINUTE_US
    assert list(IngestReject.objects.values_list("idx", "reasons")) == [(3, "price_not_a_number")]
    assert storage().read_minutes("000660", "krx", *EVER).n.tolist() == [1, 1]
    assert consistent()
    assert announced() == [[number << 13], [number << 13 | 1, number << 13 | 2]]
    assert "2" in said
    asked = IngestRequeue.objects.get()
    assert (asked.batch, asked.judged, asked.stored, asked.announced) == (number, 2, 2, True)
    assert asked.asked_by
    assert asked.selection == "reason=symbol_unknown"


def test_a_dry_run_says_the_same_and_changes_nothing():
    process(rows(*MIXED))
    register()

    said = run("--all", "--dry-run")

    assert "2" in said
    assert "price_not_a_number 1" in said
    assert stored() == []
    assert IngestReject.objects.count() == 3
    assert not IngestRequeue.objects.exists()


def test_twice_is_as_good_as_once():
    process(rows(*MIXED))
    register()

    run("--all")
    run("--all")

    assert len(stored()) == 2
    assert storage().read_minutes("000660", "krx", *EVER).n.tolist() == [1, 1]
    assert consistent()
    assert len(announced()) == 2


def test_many_at_once_are_as_good_as_one():
    for seq in range(1, 6):
        process(rows(*(trade(at, symbol="000660") for at in range(20)), seq=seq))
    register()
    start = threading.Barrier(4)

    def work() -> int:
        start.wait(timeout=30)
        try:
            return sum(one.stored for one in requeue.run(requeue.Selection(), asked_by="test"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        counted = [one.result(timeout=100) for one in [pool.submit(work) for _ in range(4)]]

    assert sum(counted) == 100
    assert len(stored()) == 100
    assert len(set(stored())) == 100
    assert consistent()
    assert sorted(one for entry in announced() for one in entry) == sorted(stored())


def test_killed_anywhere_and_begun_again_it_loses_no_row_and_doubles_none(redis_server):
    for seq in range(1, 41):
        process(rows(*(trade(at, symbol="000660") for at in range(10)), seq=seq))
    register()
    environment = {
        **os.environ, "DATABASE_URL": database.url(), "REDIS_URL": redis_server.url, "BROKER_URL": redis_server.url,
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip

    def begun(process: subprocess.Popen[bytes], wanted: int) -> bool:
        return IngestRequeue.objects.count() >= wanted or process.poll() is not None

    kills = 0
    for wanted in (1, 10, 25):
        process_ = subprocess.Popen(
            [sys.executable, "manage.py", "requeue", "--all"], env=environment, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until(partial(begun, process_, wanted), seconds=60, what="some batches", every=0.005)
        if process_.poll() is None:
            os.killpg(process_.pid, signal.SIGKILL)
            kills += 1
        process_.wait()
    run("--all")

    assert kills >= 1
    assert len(stored()) == len(set(stored())) == 400
    assert consistent()
    assert sorted(one for entry in announced() for one in entry) == sorted(stored())
    assert not IngestReject.objects.exists()


def test_while_a_backup_or_the_rollover_is_at_it_nothing_is_stored_and_the_command_says_so(monkeypatch):
    process(rows(*MIXED))
    register()
    monkeypatch.setattr(runs, "UPKEEP_PATIENCE_S", 0.0)

    with leases.hold(leases.UPKEEP) as lease:
        with pytest.raises(CommandError, match="a backup is at it"):
            run("--all")
        lease.check()
    refused = IngestReject.objects.count()
    run("--all")

    assert refused == 3
    assert len(stored()) == 2
    assert consistent()


def test_rows_whose_feed_belongs_to_another_client_by_now_stay_refused():
    Client.objects.update(shares_feeds=False)
    process(rows(trade(), trade(1, symbol="000660")))
    register()
    owners.claim("krx", ["000660"], Client.objects.get(name="kis"))

    run("--all")

    assert stored() == []
    assert IngestReject.objects.get().reasons == "feed_refused"


def test_a_requeue_goes_on_by_itself_when_the_upkeep_is_over():
    process(rows(*MIXED))
    register()
    began = threading.Event()

    def work() -> int:
        began.set()
        try:
            return sum(one.stored for one in requeue.run(requeue.Selection(), asked_by="test"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with leases.hold(leases.UPKEEP):
            result = pool.submit(work)
            began.wait(30)
            meanwhile = stored()
        count = result.result(timeout=100)

    assert (meanwhile, count, len(stored())) == ([], 2, 2)


def test_rows_in_packed_columns_are_kept_well_enough_to_be_judged_again():
    columns = wire.Columns()
    columns.append(
        symbol="000660", time_us=NINE_US, price=70_000 * 10**wire.PRICE_SCALE + 1, size=10**wire.SIZE_SCALE, side=1,
        seq=7, bid=3, ask=4, bid_size=5, ask_size=6, cum_volume=8, trade_date=market.ticks([{}]).trade_date[0] + 1,
    )  # fmt: skip
    columns.append(symbol="000660", time_us=NINE_US, kind=None, price=1, size=1)
    number = process(columns.encode(1, "krx", 1))
    register()

    run("--all")

    ticks = storage().read_ticks("000660", "krx", *EVER)
    assert ticks.tick_id.tolist() == [number << 13]
    shown = {
        name: int(getattr(ticks, name)[0]) for name in ("price", "size", "side", "seq", "bid", "ask", "cum_volume")
    }
    assert shown == {
        "price": price("70000.00000001"), "size": 10**wire.SIZE_SCALE, "side": 1, "seq": 7, "bid": 3, "ask": 4,
        "cum_volume": 8,
    }  # fmt: skip
    assert ticks.trade_date[0] == market.ticks([{}]).trade_date[0] + 1
    assert IngestReject.objects.get().reasons == "kind_unknown"


@pytest.mark.parametrize("kind", ["status", "book", ["trade"], {}])
def test_a_row_with_an_odd_kind_keeps_no_trade_of_its_batch_from_being_stored(kind):
    number = process(rows(trade(0, symbol="000660"), trade(1, kind=kind), trade(2, symbol="000660")))
    register()

    run("--all")

    assert stored() == [number << TICK_BITS, (number << TICK_BITS) + 2]
    assert IngestReject.objects.get().idx == 1
    assert "kind_unknown" in IngestReject.objects.get().reasons
    assert consistent()


@pytest.mark.parametrize("kind", ["trade", "status"])
def test_a_row_with_half_a_character_stays_refused_by_name_and_keeps_no_other_from_being_stored(kind):
    odd, good = trade(0, symbol="\ud800", kind=kind), trade(1, symbol="000660", kind=kind)
    if kind == "status":
        odd, good = ({**one, "event": "vi"} for one in (odd, good))
    encode = wire.encode_rows if kind == "trade" else wire.encode_events
    process(encode(1, "krx", 1, [odd, good]))
    register()

    said = run("--all")

    assert "UnicodeEncodeError" not in said
    assert [(one.idx, one.reasons) for one in IngestReject.objects.all()] == [(0, "symbol_unknown")]
    assert IngestBatch.objects.get().stored == 1


def test_a_long_row_is_kept_whole():
    process(rows(trade(symbol="000660", note="x" * 50_000)))
    register()

    run("--all")

    assert len(stored()) == 1


@pytest.mark.parametrize("dead", [False, True])
def test_trades_whose_sums_a_candle_cannot_hold_stay_refused_by_name_and_the_rest_is_stored(dead):
    def great(start: int, count: int) -> list[dict[str, Any]]:
        return [trade(at, symbol="000660", price="0.01", size=str(10**10)) for at in range(start, start + count)]

    later = trade(MINUTE_US, symbol="000660")
    if dead:
        register()
        process(rows(*great(0, 500), seq=1))
        process(rows(*great(500, 500), later, seq=2), dead="failed 10 times")
    else:
        process(rows(*great(500, 500), later, seq=2))
        register()
        tasks.directory = Directory(retry_s=0.0)
        process(rows(*great(0, 500), seq=1))

    run("--all")

    batch = IngestBatch.objects.get(batch=batch_number(1, 2))
    assert (batch.state, batch.rows, batch.stored, batch.rejected) == ("stored", 501, 1, 500)
    assert set(IngestReject.objects.values_list("reasons", flat=True)) == {"sum_out_of_range"}
    assert IngestReject.objects.count() == 500
    assert storage().read_minutes("000660", "krx", *EVER).n.tolist() == [500, 1]
    assert not DeadLetter.objects.exists()
    assert consistent()


def test_what_is_selected_and_nothing_else_is_judged():
    process(rows(trade(symbol="000660")))
    process(rows(trade(symbol="000660", time=NINE_US)), stream=2, received_us=NINE_US)
    process(rows(trade(symbol="000660"), seq=2))
    register()

    run("--client", "kis")
    first = stored()
    run("--batch", "1/2")
    second = stored()
    run("--from", "2020-01-01", "--to", "2020-01-02T09:00")
    third = stored()

    assert [one >> 13 >> 32 for one in first] == [2]
    assert sorted(one >> 13 for one in second) == [batch_number(1, 2), batch_number(2, 1)]
    assert third == second


@pytest.mark.once
@pytest.mark.parametrize(
    "words", [(), ("--reason", "no_such"), ("--code", "checksum_mismatch"), ("--client", "nobody"), ("--from", "noon")]
)
def test_what_cannot_be_meant_is_refused_with_what_may_be(words):
    with pytest.raises(CommandError):
        run(*words)


def test_a_day_that_was_rolled_over_is_rolled_over_again_and_still_agrees():
    process(rows(*MIXED))
    rollover.run_due(clock=Clock("2026-03-17 09:00"))
    register()

    run("--all")
    rollover.run_due(clock=Clock("2026-03-17 09:05"))

    run_ = RolloverRun.objects.get(trade_date=DAY)
    assert (run_.state, run_.rows, run_.late_rows) == ("done", 3, 2)
    assert storage().count("temp_market_data") == 0
    assert consistent()


# --- the feed ---------------------------------------------------------------------------------------------------------


def test_rows_of_a_batch_whose_stored_ticks_were_all_voided_are_announced():
    number = process(rows(*MIXED))
    voids.void(voids.Selection(batches=(number,)), reason="wrong", by="boss")
    voids.announce()
    register()

    run("--all")

    assert IngestBatch.objects.get().stored == 2
    assert announced() == [[number << 13], [number << 13], [number << 13 | 1, number << 13 | 2]]


@pytest.mark.parametrize("recovered_first", [False, True])
def test_rows_that_are_stored_while_their_batch_waits_to_be_announced_are_told_once(recovered_first):
    """A quote between two trades, which its client might not send, when Redis was away."""
    Client.objects.filter(name="replay").update(kinds="trade")
    quote = trade(1, kind="quote", price=None, size=None, bid="1")
    with mock.patch.object(feed, "publish", side_effect=RedisGone("gone")):
        number = process(rows(trade(0), quote, trade(2)))
        Client.objects.filter(name="replay").update(kinds="*")
        if recovered_first:
            run("--all")
    assert IngestReject.objects.count() == (0 if recovered_first else 1)
    assert told() == []

    if recovered_first:
        recovery.announce_missed(settle_s=0.0)
    run("--all")
    recovery.announce_missed(settle_s=0.0)

    assert sorted(stored("005930")) == told() == [number << 13, number << 13 | 1, number << 13 | 2]


# --- dead letters -----------------------------------------------------------------------------------------------------


def test_a_dead_letter_is_stored_like_any_batch_and_its_bad_rows_are_kept():
    number = process(rows(trade(0), trade(1), trade(2, price="x")), dead="failed 10 times")
    before = IngestBatch.objects.get().state

    run("--code", "dead_letter")

    batch = IngestBatch.objects.get()
    assert (before, batch.state) == ("dead", "stored")
    assert (batch.rows, batch.stored, batch.rejected, batch.feed) == (3, 2, 1, "krx")
    assert stored("005930") == [number << 13, number << 13 | 1]
    assert not DeadLetter.objects.exists()
    assert IngestReject.objects.get().idx == 2
    assert consistent()
    assert announced() == [[number << 13, number << 13 | 1]]


def test_what_is_still_no_batch_stays_where_it_is_and_stops_no_other():
    bad = process(rows(trade())[:-3], dead=None)
    process(rows(trade(), seq=2), dead="failed 10 times")

    with pytest.raises(CommandError, match="1 "):
        run("--all")

    assert stored("005930") == [batch_number(1, 2) << 13]
    assert DeadLetter.objects.get().batch == bad
    assert IngestBatch.objects.get(batch=bad).state == "refused"


def test_other_content_under_a_number_that_is_taken_is_never_stored():
    process(rows(trade(0)))
    process(rows(trade(1)))

    run("--all")

    assert len(stored("005930")) == 1
    assert DeadLetter.objects.get().code == "checksum_mismatch"


# --- a wrong clock ----------------------------------------------------------------------------------------------------


def test_a_server_whose_clock_was_behind_is_alarmed_with_reason_and_offset_and_made_good():
    """Six seconds: every live row looks as if it came from the future."""
    true_us = batch_ledger.now_us()
    behind_us = true_us - 6_500_000
    Client.objects.filter(name="kis").update(clock_offset_us=6_500_000)
    for seq in range(1, 4):
        process(
            rows(*(trade(time=true_us + at, seq=at) for at in range(100)), seq=seq, captured_us=true_us),
            stream=2, received_us=behind_us, offset_us=6_500_000,
        )  # fmt: skip

    refusals.watch_refusals()
    alarm = Alarm.objects.get(code="mass_refusal")
    refused = storage().count("temp_market_data")
    Client.objects.filter(name="kis").update(clock_offset_us=0)  # NTP has done its work
    run("--reason", "time_future")
    process(rows(*(trade(time=true_us + at) for at in range(400)), seq=9, captured_us=true_us), stream=2)
    refusals.watch_refusals()

    assert refused == 0
    assert alarm.subject == "kis"
    assert "300 of 300" in alarm.message
    assert "time_future" in alarm.message
    assert "+6.5 s" in alarm.message
    assert len(stored("005930")) == 700
    assert not IngestReject.objects.exists()
    assert Alarm.objects.get(code="mass_refusal").cleared_at is not None


def test_a_terminal_whose_clock_is_still_ahead_is_refused_again():
    now = batch_ledger.now_us()
    Client.objects.filter(name="kis").update(clock_offset_us=3_600_000_000)
    ahead = now + 3_600_000_000
    process(rows(trade(time=ahead), captured_us=ahead), stream=2, offset_us=3_600_000_000, received_us=now)

    run("--all")

    assert stored("005930") == []
    assert IngestReject.objects.get().reasons == "time_future"


def test_a_few_wrong_rows_are_no_alarm():
    process(rows(*(trade(at) for at in range(100)), *(trade(at, price="x") for at in range(19))))

    refusals.watch_refusals()

    assert not Alarm.objects.exists()


def test_batches_that_were_given_up_are_an_alarm_until_they_are_judged_again():
    process(rows(trade()), dead="failed 10 times, at last: poison")

    refusals.watch_refusals()
    alarm = Alarm.objects.get(code="dead_letters")
    run("--code", "dead_letter")
    refusals.watch_refusals()

    assert "poison" in alarm.message
    assert Alarm.objects.get(code="dead_letters").cleared_at is not None
