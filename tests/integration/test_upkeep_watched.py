"""Upkeep that fails each time, hangs or does not run at all is told of by those that do not do it: a task of another
queue raises the alarms, and beat tells Prometheus."""

import datetime

import pytest
from django.db import OperationalError

from celery_app import ROUTES
from marketdata import alarms, backups
from marketdata import tasks as upkeep
from marketdata.backups import taking
from marketdata.maintenance import rollover
from marketdata.models import Alarm, BackupRun, RolloverRun
from marketdata.monitoring import deployment
from marketdata.storage import storage
from tests.integration.rolling import MONDAY, TUESDAY, WEDNESDAY, run_at, seoul_us
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")


@pytest.fixture
def clock(monkeypatch):
    """The time of those that watch."""
    made = Clock("2026-03-16 12:00")
    monkeypatch.setattr(rollover, "utc_now", made)
    return made


def told():
    """What beat tells Prometheus of the upkeep."""
    return {
        (sample.name.removeprefix("naru_"), *sample.labels.values()): sample.value
        for metric in deployment._look_at_upkeep()
        for sample in metric.samples
    }


def days():
    """Days that are not done, and those of them that should have been for a while."""
    found = told()
    return found["rollovers_undone",], found["rollovers_overdue",]


def standing(code="rollover_late"):
    return sorted(Alarm.objects.filter(code=code, cleared_at=None).values_list("subject", flat=True))


def locked(*_given, **_named):
    """What each of the databases ends a statement with that waited for a lock, and what passes by itself."""
    raise OperationalError(1205, "database is locked")


def test_what_watches_is_in_another_queue_than_what_is_watched():
    watched = {ROUTES[f"marketdata.tasks.{name}"]["queue"] for name in ("roll_over", "back_up", "copy_backups")}

    assert ROUTES["marketdata.tasks.watch_upkeep"]["queue"] not in watched


def test_a_day_whose_statement_fails_each_time_is_told_of(clock, monkeypatch):
    commit(MONDAY)
    monkeypatch.setattr(type(storage()), "build_daily", locked)

    for minute in range(5, 37):
        with pytest.raises(OperationalError):
            run_at(f"2026-03-17 08:{minute:02}")
        clock.now = seoul(f"2026-03-17 08:{minute:02}")
        late = minute >= 35
        assert days() == (1, late)
        assert standing() == (["2026-03-16"] if late else [])  # also by the rollover itself

    assert "locked" in Alarm.objects.get(code="rollover_late").message


def test_a_day_is_told_of_while_its_rollover_takes_hours(clock):
    commit(MONDAY)
    running = Clock("2026-03-17 08:05")
    seen = []

    def progress(words):
        if words == f"{MONDAY} aggregate":
            clock.now = seoul("2026-03-17 11:00")
            upkeep.watch_upkeep()
            seen.append((days(), standing()))

    assert rollover.run_due(clock=running, progress=progress) == [MONDAY]

    assert seen == [((1, 1), ["2026-03-16"])]
    assert (days(), standing()) == ((0, 0), [])


def test_alarms_are_told_as_they_are_kept_while_a_rollover_goes_on_and_whoever_clears_them(clock):
    commit(MONDAY)
    seen = []

    def alarm_counts():
        return {labels[0]: value for (name, *labels), value in told().items() if name == "alarms"}

    def progress(words):
        if words == f"{MONDAY} aggregate":
            alarms.raise_alarm("server_clock", "half a second", subject="a/database")
            alarms.raise_alarm("server_clock", "half a second", subject="b/database")
            seen.append(alarm_counts())
            Alarm.objects.filter(subject="a/database").update(cleared_at=clock())  # another process did
            seen.append(alarm_counts())
            alarms.resolve("server_clock")
            seen.append(alarm_counts())

    assert alarm_counts() == {}
    assert rollover.run_due(clock=Clock("2026-03-17 08:05"), progress=progress) == [MONDAY]

    assert seen == [{"server_clock": 2}, {"server_clock": 1}, {"server_clock": 0}]


