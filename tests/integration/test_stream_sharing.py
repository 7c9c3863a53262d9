"""One key or person has its limit of sockets in all web processes together."""

from types import SimpleNamespace

import pytest

from api.stream import shared, sharing
from api.stream.encoding import Form
from api.stream.send_queue import SendQueue
from api.stream.sharing import LEASE_S, SETTLE_S, Sharing
from api.stream.subscriber import Identity, Subscriber
from tests.integration.serving import hub, serving

__all__ = ["hub", "serving"]

NEVER_US = 4_000_000_000_000_000
pytestmark = pytest.mark.once


def socket(number, came_us, kind="key"):
    made = Subscriber("krx", SendQueue(Form(), max_bytes=1 << 20), came_us=came_us)
    made.identity = Identity(kind, number)
    return made


def most(of_key, of_person=100):
    return {"client": of_key, "key": of_key, "user": of_person}


@pytest.fixture
def now(monkeypatch):
    made = SimpleNamespace(s=1_000.0)
    monkeypatch.setattr(sharing, "time", SimpleNamespace(monotonic=lambda: made.s))
    return made


async def test_the_oldest_gives_way_to_one_of_another_web_process_and_is_told(serving, hub, monkeypatch):
    monkeypatch.setattr("api.stream.connection_limits.RENEW_S", 0.02)
    monkeypatch.setattr(sharing, "SETTLE_S", 0.0)
    monkeypatch.setattr(sharing, "LEASE_S", 600.0)
    shared.shared()[1].most_per_key = 2
    async with serving.socket() as first, serving.socket() as second:
        for one in (first, second):
            await one.enter(serving)
        await Sharing(hub.commands).renew([socket(serving.reader.pk, NEVER_US, "client")], most(2))

        heard, code = await first.closed()

        assert (heard[-1]["code"], code) == (406, 4406)
        assert "in all web processes" in heard[-1]["msg"]
        await second.subscribe(trades=["*"])


async def test_who_has_too_many_is_given_time_and_then_the_oldest_of_all_go(hub, redis, now):
    here, there = Sharing(hub.commands), Sharing(hub.commands)
    old, older, newest = socket(7, 2), socket(7, 1), socket(7, 3)

    assert await there.renew([newest], most(2)) == []
    assert await here.renew([old, older], most(2)) == []
    now.s += SETTLE_S
    assert await there.renew([newest], most(2)) == []
    assert await here.renew([old, older], most(2)) == [older]


async def test_those_that_come_back_from_a_killed_process_turn_nobody_away(hub, redis, now):
    here, killed = Sharing(hub.commands), Sharing(hub.commands)
    mine = [socket(7, 1), socket(7, 2)]
    await killed.renew([socket(7, 3)], most(3))
    names = redis.zrange(sharing.PREFIX + "key:7", 0, -1)
    mine.append(socket(7, 4))

    assert await here.renew(mine, most(3)) == []
    now.s += LEASE_S
    assert await here.renew(mine, most(3)) == []
    redis.zadd(sharing.PREFIX + "key:7", dict.fromkeys(names, 1))  # the note has run out
    now.s += SETTLE_S
    assert await here.renew(mine, most(3)) == []
    now.s += SETTLE_S
    assert await here.renew(mine, most(3)) == []
    assert redis.zcard(sharing.PREFIX + "key:7") == 3


async def test_a_person_has_one_limit_in_two_web_processes_and_apart_from_keys(hub, redis, now):
    here, there = Sharing(hub.commands), Sharing(hub.commands)
    mine = [socket(7, 1, "user"), socket(8, 2, "user"), socket(7, 3, "key")]
    theirs = [socket(7, 4, "user"), socket(7, 5, "user")]

    for _ in range(2):
        gone = [await there.renew(theirs, most(1, 2)), await here.renew(mine, most(1, 2))]
        now.s += SETTLE_S

    assert gone == [[], mine[:1]]


async def test_another_key_and_visitors_of_the_page_are_not_counted(hub, redis, now):
    here = Sharing(hub.commands)
    given = [socket(7, 1), socket(8, 2), socket(0, 3, "page"), socket(0, 4, "page"), socket(7, 5, "client")]

    for _ in range(2):
        assert await here.renew(given, most(1)) == []
        now.s += SETTLE_S

    assert sorted(redis.keys(sharing.PREFIX + "*")) == [
        b"naru:stream-sockets:client:7", b"naru:stream-sockets:key:7", b"naru:stream-sockets:key:8",
    ]  # fmt: skip
