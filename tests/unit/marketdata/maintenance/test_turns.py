"""When an entry of the timetable is to run next, from what beat wrote down of it."""

import datetime
import zoneinfo

import pytest
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from marketdata.maintenance import turns
from marketdata.maintenance.turns import Turn

NOW = datetime.datetime(2026, 3, 16, 0, 10, tzinfo=datetime.UTC)  # 09:10 in Seoul
MINUTES_5 = IntervalSchedule(every=5, period="minutes")


def ago(**given):
    return NOW - datetime.timedelta(**given)


@pytest.mark.parametrize(
    ("last", "turn"),
    [
        (ago(minutes=3), Turn(NOW + datetime.timedelta(minutes=2), overdue=False)),
        # Written down half a minute late at most, and beat may be starting: it ran since, at its usual distance.
        (ago(minutes=6), Turn(NOW + datetime.timedelta(minutes=4), overdue=False)),
        (ago(minutes=7), Turn(NOW, overdue=True)),
        (ago(minutes=10), Turn(NOW, overdue=True)),
        (None, Turn(NOW, overdue=False)),
    ],
)
def test_an_interval_goes_on_from_the_last_run(last, turn):
    found = turns.following(PeriodicTask(interval=MINUTES_5, last_run_at=last, enabled=True), NOW)

    if turn.overdue:
        assert (found.overdue, found.at) == (True, last + datetime.timedelta(minutes=5))
    else:
        assert found == turn


def test_a_time_of_day_is_that_of_its_zone():
    plan = CrontabSchedule(minute="30", hour="8", timezone=zoneinfo.ZoneInfo("Asia/Seoul"))
    done = PeriodicTask(crontab=plan, last_run_at=ago(minutes=40), enabled=True)
    missed = PeriodicTask(crontab=plan, last_run_at=ago(days=1, minutes=40), enabled=True)
    fresh = PeriodicTask(crontab=plan, enabled=True)

    assert turns.following(done, NOW) == Turn(NOW + datetime.timedelta(hours=23, minutes=20), overdue=False)
    assert turns.following(missed, NOW) == Turn(ago(minutes=40), overdue=True)
    assert turns.following(fresh, NOW) == Turn(NOW + datetime.timedelta(hours=23, minutes=20), overdue=False)


def test_what_is_off_or_over_never_runs_and_what_begins_later_not_before():
    later = NOW + datetime.timedelta(days=1)

    assert turns.following(PeriodicTask(interval=MINUTES_5, enabled=False), NOW) == Turn(None, overdue=False)
    over = PeriodicTask(interval=MINUTES_5, enabled=True, expires=ago(days=1))
    assert turns.following(over, NOW) == Turn(None, overdue=False)
    begins = PeriodicTask(interval=MINUTES_5, enabled=True, last_run_at=ago(days=1), start_time=later)
    assert turns.following(begins, NOW) == Turn(later, overdue=False)
    once = PeriodicTask(clocked=ClockedSchedule(clocked_time=later), enabled=True, one_off=True)
    assert turns.following(once, NOW) == Turn(later, overdue=False)
