"""Ticks that come while their day is moved, or after it: none is lost, and none holds up a day."""

import pytest
from django.db import connection

from marketdata.maintenance import rollover
from marketdata.models import Alarm, RolloverRun
from marketdata.storage import storage
from tests.integration.rolling import MONDAY, TUESDAY, ledger_and_history, noted, run_at, state_of
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")

State = RolloverRun.State


def test_ticks_that_come_after_their_day_was_done_follow_it_and_mend_the_daily_candle():
    commit(MONDAY)
    run_at("2026-03-17 08:05")
    RolloverRun.objects.update(archived_at=seoul("2026-03-17 08:10"))

    commit(MONDAY, 6)
    assert run_at("2026-03-17 08:06") == [MONDAY]

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.rows, run.late_rows, run.archived_at) == (State.DONE, 10, 6, None)
    assert storage().read_daily("005930", "krx", MONDAY, TUESDAY).n.tolist() == [5]
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)


def test_ticks_that_come_between_counting_and_moving_are_counted_too():
    commit(MONDAY)
    commit(TUESDAY)
    came: list[object] = []

    def progress(words: str) -> None:
        if words == f"{MONDAY} move" and not came:
            came.append(commit(MONDAY, 3))

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)
    run = RolloverRun.objects.get(trade_date=MONDAY)

    assert run.state == State.DONE
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)
    assert stored.rows == 7


def test_ticks_that_never_stop_coming_for_an_old_day_hold_up_neither_it_nor_the_next():
    commit(MONDAY)
    commit(TUESDAY)
    came: list[object] = []

    def progress(words: str) -> None:
        if "2026-03-16" in words:
            came.append(commit(MONDAY, 3))
            assert len(came) < 30

    done = rollover.run_due(clock=Clock("2026-03-18 08:05"), progress=progress)
    assert done == [TUESDAY, MONDAY]

    for minute in range(6, 9):
        rollover.run_due(clock=Clock(f"2026-03-18 08:0{minute}"), progress=progress)
    assert run_at("2026-03-18 08:09") == [MONDAY]
    told, stored = ledger_and_history(MONDAY)
    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert told == stored == noted(run)
    # What came as the day was sealed, compared and moved for the first time went with the others.
    assert (told.rows, run.late_rows) == (4 + 3 * len(came), 3 * (len(came) - 3))


def test_a_tick_that_changed_while_it_was_moved_with_others_that_came_is_found():
    commit(MONDAY)

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress)

    assert state_of(MONDAY) == State.VERIFIED
    assert "stored are 7" in Alarm.objects.get(code="rollover_failed").message
    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:11"), accept="known")
    assert (run.state, run.rows) == (State.DONE, 7)


def test_an_accepted_difference_is_not_in_the_way_of_ticks_that_come_meanwhile():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)

    run = rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:05"), progress=progress, accept="known")

    assert (run.state, run.rows, run.accepted.partition(": ")[2]) == (State.DONE, 7, "known")
    told, stored = ledger_and_history(MONDAY)
    assert (stored, told != stored) == (noted(run), True)


def test_what_is_accepted_is_not_accepted_for_what_happens_later():
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '000660'")

    def progress(words: str) -> None:
        if words == f"{MONDAY} move":
            commit(MONDAY, 3)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE temp_market_data SET price = price + 1 WHERE symbol = '005930'")

    with pytest.raises(rollover.Mismatch):
        rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:05"), progress=progress, accept="known")
