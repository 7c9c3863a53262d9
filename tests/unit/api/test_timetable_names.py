"""Every entry of the timetable has a name for people, and when it is done is told in words."""

import pytest
from django.utils import translation
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from api.timetable_names import NAMES, crontab, every, shown
from celery_app import TIMETABLE


def test_every_entry_of_the_timetable_is_named_as_it_is_there():
    assert set(NAMES) == set(TIMETABLE)
    assert {name: str(words) for name, words in NAMES.items()} == {name: name for name in TIMETABLE}
    assert shown("an entry of somebody's") == "an entry of somebody's"
    assert shown("celery.backend_cleanup") == "results of tasks that are past their time"


@pytest.mark.parametrize(
    ("given", "english", "korean"),
    [
        ({"minute": "0", "hour": "4"}, "At 04:00 (UTC)", "04:00 (UTC)"),
        (
            {"minute": "5", "hour": "8", "day_of_week": "1-5"},
            "At 08:05, Monday through Friday (UTC)",
            "08:05, 월요일~금요일 (UTC)",
        ),
        ({"hour": "x"}, "* x * * * (m/h/dM/MY/d) UTC", "* x * * * (m/h/dM/MY/d) UTC"),
    ],
)
def test_a_crontab_is_told_in_words_of_the_language_that_is_read(given, english, korean):
    row = CrontabSchedule(**given, timezone="UTC")

    with translation.override("en"):
        assert crontab(row) == english
    with translation.override("ko"):
        assert crontab(row) == korean


@pytest.mark.parametrize(
    ("number", "period", "english", "korean"),
    [
        (1, "seconds", "every 1 s", "1초마다"),
        (900, "seconds", "every 15 min", "15분마다"),
        (90, "minutes", "every 90 min", "90분마다"),
        (2, "days", "every 2 d", "2일마다"),
    ],
)
def test_an_interval_is_told_in_the_largest_unit_that_it_is_whole_ones_of(number, period, english, korean):
    task = PeriodicTask(interval=IntervalSchedule(every=number, period=period))

    with translation.override("en"):
        assert every(task) == english
    with translation.override("ko"):
        assert every(task) == korean
