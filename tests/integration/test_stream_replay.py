"""Nothing is lost, nothing comes twice: replay from an offset, and slow sockets."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from analytics import voids
from analytics.voids import Selection
from api.rest import jsontext
from api.stream import encoding, replay, shared, stored_pages
from api.stream.channel import Channel
from api.stream.encoding import Form
from api.stream.hub import Hub
from api.stream.kept_entries import KeptEntries
from api.stream.requests import From
from api.stream.send_queue import SendQueue
from api.stream.subscriber import Subscriber
from marketdata.ledger import commits
from marketdata.models import IngestBatch
from marketdata.realtime import feed as feeds
from marketdata.types.tick_arrays import batch_number
from tests.integration.numbered import numbered, prices
from tests.integration.processing import clock_off
from tests.integration.serving import beside, commit, hub, minute, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["hub", "serving"]


@pytest.mark.once
async def test_a_numbered_socket_knows_its_place(serving, hub):
    await commit(serving, [{}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await commit(serving, [{}, {"kind": "quote", "bid": "1"}, {}])
        frame, *trades = [await socket.next() for _ in range(3)]

    assert (told["epoch"], told["o"]) == (hub.epoch, 1)
    assert frame["T"] == "seq"
    assert [trade["o"] for trade in trades] == [2, 4]


@pytest.mark.parametrize("after", [0, 1, 3, 4, 9, 10])
async def test_a_replay_goes_over_into_live_without_hole_or_overlap(serving, hub, monkeypatch, after):
    monkeypatch.setattr(replay, "ENTRIES", 1)
    for batch in range(5):
        await commit(serving, [{"price": str(1 + 2 * batch)}, {"price": str(2 + 2 * batch)}])
    async with serving.socket() as first:
        told = await numbered(first, serving)
        async with serving.socket() as socket:
            await numbered(socket, serving, **{"from": {"epoch": told["epoch"], "o": after}})
            for batch in range(5, 10):
                await commit(serving, [{"price": str(1 + 2 * batch)}, {"price": str(2 + 2 * batch)}])
            heard: list[dict[str, Any]] = []
            while len(prices(heard)) < 20 - after:
                heard.append(await socket.next())
            assert await socket.silent()

    assert prices(heard) == list(range(after + 1, 21))
    assert [message["o"] for message in heard if message["T"] == "t"] == list(range(after + 1, 21))
    assert sum(message["T"] == "replay_completed" for message in heard) == 1
    frames = [message["n"] for message in heard if message["T"] == "seq"]
    assert frames == list(range(frames[0], frames[0] + len(frames)))


async def test_who_comes_back_is_given_what_was_read_for_others_before(serving, hub, redis):
    for number in range(1, 31):
        await commit(serving, [{"price": str(number)}, {"kind": "quote", "bid": "1"}])
    replays = []
    for _ in range(2):
        async with serving.socket() as socket:
            told = await numbered(socket, serving)
            await socket.say(action="subscribe", **{"from": {"epoch": told["epoch"], "o": 8}})
            replays.append(await socket.until("replay_completed"))
        redis.xtrim("naru:feed:krx", maxlen=0, approximate=False)

    for heard in replays:
        trades = [(message["o"], int(message["p"])) for message in heard if message["T"] == "t"]
        assert trades == [(2 * number - 1, number) for number in range(5, 31)]


async def test_commits_during_the_replay_are_neither_lost_nor_doubled(serving, hub, monkeypatch):
    monkeypatch.setattr(replay, "ENTRIES", 2)
    for number in range(1, 41):
        await commit(serving, [{"price": str(number)}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)

        async def go_on():
            for number in range(41, 81):
                await commit(serving, [{"price": str(number)}])

        writer = asyncio.create_task(go_on())
        heard: list[dict[str, Any]] = []
        await socket.say(action="subscribe", **{"from": {"epoch": told["epoch"], "o": 0}})
        while 80 not in prices(heard) or not any(message["T"] == "replay_completed" for message in heard):
            heard.append(await socket.next())
        await writer

    start = next(index for index, message in enumerate(heard) if message["T"] == "subscription")
    assert prices(heard[start:]) == list(range(1, 81))


async def test_a_trade_that_was_taken_back_is_told_with_its_candle_and_again_in_a_replay(serving, hub):
    def void():
        voids.void(Selection(batches=(batch_number(1, 1),), end_us=NINE_US + 1), reason="wrong", by="boss")
        voids.announce()

    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.say(action="subscribe", trades=["005930"], bars=["*"], updatedBars=["*"])
        await socket.until("subscription")
        await commit(serving, [{"price": "999999"}, {"price": "70000", "time": NINE_US + 1}])
        await commit(serving, [{"symbol": "000660", "time": NINE_US + 2 * MINUTE_US}])
        closed = (await socket.until("b"))[-1]
        await beside(void)
        heard = await socket.until("u")
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await socket.say(action="subscribe", trades=["*"], **{"from": {"epoch": told["epoch"], "o": 0}})
        replayed = await socket.until("replay_completed")

    assert (closed["h"], closed["n"]) == (999_999, 2)
    (cancel,) = [message for message in heard if message["T"] == "x"]
    assert {name: cancel[name] for name in ("S", "p", "s", "x", "a")} == {
        "S": "005930", "p": 999_999, "s": 1, "x": "krx", "a": "C",
    }  # fmt: skip
    assert (heard[-1]["h"], heard[-1]["n"], heard[-1]["rev"]) == (70_000, 1, 1)
    assert [message["i"] for message in replayed if message["T"] == "x"] == [cancel["i"]]
    assert cancel["i"] in [message["i"] for message in replayed if message["T"] == "t"]


@pytest.mark.parametrize(("epoch", "o"), [("another", 0), (None, 7), (None, -1)])
async def test_a_place_that_cannot_be_reached_is_told_with_the_way_round(serving, hub, epoch, o):
    await commit(serving, [{}, {}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await socket.say(action="subscribe", **{"from": {"epoch": epoch or told["epoch"], "o": o}})
        error = (await socket.until("error"))[-1]
        await commit(serving, [{"price": "3"}])
        later = (await socket.until("t"))[-1]

    assert (error["code"], error["earliest"], error["o"]) == (460, 1, 2)
    assert error["rest"].startswith("/v2/stocks/trades?")
    assert later["o"] == 3


async def test_a_replay_from_before_the_oldest_kept_is_refused(serving, hub, settings, redis):
    for number in range(3):
        await commit(serving, [{"price": str(number + 1)}])
    redis.xtrim("naru:feed:krx", minid="3-0", approximate=False)
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await socket.say(action="subscribe", **{"from": {"epoch": told["epoch"], "o": 1}})
        error = (await socket.until("error"))[-1]

    assert (error["code"], error["earliest"]) == (460, 3)


async def test_what_redis_no_longer_has_comes_from_the_database(serving, hub, redis, monkeypatch):
    monkeypatch.setattr(commits, "PAGE_BATCHES", 2)
    monkeypatch.setattr(stored_pages, "GIVEN_TICKS", 2)
    await commit(serving, [{"price": "1"}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
    hub.channel("krx").kept = KeptEntries(most_entries=1)
    for at in range(3):
        quote, other = {"kind": "quote", "bid": str(1 + at)}, {"symbol": "000660", "price": str(20 + at)}
        await commit(serving, [minute(at, price=str(10 + at)), minute(at, **quote), minute(at, **other)])
    redis.xtrim("naru:feed:krx", minid="8-0", approximate=False)
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.say(
            action="subscribe", trades=["*"], quotes=["*"], bars=["005930"], seq=True,
            **{"from": {"epoch": told["epoch"], "o": told["o"], "at": told["at"]}},
        )  # fmt: skip
        heard = await socket.until("replay_completed")
        await commit(serving, [minute(2, price="99")])
        while 99 not in prices(heard) or not {"b", "q"} <= {message["T"] for message in heard}:
            heard.append(await socket.next())

    ids = [message["i"] for message in heard if message["T"] == "t"]
    assert prices(heard) == [1, 10, 20, 11, 21, 12, 22, 99]  # what lies a little before `at`, too
    assert len(set(ids)) == len(ids)
    assert [message["o"] for message in heard if message["T"] == "t" and "o" in message] == [11]
    assert [int(message["bp"]) for message in heard if message["T"] == "q"][-1] == 3
    assert ("00", 10) in {(message["t"][14:16], int(message["c"])) for message in heard if message["T"] == "b"}
    assert sum(message["T"] == "replay_completed" for message in heard) == 1


async def test_a_replay_from_the_database_that_breaks_off_goes_on_where_it_was(serving, hub, redis, monkeypatch):
    monkeypatch.setattr(commits, "PAGE_BATCHES", 2)
    monkeypatch.setattr(replay, "OVERLAP_US", 0)
    monkeypatch.setattr(replay, "STEP_US", 1)
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
        await commit(serving, [{"price": "1"}])
        (at,) = await beside(lambda: list(IngestBatch.objects.values_list("committed_us", flat=True)))
        for number in range(2, 8):
            await commit(serving, [{"price": str(number)}])
        place = {"epoch": "another", "o": told["o"], "at": jsontext.time(at)}
        await socket.say(action="subscribe", **{"from": place})
        heard = await socket.until("replay_completed")
    progress = [number for number, message in enumerate(heard) if message["T"] == "replay_progress"]
    rest = []
    for number in progress[:2]:
        async with serving.socket() as again:
            await numbered(again, serving)
            await again.say(action="subscribe", **{"from": {**place, "at": heard[number]["at"]}})
            rest.append(prices(await again.until("replay_completed")))

    assert [prices(heard[:number])[-1] for number in progress] == [2, 4, 6, 7]
    assert rest == [[2, 3, 4, 5, 6, 7], [4, 5, 6, 7]]  # the last that it had comes again


HOUR_US = 3_600_000_000


@pytest.mark.parametrize("place", ["ahead", "behind", "at is of a clock an hour ahead"])
async def test_no_commit_is_missing_of_hosts_whose_clocks_are_apart(serving, hub, place):
    offs_us = {"ahead": commits.CLOCKS_US - 1_000_000, "behind": 1_000_000 - commits.OVERLAP_US}
    await commit(serving, [{"price": "1"}])
    async with serving.socket() as socket:
        told = await numbered(socket, serving)
    with clock_off(offs_us.get(place, 0)):
        await commit(serving, [{"price": "2"}])
    at = told["at"] if place in offs_us else jsontext.time(time.time_ns() // 1000 + HOUR_US)
    async with serving.socket() as socket:
        await socket.enter(serving)
        since = {"epoch": "another", "o": told["o"], "at": at}
        await socket.say(action="subscribe", trades=["*"], seq=True, **{"from": since})
        heard = await socket.until("replay_completed")

    assert sorted(prices(heard)) == [1, 2]


@pytest.mark.once
async def test_who_comes_to_a_new_process_at_the_same_time_waits_for_one_look_at_redis(serving, settings, monkeypatch):
    await commit(serving, [{}, {}])
    own, looks, newest_entries = Hub(settings.REDIS_URL, grace_us=0), [], feeds.newest_entries

    async def counted(*given, **more):
        looks.append(given)
        return await newest_entries(*given, **more)

    monkeypatch.setattr(feeds, "newest_entries", counted)
    together = [Subscriber("krx", SendQueue(Form(), max_bytes=1 << 20)) for _ in range(5)]
    try:
        joined = await asyncio.gather(*(own.join(one) for one in together))
    finally:
        await own.close()

    assert [channel.delivered for channel in joined] == [2] * 5
    assert len(looks) <= 2  # one for them, one of the reader


@pytest.mark.once
async def test_who_comes_back_at_the_same_time_is_given_what_was_read_once(serving, settings, monkeypatch):
    for number in range(1, 4):
        await commit(serving, [{"price": str(number)}])
    (first, *_) = await beside(lambda: list(IngestBatch.objects.order_by("batch")))
    own, channel = Hub(settings.REDIS_URL, grace_us=0), Channel("krx", grace_us=0)
    together = [Subscriber("krx", SendQueue(Form(numbered=True), max_bytes=1 << 20)) for _ in range(5)]
    reads, read = [], commits.read

    def counted(*place):
        reads.append(place)
        return read(*place)

    monkeypatch.setattr(commits, "read", counted)
    monkeypatch.setattr(stored_pages, "KEEP_CUT_S", 3600.0)
    since = From(epoch="another", o=0, at=datetime.fromtimestamp(first.committed_us / 1e6, UTC))
    try:
        own.epoch = await feeds.epoch(own.commands)
        channel.delivered = 3
        for one in together:
            one.add({"trades": ["*"]}, most=1, room=1)
        await asyncio.gather(*(replay.Replay(own, channel, one).run(since) for one in together))
    finally:
        await own.close()
    heard = [json.loads(encoding.frame(one.form, one.send_queue.take(1 << 20))) for one in together]

    assert [prices(messages) for messages in heard] == [[1, 2, 3]] * 5
    assert len(reads) == len(set(reads)) == 2  # the trades, and that there are no more


async def test_who_was_away_is_told_the_candles_that_closed_and_changed_meanwhile(serving, hub):
    async with serving.socket() as socket:
        await commit(serving, [minute(0), minute(2)])
        told = await numbered(socket, serving)
    await commit(serving, [minute(1), minute(0, price="7")])
    await commit(serving, [minute(4)])
    async with serving.socket() as socket:
        await socket.enter(serving)
        place = {"from": {"epoch": told["epoch"], "o": told["o"]}}
        await socket.say(action="subscribe", bars=["*"], updatedBars=["*"], seq=True, **place)
        heard: set[tuple[Any, ...]] = set()
        while len(heard) < 3:
            message = await socket.next()
            if message["T"] in ("b", "u"):
                heard.add((message["T"], message["t"][14:16], message["n"]))

    assert heard == {("b", "01", 1), ("b", "02", 1), ("u", "00", 2)}


@pytest.mark.once
async def test_a_slow_socket_is_closed_with_its_code_and_slows_nobody(serving, hub, settings):
    settings.WS_OUTBOX_BYTES = 1 << 14
    async with serving.socket() as slow:
        await slow.enter(serving)
        await slow.subscribe(trades=["*"])
        stop()
        settings.WS_OUTBOX_BYTES = 1 << 20
        async with serving.socket() as brisk:
            await numbered(brisk, serving)
            for batch in range(10):
                await commit(serving, [{"price": str(1 + batch * 100 + number)} for number in range(100)])
            heard: list[dict[str, Any]] = []
            while len(prices(heard)) < 1000:
                heard.append(await brisk.next())
            said, code = await slow.closed()

    assert prices(heard) == list(range(1, 1001))
    assert (said[-1]["code"], code) == (407, 4407)


@pytest.mark.once
async def test_a_socket_that_cannot_be_sent_to_is_closed(serving, hub, monkeypatch, caplog):
    async with serving.socket() as socket:
        await numbered(socket, serving)

        def broken(*_):
            raise ValueError("cannot be told")

        with monkeypatch.context() as once:
            once.setattr("api.stream.encoding.frame", broken)
            await commit(serving, [{"price": "1"}])
            _, code = await socket.closed()

    assert code == 4500
    assert "nothing more can be sent" in caplog.text
    assert not any(one.live for one in hub.everybody())


async def test_a_slow_socket_that_prefers_gaps_is_told_which_trades_it_missed(serving, hub, settings):
    settings.WS_OUTBOX_BYTES = 1 << 14
    async with serving.socket() as slow:
        await numbered(slow, serving, slow="gap")
        (one,) = hub.everybody()
        go_on = stop()
        for batch in range(10):
            await commit(serving, [{"price": str(1 + batch * 100 + number)} for number in range(100)])
        while hub.channel("krx").delivered < 1000:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.02)
        assert one.send_queue.bytes <= 1 << 15
        go_on()
        heard = await slow.until("gap")
        await commit(serving, [{"price": "2000"}])
        heard += await slow.until("t")

    missed = {o for message in heard if message["T"] == "gap" for o in range(message["from"], message["to"] + 1)}
    given = [message["o"] for message in heard if message["T"] == "t"]
    assert missed
    assert sorted([*missed, *given]) == list(range(1, 1002))
    assert given == sorted(given)


def stop():
    """Let the network below the only socket be full; the answer lets it go on."""
    (subscriber,) = shared.shared()[1].inside
    subscriber.flow_control.pauseProducing()
    return subscriber.flow_control.resumeProducing
