"""Refused rows and dead letters judged again: what passes now is stored once, under the number it came with, and
everything that counts ticks agrees."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError
from django.db import connections

from ingest import requeue, tasks
from ingest.requeue import runs
from marketdata.maintenance import leases, rollover
from marketdata.models import Client, DeadLetter, IngestBatch, IngestReject, IngestRequeue, RolloverRun
from marketdata.reference import owners
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from marketdata.types.tick_arrays import TICK_BITS, batch_number
from terminals import wire
from tests import database, market
from tests.integration.requeueing import (
    DAY,
    EVER,
    MIXED,
    _clean,
    announced,
    consistent,
    process,
    register,
    rows,
    run,
    stored,
    trade,
)
from tests.market import MINUTE_US, NINE_US, price
from tests.road import ROOT
from tests.upkeep import Clock
from tests.waiting import until

__all__ = ["_clean"]


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
        start.wait(timeout=300)
        try:
            return sum(one.stored for one in requeue.run(requeue.Selection(), asked_by="test"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        counted = [one.result(timeout=300) for one in [pool.submit(work) for _ in range(4)]]

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
        count = result.result(timeout=300)

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
