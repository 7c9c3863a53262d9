"""Candles on the stream are those of REST: the first one told, and the last one told, whoever comes when and whatever
is late, shared by two trading dates, or missed of the feed."""

import asyncio
import datetime
import random

import pytest
from django.db import connection, connections
from prometheus_client import REGISTRY

from analytics import voids
from analytics.voids import Selection
from api.stream import channel, shared
from api.stream.candles import Reading
from api.stream.hub import Hub
from api.stream.task_cancellation import end
from marketdata.realtime import feed, live_state
from marketdata.types.tick_arrays import batch_number
from tests.integration.serving import CODES, PATIENCE_S, SEOUL_DAY, beside, commit, hub, minute, serving
from tests.market import MINUTE_US, NINE_US
from tests.waiting import until

__all__ = ["hub", "serving"]

FIELDS = ("o", "h", "l", "c", "v", "n", "vw", "rev", "td")
OTHER_DAY = "2026-03-17"


_under_way: list[Reading] = []


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr("api.stream.hub.BEAT_S", 0.01)


@pytest.fixture(autouse=True)
def readings(monkeypatch):
    """What is being read from the database is in `_under_way` until it was told."""
    read = Hub._candles

    async def noted(self, name, reading):
        _under_way.append(reading)
        try:
            return await read(self, name, reading)
        finally:
            _under_way.remove(reading)

    _under_way.clear()
    monkeypatch.setattr(Hub, "_candles", noted)


def candle(message):
    return tuple(message[name] for name in FIELDS)


async def by_rest(serving):
    """Every minute candle as REST has it now."""

    def read():
        pages = serving.pages("/v2/stocks/bars", "bars", symbols=",".join(CODES), limit=10_000)
        return {(symbol, bar["t"]): candle(bar) for symbol, bar in pages}

    return await beside(read)


async def settled(name="krx"):
    """Returns when everything that was published is handed out, and every candle that is due was read and told."""
    the_hub, limits = shared.shared()
    if not limits.inside:
        return

    async def ready():
        channel, last = the_hub.channel(name), (await feed.bounds(the_hub.commands, name))[1]
        if the_hub.epoch != await feed.epoch(the_hub.commands):
            return False
        candles = channel.candles
        behind = (channel.delivered or 0) < last or the_hub.away or _under_way
        due = candles._ending or candles._changed or candles._check or not (candles._opened or not channel.watched())
        return not behind and not due and not any(one.send_queue.bytes for one in limits.inside)

    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await ready():  # twice, with a beat between: the next one may find more to do
                await asyncio.sleep(0.05)
                if await ready():
                    return
            await asyncio.sleep(0.01)


class Listener:
    """One socket, and what it was told."""

    def __init__(self, socket, codes, joined):
        self.socket, self.codes, self.joined = socket, codes, joined
        self.first, self.last = {}, {}

    async def hear(self, states):
        """Take what was told since the database had the first of these states: a first `b` is one of them, and what
        was told last is the last of them."""
        while not await self.socket.silent(0.02):
            message = await self.socket.next()
            if message["T"] not in ("b", "u"):
                continue
            key = (message["S"], message["t"])
            assert message["x"] is True
            if message["T"] == "b":
                assert key not in self.first, "told twice"
                assert candle(message) in [state.get(key) for state in states]
                self.first[key] = candle(message)
            self.last[key] = candle(message)
        for key, told in self.last.items():
            assert told == states[-1][key], key


def trades(chance, current):
    """A few trades about the current minute, some of them late, some of a trading date that a source gave itself."""
    rows = []
    for _ in range(chance.randint(1, 6)):
        late = chance.choice([0, 0, 0, 0, 1, 2, 5, 40]) if chance.random() < 0.6 else 0
        at = NINE_US + max(current - late, 0) * MINUTE_US + chance.randrange(MINUTE_US)
        row = {"symbol": chance.choice(CODES), "time": at, "price": str(chance.randint(1, 999)), "size": "2"}
        if chance.random() < 0.2:
            row["trade_date"] = chance.choice([SEOUL_DAY, OTHER_DAY])
        rows.append(row)
    return rows


async def trim():
    """Everything but the newest entry was overwritten while the hub read nothing."""
    await asyncio.to_thread(live_state.connection().xtrim, feed.STREAM + "krx", maxlen=1, approximate=False)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.once) for seed in range(1, 4))])
