"""What is past its time goes by whole periods, what was stored lately stays, and room is made ahead."""

import datetime
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from marketdata import alarms
from marketdata.calendar import trading_dates
from marketdata.ledger import batch_ledger
from marketdata.maintenance import nodes, retention, rollover
from marketdata.models import (
    Alarm,
    Alert,
    AlertDelivery,
    AlertTarget,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    RolloverRun,
)
from marketdata.storage import storage
from marketdata.storage.base import BOOKS, EVENTS, HISTORY, MINUTES, PERIODS, TEMP
from tests import market
from tests.contract.rows import load
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("road_database")

MONDAY = datetime.date(2026, 3, 16)


def quiet(_: str) -> None:
    pass


def rolled(date: datetime.date, at: str) -> None:
    """A day in history, done at a time."""
    commit(date)
    trading_dates.forget()
    rollover.run_one(date, clock=Clock(at))


def test_a_day_past_its_time_goes_and_the_next_one_stays():
    rolled(MONDAY, "2026-03-17 08:05")
    rolled(MONDAY + datetime.timedelta(days=1), "2026-03-18 08:05")
    now = seoul("2027-03-17 12:00")

    plan = retention.plan(now)
    starts = {drop.start for drop in plan if drop.table == HISTORY}  # empty periods beside it may go as well
    assert MONDAY in starts
    assert MONDAY + datetime.timedelta(days=1) not in starts
    assert storage().count(HISTORY) == 8  # a plan changes nothing

    retention.apply(now, progress=quiet)

    assert storage().dates(HISTORY) == [MONDAY + datetime.timedelta(days=1)]
    assert RolloverRun.objects.get(trade_date=MONDAY).dropped_at == now
    assert storage().read_daily("005930", "krx", MONDAY, MONDAY + datetime.timedelta(days=1)).n.tolist() == [2]


def test_history_that_was_loaded_lately_stays_its_whole_time():
    old = datetime.date(2023, 12, 26)
    rolled(old, "2026-03-17 08:05")

    def planned(now: str) -> bool:
        return old in {drop.start for drop in retention.plan(seoul(now)) if drop.table == HISTORY}

    assert storage().dates(HISTORY) == [old]
    assert not planned("2026-03-18 12:00")
    assert planned("2027-03-19 12:00")


def test_a_day_that_was_dropped_and_is_loaded_again_stays_its_whole_time_again():
    rolled(MONDAY, "2026-03-17 08:05")
    retention.apply(seoul("2027-03-20 12:00"), progress=quiet)
    assert storage().dates(HISTORY) == []

    commit(MONDAY, 6)
    rollover.run_one(MONDAY, clock=Clock("2027-03-21 09:00"))

    run = RolloverRun.objects.get(trade_date=MONDAY)
    assert storage().dates(HISTORY) == [MONDAY]
    assert (run.dropped_at, run.rows, run.accepted) == (None, 6, "")
    assert MONDAY not in {drop.start for drop in retention.plan(seoul("2027-12-01 12:00")) if drop.table == HISTORY}


def test_late_ticks_of_a_dropped_day_are_moved_though_its_ledger_is_forgotten():
    rolled(MONDAY, "2026-03-17 08:05")
    RolloverRun.objects.exclude(trade_date=MONDAY).delete()
    commit(MONDAY + datetime.timedelta(days=40))  # the newest of its spool stays
    retention.apply(seoul("2027-05-20 12:00"), progress=quiet)
    IngestBatch.objects.filter(batch__lt=IngestBatch.objects.latest("batch").batch).update(committed_us=1)
    retention.forget_ledger(seoul("2027-05-20 12:00"), progress=quiet)
    assert not IngestBatchDay.objects.filter(trade_date=MONDAY).exists()

    commit(MONDAY, 6)
    run = rollover.run_one(MONDAY, clock=Clock("2027-03-21 09:00"))

    assert (run.state, run.rows) == (RolloverRun.State.DONE, 6)


def test_each_table_has_a_time_of_its_own(settings):
    settings.RETENTION_TICKS_DAYS, settings.RETENTION_MINUTES_DAYS = 10, 100
    rolled(MONDAY, "2026-03-17 08:05")

    tables = {drop.table for drop in retention.plan(seoul("2026-04-20 12:00"))}

    assert HISTORY in tables
    assert MINUTES not in tables


def test_a_day_that_is_to_be_archived_is_kept_until_it_is(settings):
    settings.ARCHIVE, settings.RETENTION_TICKS_DAYS = True, 10
    rolled(MONDAY, "2026-03-17 08:05")
    now = seoul("2026-04-20 12:00")

    assert MONDAY not in {drop.start for drop in retention.plan(now) if drop.table == HISTORY}
    retention.apply(now, progress=quiet)
    assert "2026-03-16" in Alarm.objects.get(code="not_archived").message
    assert storage().dates(HISTORY) == [MONDAY]
    RolloverRun.objects.update(archived_at=now)

    assert MONDAY in {drop.start for drop in retention.plan(now) if drop.table == HISTORY}


def test_ticks_that_wait_to_be_moved_are_never_dropped():
    commit(MONDAY)

    retention.apply(seoul("2029-01-02 12:00"), progress=quiet)

    assert storage().dates(TEMP) == [MONDAY]


