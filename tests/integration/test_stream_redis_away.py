"""The stream while Redis is away, another one than before, or emptied: nothing is lost, nothing comes twice."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
import redis
from django.db import OperationalError

from api.stream import encoding, replay, shared
from api.stream.channel import Channel
from api.stream.encoding import Form
from api.stream.hub import Hub
from api.stream.requests import From
from api.stream.send_queue import SendQueue
from api.stream.subscriber import Subscriber
from marketdata.models import IngestBatch
from marketdata.realtime import feed as feeds
from tests.integration.numbered import numbered, prices
from tests.integration.serving import beside, commit, hub, serving
from tests.market import NINE_US
from tests.servers import Valkey

__all__ = ["hub", "serving"]


async def test_what_another_redis_has_is_not_taken_for_older_entries(serving, settings):
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    fresh, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    channel.kept.clear(3)
    try:
        fresh.epoch = "another"
        await fresh.recall(channel, 0)
        of_another = channel.kept.covers(0)
        fresh.epoch = await feeds.epoch(fresh.commands)
        await fresh.recall(channel, 0)
    finally:
        await fresh.close()

    assert not of_another
    assert channel.kept.covers(0)


async def test_who_came_before_anything_was_told_goes_on_after_another_redis(serving, hub):
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await commit(serving, [{"price": "1"}])
        place = {"epoch": "another", "o": told["o"], "at": told["at"]}
        await socket.say(action="subscribe", **{"from": place})
        heard = await socket.until("replay_completed")

    assert [message["p"] for message in heard if message["T"] == "t" and "o" not in message] == [1]


async def test_a_replay_from_redis_that_breaks_off_before_another_redis_goes_on_where_it_was(
    serving, hub, redis, monkeypatch
):
    monkeypatch.setattr(replay, "ENTRIES", 2)
    monkeypatch.setattr(replay, "PROGRESS_US", 1)
    monkeypatch.setattr(replay, "OVERLAP_US", 0)
    monkeypatch.setattr(replay, "STEP_US", 1)
    for number in range(1, 8):
        await commit(serving, [{"price": str(number)}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await socket.say(action="subscribe", **{"from": {"epoch": told["epoch"], "o": 0}})
        heard = await socket.until("replay_completed")
    progress = [number for number, message in enumerate(heard) if message["T"] == "replay_progress"]
    rest = []
    for number in progress[:2]:
        async with serving.socket() as again:
            await numbered(again, serving)
            place = {"epoch": "another", "o": 0, "at": heard[number]["at"]}
            await again.say(action="subscribe", **{"from": place})
            rest.append(prices(await again.until("replay_completed")))

    assert [prices(heard[:number])[-1] for number in progress] == [2, 4, 6, 7]
    assert rest == [[2, 3, 4, 5, 6, 7], [4, 5, 6, 7]]  # the last that it had comes again


async def test_a_replay_goes_on_where_it_was_when_redis_is_away_for_a_moment(serving, settings, monkeypatch):
    monkeypatch.setattr(replay, "ENTRIES", 2)
    for number in range(1, 8):
        await commit(serving, [{"price": str(number)}])
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20))
    one.add({"trades": ["*"]}, most=1, room=1)
    asked, read = [], feeds.replay

    async def broken(*given, **more):
        asked.append(more["after"])
        if len(asked) == 2:
            raise redis.ConnectionError("away")
        return await read(*given, **more)

    monkeypatch.setattr(feeds, "replay", broken)
    try:
        own.epoch = await feeds.epoch(own.commands)
        channel.delivered = 7
        await replay.Replay(own, channel, one).run(From(epoch=own.epoch, o=0))
    finally:
        await own.close()
    heard = json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20)))

    assert prices(heard) == [1, 2, 3, 4, 5, 6, 7]
    assert [message["T"] for message in heard if message["T"] in ("error", "replay_completed")] == ["replay_completed"]
    assert asked[:3] == [0, 2, 2]


async def test_who_asks_while_redis_is_away_waits_and_is_told_that_it_is_another_one(serving, own_redis, hub_of_own):
    hub = hub_of_own
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await commit(serving, [{"price": "1"}])
        await socket.until("t")
        await asyncio.to_thread(own_redis.kill)
        while not hub.away:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.02)
        place = {"from": {"epoch": told["epoch"], "o": 0, "at": told["at"]}}
        await socket.say(action="subscribe", **place)
        await socket.until("subscription")
        await commit(serving, [{"price": "2"}])
        await asyncio.to_thread(own_redis.start)
        heard = await socket.until("error")
        while heard[-1]["T"] != "replay_completed":
            if heard[-1].get("code") in (409, 461):  # the replay that waited may not have ended yet
                await socket.say(action="subscribe", **place)
            heard.append(await socket.next())

    assert {message["code"] for message in heard if message["T"] == "error"} <= {409, 461}
    assert set(prices(heard)) >= {1, 2}


@pytest.mark.once
async def test_who_comes_back_from_another_redis_is_not_given_again_what_this_process_told(serving, settings):
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    (first, *_) = await beside(lambda: list(IngestBatch.objects.order_by("batch")))
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20))
    one.add({"trades": ["*"]}, most=1, room=1)
    try:
        own.epoch = await feeds.epoch(own.commands)
        channel.delivered = 0
        for entry in await feeds.replay(own.commands, "krx", after=0):
            channel.deliver(entry, NINE_US)
        channel.leave("before")
        await replay.Replay(own, channel, one).run(
            From(epoch="before", o=2, at=datetime.fromtimestamp(first.committed_us / 1e6, UTC))
        )
    finally:
        await own.close()
    heard = json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20)))

    assert prices(heard) == [3]


async def test_who_has_to_ask_again_after_another_redis_is_given_what_came_while_it_was_answered(
    serving, settings, monkeypatch
):
    await commit(serving, [{"price": "1"}])
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20), left_at="before")
    one.add({"trades": ["*"]}, most=1, room=1)
    channel.leave("before")
    since = From(epoch="before", o=7, at=datetime.now(UTC))

    async def deliver(*_):
        """While it is answered something is delivered, which it gets only from the answer; and that breaks off."""
        await commit(serving, [{"price": "2"}])
        for entry in await feeds.replay(own.commands, "krx", after=channel.delivered or 0):
            channel.deliver(entry, NINE_US)
        raise OperationalError("away")

    try:
        own.epoch = await feeds.epoch(own.commands)
        channel.delivered = 1
        one.live = False
        with monkeypatch.context() as broken:
            broken.setattr(own.pages, "read", deliver)
            await replay.Replay(own, channel, one).run(since)
        channel.cut = None  # some seconds later
        await replay.Replay(own, channel, one).run(since)
    finally:
        await own.close()
    heard = []
    while pieces := one.send_queue.take(1 << 20):  # an error is a frame of its own
        heard += json.loads(encoding.frame(one.form, pieces))

    assert [message["code"] for message in heard if message["T"] == "error"] == [460]
    assert prices(heard) == [1, 2]


async def test_offsets_of_another_redis_that_nobody_was_told_of_are_not_given_as_those_of_the_one_before(
    serving, settings, monkeypatch
):
    monkeypatch.setattr("api.stream.hub.AWAY_S", 0.1)
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20))
    one.add({"trades": ["*"]}, most=1, room=1)
    try:
        own.epoch, channel.delivered = "before", 3  # what Redis has now has other offsets
        await replay.Replay(own, channel, one).run(From(epoch="before", o=1))
    finally:
        await own.close()
    heard = json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20)))

    assert prices(heard) == []
    assert [(message["T"], message.get("code")) for message in heard] == [("error", 460)]


async def test_who_comes_back_to_a_process_that_has_not_found_its_place_yet_misses_nothing(
    serving, settings, monkeypatch
):
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20))
    one.add({"trades": ["*"]}, most=1, room=1)
    channel.subscribers.add(one)
    try:
        epoch = await feeds.epoch(own.commands)
        await replay.Replay(own, channel, one).run(From(epoch=epoch, o=1))
        known = (own.epoch, channel.delivered)
        await commit(serving, [{"price": "4"}])
        for entry in await feeds.replay(own.commands, "krx", after=channel.delivered or 0):
            channel.deliver(entry, NINE_US)
    finally:
        await own.close()
    heard = json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20)))

    assert known == (epoch, 3)
    assert prices(heard) == [2, 3, 4]


async def test_a_replay_from_the_database_ends_untold_when_redis_is_another_meanwhile(serving, settings, monkeypatch):
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    (first, *_) = await beside(lambda: list(IngestBatch.objects.order_by("batch")))
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    one = Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20))
    one.add({"trades": ["*"]}, most=1, room=1)
    read = own.pages.read

    async def read_and_restart(*asked):
        page = await read(*asked)
        own.epoch = "the next"
        return page

    monkeypatch.setattr(own.pages, "read", read_and_restart)
    since = From(epoch="another", o=0, at=datetime.fromtimestamp(first.committed_us / 1e6, UTC))
    try:
        own.epoch = await feeds.epoch(own.commands)
        channel.delivered = 0  # by the offsets of the next one
        await replay.Replay(own, channel, one).run(since)
    finally:
        await own.close()
    heard = json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20)))

    assert prices(heard) == [1, 2, 3]
    assert "replay_completed" not in [message["T"] for message in heard]
    assert (one.live, one.after) == (True, 0)


@pytest.fixture
def own_redis(tmp_path, settings, serving):
    """A Valkey of this test's own, to be restarted."""
    from marketdata.realtime import live_state

    with Valkey(tmp_path / "valkey") as server:
        settings.REDIS_URL = settings.BROKER_URL = server.url
        live_state.connection.cache_clear()
        yield server
        live_state.connection.cache_clear()


