"""What beat makes of the timetable."""

import datetime
import json
import time

import pytest
from django_celery_beat.models import PeriodicTask

from celery_app import QUEUES, ROUTES, SKEW_S, TIMETABLE, app
from marketdata.beat import Scheduler
from marketdata.maintenance import turns


@pytest.mark.once
def test_every_turn_is_given_up_once_there_is_another(road_database, redis):
    scheduler = Scheduler(app, lazy=True)
    scheduler.setup_schedule()

    for name, line in TIMETABLE.items():
        began = datetime.datetime.now(datetime.UTC)
        scheduler.apply_async(scheduler.schedule[name], advance=False)
        headers = json.loads(redis.lpop(ROUTES[line["task"]]["queue"]))["headers"]
        assert headers["task"] == line["task"]
        over_s = (datetime.datetime.fromisoformat(headers["expires"]) - began).total_seconds()
        assert 0 <= over_s - max(line["schedule"], SKEW_S) < 60

    assert [redis.llen(queue) for queue in QUEUES] == [0] * len(QUEUES)


@pytest.mark.once
def test_last_runs_are_written_down_as_often_as_the_page_of_operations_takes_for_granted(road_database, redis):
    scheduler = Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    names = list(TIMETABLE)[:3]

    def ring(name):
        scheduler.apply_async(scheduler.schedule[name])
        return [PeriodicTask.objects.get(name=one).total_run_count for one in names]

    assert ring(names[0]) == [1, 0, 0]  # the first at once
    scheduler._last_sync = time.monotonic() + 3600
    assert ring(names[1]) == [1, 0, 0]
    scheduler._last_sync = time.monotonic() - turns.WRITTEN.total_seconds() - 1
    assert ring(names[2]) == [1, 1, 1]
