"""A rollover that dies, is refused or must wait is finished by the next one, and a person is told of it."""

import re
from contextlib import suppress

import pytest
from django.db import DatabaseError, DataError, connection

from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases, rollover
from marketdata.models import Alarm, JobLease, RolloverRun
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import TEMP
from marketdata.types import checksums
from tests.integration.rolling import MONDAY, TUESDAY, ledger_and_history, run_at, state_of, stored_date
from tests.upkeep import Clock, commit

pytestmark = pytest.mark.usefixtures("krx_symbols")

State = RolloverRun.State


class Killed(BaseException):
    """What a SIGKILL is to a test: nothing catches it."""


@pytest.mark.parametrize("step", ["seal", "verify", "move", "aggregate", "clean", "finish"])
def test_a_runner_that_dies_at_any_step_is_followed_by_one_that_finishes(step):
    commit(MONDAY, 9)

    def progress(words: str) -> None:
        if words == f"{MONDAY} {step}":
            raise Killed

    with pytest.raises(Killed):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    JobLease.objects.update(until_us=0)  # it would run out by itself

    assert run_at("2026-03-17 08:06") == [MONDAY]
    told, stored = ledger_and_history(MONDAY)
    assert told == stored
    assert stored.rows == 9


def test_a_runner_that_dies_as_it_moves_is_followed_by_one_that_compares_what_it_finds():
    commit(MONDAY, 9)

    def progress(words: str) -> None:
        if words == f"{MONDAY} aggregate":
            raise Killed

    with pytest.raises(Killed):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    JobLease.objects.update(until_us=0)
    RolloverRun.objects.update(state=State.VERIFIED, moved_at=None)  # as if it had died before it wrote that down
    commit(MONDAY, 2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM market_data_tick WHERE price = (SELECT MIN(price) FROM market_data_tick t)")

    assert run_at("2026-03-17 08:06") == []
    assert "stored are 10" in Alarm.objects.get(code="rollover_failed").message


def test_a_day_that_cannot_be_moved_holds_up_no_other():
    commit(MONDAY)
    commit(TUESDAY)
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM temp_market_data WHERE symbol = '000660' AND trade_date = %s", [stored_date(MONDAY)]
        )

    assert run_at("2026-03-18 08:05") == [TUESDAY]

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert run.state == State.SEALED
    assert "the ledger has 4 ticks" in run.error
    assert "stored are 2" in run.error
    assert f"verify_day {MONDAY}" in run.error
    assert re.match("Mismatch: .*[가-힣]", (run.texts or {})["ko"])
    assert (Alarm.objects.get(code="rollover_failed").texts or {}) == run.texts
    assert Alarm.objects.get(code="rollover_failed").subject == "2026-03-16"
    assert storage().dates(TEMP) == [MONDAY]
    assert run_at("2026-03-18 08:05:30") == []  # not at once again


def test_a_changed_price_is_found_and_may_be_accepted_by_name():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")
    assert run_at("2026-03-17 08:05") == []

    with pytest.raises(rollover.Mismatch):
        rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:10"))
    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:11"), accept="the exchange corrected it")

    assert run.state == State.DONE
    assert "the exchange corrected it" in RolloverRun.objects.get(trade_date=MONDAY).accepted
    assert not Alarm.objects.filter(code="rollover_failed", cleared_at=None).exists()


def test_a_day_that_somebody_else_has_done_is_not_noted_as_failed():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            RolloverRun.objects.update(state=State.DONE)
            raise StorageBusyError("too late")

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert RolloverRun.objects.get(trade_date=MONDAY).error == ""
    assert not Alarm.objects.filter(code="rollover_failed").exists()


def test_a_day_that_is_not_done_in_half_an_hour_is_an_alarm():
    commit(MONDAY)
    JobLease.objects.create(job=leases.UPKEEP, owner="somebody", fence=7, until_us=2**62)

    assert run_at("2026-03-17 08:34") == []
    assert not Alarm.objects.filter(code="rollover_late").exists()
    run_at("2026-03-17 08:36")

    assert "somebody" in Alarm.objects.get(code="rollover_late").message
    JobLease.objects.update(until_us=0)
    run_at("2026-03-17 08:37")
    assert Alarm.objects.get(code="rollover_late").cleared_at is not None


def test_a_runner_that_was_paused_while_another_took_over_changes_nothing():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} aggregate":
            JobLease.objects.update(fence=99, owner="another")

    with pytest.raises(leases.LeaseLost):
        rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert state_of(MONDAY) == State.MOVED


def test_a_table_that_stays_in_use_is_tried_again_the_next_minute(monkeypatch):
    commit(MONDAY)
    store = type(storage())
    move_day = store.move_day

    def busy(self, date, *, progress, count):
        raise StorageBusyError("connection 7 holds the table; end it or wait")

    monkeypatch.setattr(store, "move_day", busy)
    assert run_at("2026-03-17 08:05") == []
    assert "connection 7" in Alarm.objects.get(code="rollover_failed").message
    monkeypatch.setattr(store, "move_day", move_day)

    assert run_at("2026-03-17 08:06") == [MONDAY]


def test_a_day_whose_candles_the_database_refuses_holds_up_no_other(monkeypatch):
    commit(MONDAY)
    commit(TUESDAY)
    store = type(storage())
    build_daily = store.build_daily

    def refused(self, date, windows):
        if date == MONDAY:
            raise DataError("out of range for a column")
        return build_daily(self, date, windows)

    monkeypatch.setattr(store, "build_daily", refused)

    assert run_at("2026-03-18 08:05") == [TUESDAY]
    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.retry_at is not None) == (State.MOVED, True)
    assert "out of range" in run.error


def test_a_full_disk_leaves_the_day_whole_and_the_rollover_goes_on_when_there_is_room():
    if connection.vendor != "sqlite":
        pytest.skip("a file can be told how large it may become; a server cannot")
    commit(MONDAY, 4000)
    run = RolloverRun.objects.create(trade_date=MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE filler (x BLOB)")
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
        for size in (100_000, 4_000, 1_000, 200):  # whatever is left free in the file
            with suppress(DatabaseError):
                for _ in range(10_000):
                    cursor.execute("INSERT INTO filler VALUES (zeroblob(%s))", [size])

    with pytest.raises(DatabaseError, match="full"):
        run_at("2026-03-17 08:05")

    assert checksums.total(storage().tick_figures(MONDAY).values()) == batch_ledger.day_figure(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE filler")
        cursor.execute("PRAGMA max_page_count = 1073741823")
    assert run_at("2026-03-17 08:06") == [MONDAY]
    run.refresh_from_db()
    assert (run.state, run.rows) == (State.DONE, 4000)
