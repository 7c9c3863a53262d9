"""What beat makes of the timetable."""

import datetime
import json
import time

import pytest
from django.db import DatabaseError, OperationalError, connection
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


def test_while_the_database_fails_beat_goes_on_and_forgets_no_run(road_database, redis):
    scheduler = Scheduler(app, lazy=True)
    scheduler.setup_schedule()
    first, second, gone = list(TIMETABLE)[:3]

    def runs():
        return [PeriodicTask.objects.get(name=one).total_run_count for one in (first, second)]

    def out_of_order(*_):
        raise OperationalError("no answer")

    known = scheduler.schedule
    for name in (first, second, gone):
        scheduler.reserve(known[name])
    PeriodicTask.objects.filter(name=gone).delete()

    with connection.execute_wrapper(out_of_order):
        scheduler._last_full_sync -= datetime.timedelta(hours=1)
        assert scheduler.schedule is known  # is to be written and read anew
        scheduler._dirty, dirty = set(), scheduler._dirty
        assert scheduler.all_as_schedule() is known  # here beat ended
        scheduler._dirty = dirty
        with pytest.raises(DatabaseError):
            Scheduler(app, lazy=True).all_as_schedule()  # nothing is known
    assert runs() == [0, 0]
    assert scheduler.all_as_schedule() is known  # what is read would be due once more

    scheduler.sync()
    assert runs() == [1, 1]
    assert not scheduler._dirty
    read = scheduler.all_as_schedule()
    assert read is not known
    assert gone in known
    assert gone not in read
    assert read[first].last_run_at == known[first].model.last_run_at
