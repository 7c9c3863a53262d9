"""A Redis that is away, full or slow is an alarm, told once, and cleared when it is over."""

import pytest
import redis as redis_library

from marketdata import alarms
from marketdata.realtime import redis_health
from marketdata.realtime.redis_health import Trouble, Watch, look
from tests.integration.serving import serving
from tests.waiting import until

__all__ = ["serving"]


@pytest.fixture
def full(redis):
    """Fill it; call it again with False to make room."""

    def set_full(is_full=True):
        redis.config_set("maxmemory", 1 if is_full else "512mb")

    yield set_full
    set_full(False)


def active():
    return [(one.code, one.subject) for one in alarms.active() if one.code in redis_health.CODES]


def found(client) -> Trouble:
    trouble = look(client)
    assert trouble is not None
    return trouble


def test_all_is_well(redis, monkeypatch):
    monkeypatch.setattr(redis_health, "SLOW_S", 60.0)  # of a machine that is busy with something else

    assert look(redis) is None


def test_a_full_one_and_one_that_soon_will_be(redis, full):
    used = int(redis.info("memory")["used_memory"])
    redis.config_set("maxmemory", used + (used // 20))
    soon = found(redis)
    full()
    refused = found(redis)

    assert (soon.code, refused.code) == ("redis_full", "redis_full")
    assert "MiB" in str(soon.message)
    assert "refuses writes" in str(refused.message)


def test_one_that_is_away_and_one_that_takes_its_time(redis, redis_server, monkeypatch):
    away = redis_library.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(redis_health, "SLOW_S", 0.0)
    slow = found(redis)

    assert found(away).code == "redis_away"
    assert slow.code == "redis_slow"


def test_an_alarm_comes_with_the_second_look_is_told_once_a_minute_and_ends(serving, redis, full):
    watch = Watch("live state", redis)
    full()
    watch.step(0.0)
    assert active() == []

    for now in (5.0, 10.0, 15.0, 64.0, 66.0):
        watch.step(now)

    (alarm,) = (one for one in alarms.active() if one.code == "redis_full")
    assert (alarm.subject, alarm.count) == ("live state", 2)
    full(False)
    watch.step(70.0)
    assert active() == []


def test_what_an_earlier_process_left_is_cleared_by_the_first_good_look(serving, redis):
    alarms.raise_alarm("redis_away", "of a process that is gone", subject="live state")

    Watch("live state", redis).step(0.0)

    assert active() == []


@pytest.mark.once
def test_the_ingest_server_watches(road, redis, full):
    road.ingest()
    full()
    until(lambda: active() == [("redis_full", "live state")], seconds=60, what="the alarm")

    full(False)

    until(lambda: active() == [], seconds=60, what="the end of the alarm")