async def test_what_is_told_of_closed_candles_is_what_rest_says(serving, hub, monkeypatch, seed):
    chance = random.Random(seed)
    monkeypatch.setattr("api.stream.hub.LINGER_S", chance.choice([0.0, 30.0]))
    shared.shared()[1].most_per_key = 100
    listeners: list[Listener] = []
    states: list[dict[tuple[str, str], tuple[object, ...]]] = [{}]
    current = 50

    async def trade():
        await commit(serving, trades(chance, current))
        states.append(await by_rest(serving))

    try:
        for step in range(40):
            if chance.random() < 0.15 or step == 25:
                codes = chance.choice([["*"], ["005930"], ["000660", "035420"]])
                socket = await serving.socket().__aenter__()
                listeners.append(Listener(socket, codes, current))
                await socket.enter(serving)
                await socket.subscribe(bars=codes, updatedBars=codes)
            fault = chance.random()
            if fault < 0.08 and listeners:
                await end(hub._reading)
                for _ in range(3):
                    await trade()
                await trim()
                hub._reading = asyncio.create_task(hub._read())
            elif fault < 0.12 and listeners:
                await asyncio.to_thread(live_state.connection().flushall)
            elif fault < 0.2 and listeners:
                await listeners.pop(chance.randrange(len(listeners))).socket.__aexit__()
            await trade()
            await settled()
            for one in listeners:
                await one.hear(states)
            states = states[-1:]
            current += chance.choice([0, 0, 1, 1, 2])
        await commit(serving, [minute(current + 3)])
        states.append(await by_rest(serving))
        await settled()
        owed = 0
        for one in listeners:
            await one.hear(states)
            for symbol, at in states[-1]:
                if one.joined < _minute(at) <= current + 1 and ("*" in one.codes or symbol in one.codes):
                    owed += 1
                    assert (symbol, at) in one.last
        assert owed or not listeners
    finally:
        for one in listeners:
            await one.socket.__aexit__()


@pytest.mark.once
async def test_the_first_who_listens_is_told_whole_candles(serving, hub):
    for number in range(250):
        await commit(serving, [minute(0, symbol=CODES[number % 3], price=str(number + 1))])
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.subscribe(bars=["*"], updatedBars=["*"])
        await commit(serving, [minute(2)])
        listener = Listener(socket, ["*"], 0)
        await settled()
        await listener.hear([await by_rest(serving)])

    assert sorted(told[FIELDS.index("n")] for told in listener.first.values()) == [83, 83, 84]


async def test_who_comes_while_the_hub_goes_to_rest_gets_every_trade_once(serving, hub, monkeypatch, caplog):
    monkeypatch.setattr("api.stream.hub.LINGER_S", 0.0)
    for number in range(15):
        async with serving.socket() as socket:
            await socket.enter(serving)
            joining = asyncio.create_task(socket.subscribe(trades=["*"]))
            await commit(serving, [{"price": "1"}])  # whether it hears this one depends on who was first
            await joining
            await commit(serving, [{"price": str(number + 2)}])
            heard = [message["p"] for message in await socket.until("t")]
            if heard == [1]:
                heard += [message["p"] for message in await socket.until("t")]
            assert heard in ([number + 2], [1, number + 2])
            assert await socket.silent(0.05)
        await asyncio.sleep(0.02 * (number % 3))

    assert not [record for record in caplog.records if record.exc_info]


async def test_candles_that_cannot_be_read_are_told_once_while_another_feed_is_well(serving, hub, caplog, tmp_path):
    def unread():
        return REGISTRY.get_sample_value("naru_stream_candles_unread_total") or 0.0

    database = connections.settings["default"]
    async with serving.socket() as socket, serving.socket("nxt") as other:
        for one in (socket, other):
            await one.enter(serving)
            await one.subscribe(bars=["*"], updatedBars=["*"])
        await commit(serving, [minute(0)])
        await commit(serving, [minute(2)])
        await socket.until("b")
        await commit(serving, [minute(2)], name="nxt")
        await settled()
        name, before = database["NAME"], unread()
        database["NAME"] = str(tmp_path / "not/there") if connection.vendor == "sqlite" else "not_there"
        try:
            await hub.database.close()  # its next connection is to a database that is not there
            hub._channels["krx"].candles.missed()
            await asyncio.to_thread(until, lambda: unread() >= before + 6, seconds=60, what="readings that fail")
        finally:
            database["NAME"] = name
        await commit(serving, [minute(4)])
        assert (await socket.until("b"))[-1]["T"] == "b"

    (line,) = (record for record in caplog.records if "candles cannot be read yet" in record.message)
    assert "feed=krx" in line.message
    assert not line.exc_info


def _minute(text):
    moment = datetime.datetime.fromisoformat(text)
    return (int(moment.timestamp()) * 1_000_000 - NINE_US) // MINUTE_US


async def test_the_day_that_was_told_last_is_that_of_rest_after_a_late_trade_and_a_void(serving, hub, monkeypatch):
    monkeypatch.setitem(channel.NEWEST, "dailyBars", (50_000, 200))

    def void():
        voids.void(Selection(batches=(batch_number(1, 2),), end_us=NINE_US + MINUTE_US), reason="wrong", by="boss")
        voids.announce()

    async def days(socket, others):
        """What is told last is what REST says; what only it says is whether rows are missing."""
        expected = await beside(lambda: serving.read("/v2/stocks/snapshots", symbols="005930")["005930"]["dailyBar"])
        expected.pop("gap", None)
        while True:
            told = (await socket.until("d"))[-1]
            if told == {"T": "d", "S": "005930", **expected}:
                return told["n"]
            assert told["n"] in others

    async with serving.socket() as socket:
        await socket.enter(serving)
        await commit(serving, [minute(2, price="70000")])
        await socket.subscribe(dailyBars=["005930"])
        counts = [await days(socket, ())]
        await commit(serving, [minute(0, price="90000"), minute(0, symbol="000660")])
        counts.append(await days(socket, (1,)))
        await beside(void)
        counts.append(await days(socket, (2,)))
        assert await socket.silent()

    assert counts == [1, 2, 1]
