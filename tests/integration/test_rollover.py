"""08:00: each trading day goes to history once, whole, in order."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from marketdata.calendar import trading_dates
from marketdata.models import Alarm, RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, TEMP
from tests.integration.rolling import MONDAY, TUESDAY, ledger_and_history, noted, run_at, seoul_us
from tests.upkeep import commit

pytestmark = pytest.mark.usefixtures("krx_symbols")

State = RolloverRun.State


def test_a_day_is_moved_when_it_is_due_and_not_before():
    commit(MONDAY)

    assert run_at("2026-03-17 08:04") == []
    assert storage().dates(TEMP) == [MONDAY]
    assert run_at("2026-03-17 08:05") == [MONDAY]
    assert run_at("2026-03-17 08:06") == []

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert (run.state, run.rows, run.daily, run.late_rows, run.error) == (State.DONE, 4, 2, 0, "")
    assert storage().dates(TEMP) == []
    told, stored = ledger_and_history(MONDAY)
    assert told == stored == noted(run)


def test_the_daily_candle_closes_with_the_regular_session():
    commit(MONDAY, 2)
    commit(MONDAY, 2, time_us=seoul_us("2026-03-16 18:00"), price=1)

    run_at("2026-03-17 08:05")

    bar = storage().read_daily("005930", "krx", MONDAY, TUESDAY)
    assert (bar.close.tolist(), bar.last.tolist()) == ([7_000_000_000_000], [1])


def test_beat_that_was_away_for_days_is_made_up_for_in_order():
    for day in range(4):
        commit(MONDAY + datetime.timedelta(days=day))

    assert run_at("2026-03-20 11:30") == [MONDAY + datetime.timedelta(days=day) for day in (3, 2, 1, 0)]


def test_the_day_that_is_being_written_is_left_alone():
    commit(MONDAY)
    commit(TUESDAY)

    assert run_at("2026-03-17 09:00") == [MONDAY]
    assert storage().dates(TEMP) == [TUESDAY]


def test_a_trading_day_without_a_tick_is_done_and_told():
    commit(MONDAY)
    run_at("2026-03-16 12:00")

    assert run_at("2026-03-18 08:05") == [TUESDAY, MONDAY]
    assert Alarm.objects.get(code="day_empty").subject == "2026-03-17"


def test_two_beats_at_once_roll_a_day_over_once():
    commit(MONDAY, 50)
    start = threading.Barrier(2)

    def beat() -> list[datetime.date]:
        try:
            start.wait(timeout=300)
            return run_at("2026-03-17 08:05")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        done = [one.result(timeout=300) for one in [pool.submit(beat), pool.submit(beat)]]

    assert sorted(done) == [[], [MONDAY]]


def test_250_trading_days_are_rolled_over_once_each():
    """A year of mornings under a clock of our own: beat comes late, is away for days, comes twice; late ticks too."""
    number = 250 if connection.vendor == "sqlite" else 25  # making room costs the others a moment each day
    calendar = trading_dates.calendar("KRX")
    days = [datetime.date(2026, 1, 2)]
    while len(days) < number:
        days.append(calendar.next_session(days[-1]))
    done: list[datetime.date] = []
    late = 0
    for at, day in enumerate(days):
        commit(day, 3)
        morning = calendar.next_session(day)
        if at % 10 in (3, 4):
            continue  # beat is away that morning
        if at % 5 == 1:
            done += run_at(f"{day} 20:00")
        for time in ("08:04:59", "08:05:00", "08:06:00") if at % 5 == 0 else ("08:05:00",):
            done += run_at(f"{morning} {time}")
        if at % 25 == 7:
            commit(day, 2)
            late += 2
            assert run_at(f"{morning} 08:07") == [day]  # what came late, and not the day again
    done += run_at(f"{calendar.next_session(days[-1])} 08:05")

    assert sorted(done) == days
    assert set(RolloverRun.objects.filter(trade_date__in=days).values_list("state", flat=True)) == {State.DONE}
    assert sum(RolloverRun.objects.values_list("late_rows", flat=True)) == late
    assert storage().count(HISTORY) == sum(run.rows or 0 for run in RolloverRun.objects.filter(dropped_at=None))
    dropped = RolloverRun.objects.exclude(dropped_at=None).values_list("trade_date", flat=True)
    assert sorted(dropped) == [day for day in days if day in dropped][: len(dropped)]  # the oldest, past their year
    assert not Alarm.objects.filter(cleared_at=None).exclude(code__in=("partitions_short", "calendar_ends")).exists()