async def test_another_redis_than_before_is_told_and_the_stream_goes_on(serving, own_redis, hub_of_own):
    hub = hub_of_own
    async with serving.socket() as socket, serving.socket() as plain:
        await commit(serving, [{"price": "7"}])
        told = await numbered(socket, serving)
        await plain.enter(serving)
        await plain.subscribe(trades=["005930"])
        await commit(serving, [{"price": "1"}])
        await socket.until("t")
        await plain.until("t")

        await asyncio.to_thread(own_redis.kill)
        while not hub.away:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.02)
        await commit(serving, [{"price": "9"}])
        await asyncio.to_thread(own_redis.start)

        error = (await socket.until("error"))[-1]
        assert (await plain.until("error"))[-1]["code"] == 461
        await socket.say(action="subscribe", **{"from": {"epoch": told["epoch"], "o": 2, "at": told["at"]}})
        missed = await socket.until("replay_completed")
        await commit(serving, [{"price": "2"}])
        trade = (await socket.until("t"))[-1]
        assert (await plain.until("t"))[-1]["p"] == 2

    assert error["code"] == 461
    assert error["epoch"] == hub.epoch != told["epoch"]
    assert prices(missed) == [7, 9]  # from a little before it came; not again what it had
    assert trade["o"] == error["o"] + 1


async def test_an_emptied_redis_is_told_and_the_stream_goes_on(serving, own_redis, hub_of_own):
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        for price in ("1", "2", "3"):
            await commit(serving, [{"price": price}])
            await socket.until("t")

        with redis.Redis.from_url(own_redis.url) as client:
            client.flushall()

        error = (await socket.until("error"))[-1]
        await commit(serving, [{"price": "4"}])
        trade = (await socket.until("t"))[-1]

    assert error["code"] == 461
    assert error["epoch"] == hub_of_own.epoch != told["epoch"]
    assert (trade["p"], trade["o"]) == (4, error["o"] + 1)


async def test_sockets_wait_while_redis_is_away_from_the_start(serving, own_redis, hub_of_own):
    await asyncio.to_thread(own_redis.kill)
    async with serving.socket() as socket:
        await socket.enter(serving)
        told = await socket.subscribe(trades=["*"])
        assert told["trades"] == ["*"]

        await asyncio.to_thread(own_redis.start)
        while hub_of_own.channel("krx").delivered is None:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.05)
        await commit(serving, [{"price": "5"}])

        assert (await socket.until("t"))[-1]["p"] == 5


@pytest.fixture
async def hub_of_own(own_redis):
    yield shared.shared()[0]
    await shared.close()