def test_mornings_without_any_rollover_are_told_of(clock):
    commit(MONDAY)
    run_at("2026-03-16 12:00")

    def seen_at(when):
        clock.now = seoul(when)
        upkeep.watch_upkeep()
        return days(), standing()

    assert seen_at("2026-03-17 08:04") == ((0, 0), [])
    assert seen_at("2026-03-17 08:34") == ((1, 0), [])
    assert seen_at("2026-03-17 08:35") == ((1, 1), ["2026-03-16"])
    assert seen_at("2026-03-18 08:35") == ((2, 1), ["2026-03-17"])  # of which there is no row yet
    assert not RolloverRun.objects.filter(trade_date=TUESDAY).exists()
    assert "not begun" in Alarm.objects.get(subject="2026-03-17").message

    assert run_at("2026-03-18 08:36") == [TUESDAY, MONDAY]

    assert seen_at("2026-03-18 08:36") == ((0, 0), [])
    assert seen_at("2026-03-19 08:40") == ((1, 1), [WEDNESDAY.isoformat()])


def test_an_alarm_that_was_raised_as_its_day_became_done_is_over_a_minute_later(clock):
    RolloverRun.objects.create(trade_date=MONDAY, state=RolloverRun.State.DONE)
    alarms.raise_alarm("rollover_late", "due since eight", subject=MONDAY.isoformat())
    clock.now = seoul("2026-03-17 08:40")

    upkeep.watch_upkeep()

    assert standing() == []


def test_old_days_that_wait_for_their_turn_are_late_only_where_that_takes_long(clock, settings):
    settings.ROLLOVER_OLD_DAYS = 1
    first = datetime.date(2024, 1, 2)
    RolloverRun.objects.create(trade_date=MONDAY, state=RolloverRun.State.DONE, expected=True)
    RolloverRun.objects.create(trade_date=TUESDAY, expected=True)
    clock.now = seoul("2026-03-17 12:00")
    old = [RolloverRun(trade_date=first + datetime.timedelta(days=day)) for day in range(31)]
    RolloverRun.objects.bulk_create(old[:30])

    assert days() == (30, 0)
    old[30].save(force_insert=True)
    assert days() == (31, 31)


def proven_at():
    return told().get(("backup_proven_timestamp_seconds",))


def test_first_backups_that_all_fail_are_told_of(clock, monkeypatch, settings, tmp_path):
    settings.BACKUP_DIR, settings.BACKUP_EVERY_H = str(tmp_path / "backups"), 24

    def full(*_given):
        raise OSError(28, "No space left on device")

    def seen_at(when):
        clock.now = seoul(when)
        upkeep.watch_upkeep()
        return proven_at(), standing("backup_overdue")

    monkeypatch.setattr(taking, "take", full)
    assert seen_at("2026-03-16 09:00") == (None, [])  # there is nothing to keep
    first = seoul("2026-03-16 09:00").timestamp()
    commit(MONDAY, committed_us=seoul_us("2026-03-16 09:00"))
    commit(MONDAY, committed_us=seoul_us("2026-03-16 15:00"))
    for day in (16, 17):
        backups.run_due(seoul(f"2026-03-{day} 18:00"))
        run = BackupRun.objects.latest("pk")
        assert (run.state, standing("backup_overdue")) == (BackupRun.State.FAILED, [])

    assert seen_at("2026-03-17 20:59") == (first, [])
    assert seen_at("2026-03-17 21:01") == (first, [""])  # 36 hours after the first batch

    BackupRun.objects.filter(pk=run.pk).update(state=BackupRun.State.VERIFIED)
    assert seen_at("2026-03-17 21:02") == (seoul("2026-03-17 18:00").timestamp(), [])
    assert seen_at("2026-03-19 06:01") == (seoul("2026-03-17 18:00").timestamp(), [""])
