"""What beat makes of the timetable."""

import datetime
import json

import pytest

from celery_app import QUEUES, ROUTES, SKEW_S, TIMETABLE, app
from marketdata.beat import Scheduler


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
