"""Partitions are made and dropped while no market trades, and a person is told of what a day was not enough for."""

import datetime
import os

import pytest
from django.db import connection

from marketdata.calendar import quiet_times, trading_dates
from marketdata.maintenance import leases, quiet, retention, rollover
from marketdata.models import Alarm, CalendarOverride, DroppedDay
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import HISTORY, PERIODS, TEMP
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")
servers = pytest.mark.skipif(os.environ.get("DB", "sqlite") == "sqlite", reason="no partitions")

OLD = datetime.date(2026, 3, 2)
THURSDAY = datetime.date(2026, 3, 12)


@pytest.fixture
def old_day(settings):
    """A day in history that is past its time on Friday the 13th from 09:00 on; what other tests left is gone."""
    settings.RETENTION_TICKS_DAYS = 10
    commit(OLD)
    rollover.run_one(OLD, clock=Clock("2026-03-03 08:05"))
    quiet.drop(Clock("2026-03-12 21:00"))
    assert dates() == [OLD]


def dates() -> list[datetime.date]:
    return storage().dates(HISTORY)


def overdue() -> bool:
    return Alarm.objects.filter(code=quiet.OVERDUE, cleared_at=None).exists()


def test_it_is_quiet_while_no_venue_trades_nor_takes_orders_nor_is_about_to():
    found = {
        at: quiet_times.is_quiet(seoul(at))
        for at in (
            "2026-03-16 06:59:59", "2026-03-17 03:00", "2026-03-16 20:30", "2026-03-14 12:00", "2025-03-03 12:00",
            "2026-03-16 07:00", "2026-03-16 08:05", "2026-03-16 08:55", "2026-03-16 12:00", "2026-03-16 15:35",
            "2026-03-16 20:29:59",
        )
    }  # fmt: skip

    assert list(found.values()) == [True] * 5 + [False] * 6, found


def test_a_day_that_an_administrator_closed_or_moved_is_quiet_as_he_has_it():
    CalendarOverride.objects.create(market_id="KRX", date=datetime.date(2026, 3, 16), is_open=False)
    CalendarOverride.objects.create(market_id="KRX", date=datetime.date(2026, 3, 17), is_open=True, shift_minutes=60)
    trading_dates.forget()

    assert quiet_times.is_quiet(seoul("2026-03-16 12:00"))
    assert quiet_times.is_quiet(seoul("2026-03-17 08:05"))  # NXT has no pre-market then
    assert not quiet_times.is_quiet(seoul("2026-03-17 09:00"))


def test_a_rollover_drops_no_partition_and_the_evening_does(old_day):
    commit(THURSDAY)

    assert THURSDAY in rollover.run_due(clock=Clock("2026-03-13 09:30"))
    if connection.vendor == "sqlite":  # where none changes a table
        assert dates() == [THURSDAY]
        return
    assert dates() == [OLD, THURSDAY]
    for at in ("09:45", "12:00", "20:15"):
        quiet.drop(Clock(f"2026-03-13 {at}"))
    assert dates() == [OLD, THURSDAY]
    assert not overdue()

    quiet.drop(Clock("2026-03-13 20:30"))

    assert dates() == [THURSDAY]


@servers
@pytest.mark.parametrize("in_cluster", [True, False])
def test_what_was_missed_for_a_day_waits_for_the_next_night_of_a_cluster_alone(old_day, monkeypatch, in_cluster):
    monkeypatch.setattr(type(storage()), "changes_hold_up_commits", lambda self: in_cluster)

    quiet.drop(Clock("2026-03-16 12:00"))

    assert (OLD in dates(), overdue()) == (in_cluster, in_cluster)
    quiet.drop(Clock("2026-03-16 20:45"))
    assert dates() == []
    assert not overdue()


@servers
def test_a_drop_that_is_refused_is_tried_by_the_next_turn_and_told_after_a_day(old_day, monkeypatch):
    def busy(*_given, **_named):
        raise StorageBusyError("market_data_tick stays in use")

    with monkeypatch.context() as patched:
        patched.setattr(type(storage()), "drop_days", busy)
        quiet.drop(Clock("2026-03-13 20:30"))
        assert not overdue()
        quiet.drop(Clock("2026-03-14 20:30"))
        assert overdue()
        assert "market_data_tick 2026-03-02" in Alarm.objects.get(code=quiet.OVERDUE).message
    assert not DroppedDay.objects.exists()

    quiet.drop(Clock("2026-03-14 20:45"))

    assert dates() == []
    assert not overdue()


@servers
def test_nothing_is_begun_once_a_market_is_about_to_open_nor_while_others_have_the_lease(old_day):
    times = iter([seoul("2026-03-16 06:59:59")])

    quiet.drop(lambda: next(times, seoul("2026-03-16 07:00")))
    with leases.hold(leases.UPKEEP):
        quiet.drop(Clock("2026-03-16 20:45"))

    assert dates() == [OLD]
    assert not DroppedDay.objects.exists()
    assert overdue()


def starts(table: str) -> set[datetime.date | None]:
    return {part.start for part in storage().partitions(table)}


@servers
def test_room_is_made_in_the_evening_and_by_day_only_where_it_is_about_to_end(settings):
    settings.PARTITION_DAYS_AHEAD = 7
    monday = datetime.date(2035, 5, 7)
    retention.extend(seoul("2035-05-06 21:00"))
    storage().ensure_partitions([monday + datetime.timedelta(days=60)], (TEMP,))  # somebody sent a wrong date
    before = {table: starts(table) for table in PERIODS}

    for at in ("2035-05-07 08:06", "2035-05-07 09:30", "2035-05-07 20:15", "2035-05-08 12:00"):
        quiet.make_room(seoul(at))
    assert {table: starts(table) for table in PERIODS} == before
    quiet.make_room(seoul("2035-05-08 20:30"))
    assert starts(TEMP) - before[TEMP] == {monday + datetime.timedelta(days=day) for day in (7, 8)}

    quiet.make_room(seoul("2035-05-11 12:00"))
    assert monday + datetime.timedelta(days=11) not in starts(TEMP)
    quiet.make_room(seoul("2035-05-14 12:00"))
    assert monday + datetime.timedelta(days=14) in starts(TEMP)
    assert not Alarm.objects.filter(code="partitions_short", cleared_at=None).exists()


def test_the_events_that_are_there_are_asked_for_and_not_made_again():
    storage().keep_events()
    said: list[str] = []

    def listen(execute, sql, params, many, context):
        said.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        assert storage().keep_events() == ""

    assert [sql for sql in said if not sql.lstrip().upper().startswith("SELECT")] == []
