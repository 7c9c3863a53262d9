"""Old days, which a replay brings, are rolled over a few at a time and keep the newest waiting never."""

import datetime

import pytest

from marketdata.maintenance import retention, rollover
from marketdata.models import Alarm, RolloverRun
from tests.integration.rolling import MONDAY, command, run_at
from tests.upkeep import Clock, commit, seoul

pytestmark = pytest.mark.usefixtures("krx_symbols")


OLD = [datetime.date(2024, 1, 2) + datetime.timedelta(days=7 * week) for week in range(5)]


def test_old_days_of_a_replay_follow_the_newest_a_few_at_a_time(settings, monkeypatch):
    settings.ROLLOVER_OLD_DAYS = 2
    for date in (*OLD, MONDAY):
        commit(date, 1)
    forgot: list[object] = []
    monkeypatch.setattr(retention, "forget", lambda *given, **_: forgot.append(given))

    assert run_at("2026-03-17 08:05") == [MONDAY, OLD[4], OLD[3]]
    assert len(forgot) == 1  # not once for each day
    assert run_at("2026-03-17 08:06") == [OLD[2], OLD[1]]
    commit(MONDAY)
    assert run_at("2026-03-17 08:07") == [MONDAY, OLD[0]]
    assert run_at("2026-03-17 08:08") == []
    assert not Alarm.objects.filter(cleared_at=None).exists()


def test_a_day_that_becomes_due_while_old_ones_are_done_is_next():
    for date in (*OLD, MONDAY):
        commit(date, 1)
    clock = Clock("2026-03-17 08:04:50")

    def progress(words: str) -> None:
        if words == f"{OLD[3]} clean":
            clock.now = seoul("2026-03-17 08:05:10")

    assert rollover.run_due(clock=clock, progress=progress) == [OLD[4], OLD[3]]
    assert rollover.run_due(clock=clock) == [MONDAY, OLD[2], OLD[1], OLD[0]]


def test_old_days_are_not_begun_for_longer_than_half_a_minute():
    for date in OLD:
        commit(date, 1)
    clock = Clock("2026-03-17 12:00")

    def progress(words: str) -> None:
        if words.endswith(" seal"):
            clock.now += datetime.timedelta(seconds=20)

    assert rollover.run_due(clock=clock, progress=progress) == [OLD[4], OLD[3]]


def test_many_old_days_that_wait_are_one_alarm_and_not_one_each(settings):
    settings.ROLLOVER_OLD_DAYS = 1
    RolloverRun.objects.bulk_create(
        [RolloverRun(trade_date=OLD[0] + datetime.timedelta(days=day)) for day in range(32)]
    )

    run_at("2026-03-17 12:00")

    (alarm,) = Alarm.objects.filter(code="rollover_late", cleared_at=None)
    assert (alarm.subject, alarm.message.partition(" ")[0]) == ("old days", "31")
    run_at("2026-03-17 12:01")
    assert not Alarm.objects.filter(code="rollover_late", cleared_at=None).exists()


def test_the_command_does_all_of_them(settings):
    settings.ROLLOVER_OLD_DAYS = 1
    for date in OLD:
        commit(date, 1)

    said = command()

    assert f"done: {', '.join(str(date) for date in reversed(OLD))}" in said