def test_the_ledger_is_forgotten_after_its_time_but_not_the_newest_of_a_spool():
    year = 400 * 86_400_000_000
    now = seoul("2027-12-01 12:00")
    long_ago = int(now.timestamp() * 1e6) - year - 1
    for _ in range(3):
        commit(MONDAY, committed_us=long_ago)
    recent = commit(MONDAY, committed_us=int(now.timestamp() * 1e6) - 1000)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data")
    storage().drop_days(MINUTES, [MONDAY.replace(day=1)])
    IngestReject.objects.create(batch=1, idx=0, reasons="x", record="{}")
    IngestReject.objects.update(created_at=now - datetime.timedelta(days=401))

    retention.forget_ledger(now, progress=quiet)

    left = list(IngestBatch.objects.values_list("batch", flat=True))
    assert left == [int(recent.tick_id[0]) >> 13]
    assert IngestBatchDay.objects.count() == 1
    assert IngestReject.objects.count() == 0
    assert batch_ledger.highest(1) == left[0] & batch_ledger.SEQ_MASK


def test_the_ledger_of_ticks_that_are_there_stays():
    commit(MONDAY, committed_us=1)
    commit(MONDAY)
    storage().drop_days(MINUTES, [MONDAY.replace(day=1)])

    retention.forget_ledger(seoul("2027-12-01 12:00"), progress=quiet)

    assert IngestBatch.objects.count() == 2


def test_the_ledger_of_minute_candles_that_are_there_stays():
    commit(MONDAY, committed_us=1)
    commit(MONDAY)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM temp_market_data")

    retention.forget_ledger(seoul("2027-12-01 12:00"), progress=quiet)

    assert IngestBatch.objects.count() == 2


def test_a_period_is_not_dropped_while_ticks_of_it_wait_to_be_moved():
    rolled(MONDAY, "2026-03-17 08:05")
    commit(MONDAY)

    retention.apply(seoul("2028-06-01 12:00"), progress=quiet)

    assert storage().dates(HISTORY) == [MONDAY]
    assert storage().count(MINUTES) == 4


def test_history_that_nobody_archived_is_kept_though_no_rollover_is_known(settings):
    settings.ARCHIVE = True
    rolled(MONDAY, "2026-03-17 08:05")
    RolloverRun.objects.all().delete()

    retention.apply(seoul("2028-06-01 12:00"), progress=quiet)

    assert storage().dates(HISTORY) == [MONDAY]
    assert "2026-03-16" in Alarm.objects.get(code="not_archived").message


def test_room_is_made_ahead_in_every_table(settings):
    settings.PARTITION_DAYS_AHEAD = 5
    now = seoul("2031-05-05 12:00")

    retention.extend(now)
    retention.extend(now)

    assert not Alarm.objects.filter(cleared_at=None, code="partitions_short").exists()
    if connection.vendor != "sqlite":
        for table in (TEMP, HISTORY, BOOKS, EVENTS):
            assert datetime.date(2031, 5, 10) in {part.start for part in storage().partitions(table)}
        assert set(PERIODS) >= {TEMP, HISTORY, BOOKS, EVENTS, MINUTES}


def test_rows_outside_of_all_periods_are_told_and_readable():
    if connection.vendor == "sqlite":
        pytest.skip("one table holds every date")
    load(storage(), market.ticks([{"trade_date": 40_000}]))

    retention.extend(seoul("2026-03-16 12:00"))

    assert "1 rows of temp_market_data" in Alarm.objects.get(code="rows_without_room").message
    assert len(storage().dates(TEMP)) == 1


def test_the_command_prints_the_plan_and_then_does_it(settings):
    settings.RETENTION_TICKS_DAYS = 10
    rolled(MONDAY, "2026-03-17 08:05")
    RolloverRun.objects.update(done_at=seoul("2026-03-17 08:05"))
    out = StringIO()

    call_command("retention", "--plan", stdout=out)
    assert "drop market_data_tick 2026-03-16 to 2026-03-17" in out.getvalue()
    call_command("retention", stdout=out)

    assert storage().count(HISTORY) == 0


def test_alerts_are_forgotten_after_their_time_with_their_deliveries_but_not_one_that_is_still_so(settings):
    settings.RETENTION_ALERTS_DAYS = 10
    now = seoul("2027-05-20 12:00")
    owner = get_user_model().objects.create_user("trader")
    target = AlertTarget.objects.create(owner=owner, name="desk", kind="webhook", sealed="", shown="")
    for name, days, is_over in (("old", 11, True), ("open", 11, False), ("new", 9, True)):
        made = Alert.objects.create(
            revision=1, owner=owner, name=name, kind="price", episode=1, message="", event_us=1,
            fired_at=now - datetime.timedelta(days=days), cleared_at=now if is_over else None,
        )  # fmt: skip
        AlertDelivery.objects.create(alert=made, target=target, next_at=now)

    retention.forget_alerts(now, progress=quiet)

    assert set(AlertDelivery.objects.values_list("alert__name", flat=True)) == {"open", "new"}
    assert Alert.objects.count() == 2


def test_nodes_that_differed_in_a_day_or_a_period_are_no_alarm_once_nothing_differs_whoever_mended_it():
    now = seoul("2027-05-20 12:00")
    for subject in ("2026-03-16", f"{HISTORY} 2026-03-16", f"{MINUTES} 2026-03-01"):
        alarms.raise_alarm(nodes.NODES_DIFFER, "so", subject=subject)

    retention.apply(now, progress=quiet)  # the periods are gone: no plan has them

    assert not Alarm.objects.filter(code=nodes.NODES_DIFFER, cleared_at=None).exists()
