"""Order books and statuses on the stream are those that were committed and that REST has; candles that were made anew
are told."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from analytics.integrity import repair
from api.stream import channel, replay, stored
from marketdata.ledger import commits
from marketdata.models import Symbol
from marketdata.storage.base import MINUTES
from tests import market
from tests.integration.processing import clock_off, process
from tests.integration.serving import SEOUL_DAY, beside, commit, hub, minute, serving
from tests.integration.test_worker_records import book, books, event, events
from tests.market import NINE_US

__all__ = ["hub", "serving"]


async def test_the_order_book_that_was_told_last_is_that_of_rest_and_statuses_come_as_they_were_told(serving, hub):
    async def heard_book(socket):
        """Waits until what is told is what REST says."""
        expected = await beside(lambda: serving.read("/v2/orderbooks/latest", symbols="005930")["orderbooks"]["005930"])
        while (await socket.until("o"))[-1] != {"T": "o", "S": "005930", **expected, "r": True}:
            pass
        return expected["b"]

    async with serving.socket() as socket:
        await socket.enter(serving)
        await commit(serving, [{}])
        await beside(lambda: process(books(book(), seq=101)))
        await socket.subscribe(orderbooks=["005930"], statuses=["*"])
        first = await heard_book(socket)
        await beside(
            lambda: process(
                books(book(time_us=NINE_US + 1, bids=((6_980_000_000_000, 1_000_000),)), seq=102),
                events(
                    event(event="halt", body={"halted": True}), event(event="index", symbol=None),
                    event(event="market_status", symbol=None, body={"state": "open"}), seq=103,
                ),
            )
        )  # fmt: skip
        told = [(await socket.until("s"))[-1] for _ in range(2)]
        await beside(lambda: process(books(book(time_us=NINE_US + 2), seq=104)))
        last = await heard_book(socket)

    assert [level["p"] for level in first] == [level["p"] for level in last] == [70000, 69900]
    assert [(one["S"], one["sc"], one["type"], one["body"]) for one in told] == [
        ("005930", "H", "halt", {"halted": True}), ("", "", "market_status", {"state": "open"}),
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["in redis", "in redis, without at", "another redis"])
async def test_who_was_away_is_told_the_statuses_that_were_committed_meanwhile(serving, hub, monkeypatch, place):
    monkeypatch.setattr(replay, "OVERLAP_US", 0)
    monkeypatch.setattr(stored, "PAGE_STATUSES", 2)

    def tell(seq, *given):
        return beside(lambda: process(events(*(event(time_us=NINE_US + at, **one) for at, one in given), seq=seq)))

    await tell(101, (0, {"event": "halt", "body": {"halted": True}}))
    await commit(serving, [{}])
    async with serving.socket() as socket:
        await socket.enter(serving)
        told = await socket.subscribe(statuses=["*"], seq=True)
    since = {"epoch": told["epoch"], "o": told["o"], "at": told["at"]}
    if place == "another redis":
        since["epoch"] = "another"
    elif place == "in redis, without at":
        del since["at"]
    closes = {"event": "market_status", "symbol": None, "body": {"state": "closed"}}
    await tell(102, (1, {"event": "halt", "body": {}}), (2, {"event": "index", "symbol": None}), (3, closes))
    await tell(103, (4, {"event": "vi", "symbol": "000660", "body": {"vi": "1"}}), (2, {"event": "halt", "body": {}}))

    heard = {}
    for codes in (["*"], ["005930"]):
        async with serving.socket() as socket:
            await socket.enter(serving)
            await socket.say(action="subscribe", statuses=codes, seq=True, **{"from": since})
            until = await socket.until("replay_completed")
            heard[codes[0]] = [(one["S"], one["sc"], one["t"][-3:-1]) for one in until if one["T"] == "s"]

    assert heard["*"] == [("005930", "T", "01"), ("005930", "T", "02"), ("", "", "03"), ("000660", "P", "04")]
    assert heard["005930"] == heard["*"][:2]


async def test_a_status_that_a_host_committed_whose_clock_is_ahead_is_told_to_who_was_away(serving, hub):
    await commit(serving, [{}])
    async with serving.socket() as socket:
        await socket.enter(serving)
        told = await socket.subscribe(statuses=["*"], seq=True)
    with clock_off(commits.CLOCKS_US - 1_000_000):
        await beside(lambda: process(events(event(event="halt", time_us=NINE_US, body={"halted": True}), seq=101)))
    async with serving.socket() as socket:
        await socket.enter(serving)
        since = {"epoch": told["epoch"], "o": told["o"], "at": told["at"]}
        await socket.say(action="subscribe", statuses=["*"], seq=True, **{"from": since})
        heard = await socket.until("replay_completed")

    assert [one["sc"] for one in heard if one["T"] == "s"] == ["H"]


async def test_the_price_limits_of_the_day_are_told_and_told_again_when_they_are_others(serving, hub, monkeypatch):
    monkeypatch.setitem(channel.NEWEST, "lulds", (50_000, 500))
    today = datetime.date.fromisoformat(SEOUL_DAY)
    monkeypatch.setattr(stored, "date_now", {"KRX": today}.__getitem__)

    def keep(lower, upper, date=today):
        of = Symbol.objects.filter(code="005930")
        of.update(lower_limit=market.price(lower), upper_limit=market.price(upper), limits_on=date)

    async with serving.socket() as socket:
        await socket.enter(serving)
        await beside(lambda: keep("49000", "91000"))
        assert (await socket.subscribe(lulds=["005930", "000660"]))["lulds"] == ["000660", "005930"]
        first = (await socket.until("l"))[-1]
        await beside(lambda: keep("1", "2", today - datetime.timedelta(days=1)))
        await commit(serving, [minute(0)])
        await beside(lambda: keep("35000", "65000.5"))
        await commit(serving, [minute(1)])
        second = (await socket.until("l"))[-1]

    assert first == {
        "T": "l", "S": "005930", "u": 91000, "d": 49000, "i": "", "z": "", "x": "krx", "td": SEOUL_DAY,
        "t": "2026-03-15T15:00:00.000000Z",
    }  # fmt: skip
    assert (second["d"], second["u"]) == (35000, Decimal("65000.5"))


async def test_candles_that_were_made_anew_are_told(serving, hub):
    def harm():
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {MINUTES} SET n = n + 1 WHERE symbol = '005930'")

    def rest():
        return serving.read("/v2/stocks/bars", symbols="005930", timeframe="1Min")["bars"]["005930"][0]

    async with serving.socket() as socket:
        await socket.enter(serving)
        await commit(serving, [minute(0), minute(2)])
        await beside(harm)
        await socket.subscribe(updatedBars=["*"], dailyBars=["005930"])
        assert (await socket.until("d"))[-1]["n"] == 4
        await beside(lambda: repair.rebuild_candles(datetime.date.fromisoformat(SEOUL_DAY)))
        bar = await beside(rest)
        told: dict[str, Any] = {}
        while told.keys() != {"d", "u"}:
            message = await socket.next()
            if message["T"] == "d" or message["t"] == bar["t"]:
                told[message["T"]] = message

    assert (told["d"]["n"], told["u"]["n"], told["u"]["rev"]) == (2, 1, bar["rev"])
    assert {name: told["u"][name] for name in ("t", "o", "h", "l", "c", "v", "n")} == {
        name: bar[name] for name in ("t", "o", "h", "l", "c", "v", "n")
    }


async def test_where_a_symbol_stands_is_told_to_who_asks_and_to_nobody_else(serving, hub):
    async with serving.socket() as socket, serving.socket() as other:
        await socket.enter(serving)
        await other.enter(serving)
        await commit(serving, [{}])
        await other.subscribe(trades=["000660"])
        listed = await socket.subscribe(trades=["005930"], quotes=["*"], bars=["000660"], snapshot=True)
        told = [(await socket.until("snapshot"))[-1] for _ in range(2)]
        expected = await beside(lambda: serving.read("/v2/stocks/snapshots", symbols="005930,000660", feed="krx"))
        await socket.subscribe(trades=["000660"])
        await commit(serving, [{"symbol": "000660"}])
        later = await socket.until("t")
        others = await other.until("t")

    assert (listed["trades"], listed["quotes"]) == (["005930"], ["*"])
    assert told == [{"T": "snapshot", "S": symbol, **expected[symbol]} for symbol in ("000660", "005930")]
    assert told[1]["latestTrade"]["p"] == 70000
    assert "snapshot" not in [one["T"] for one in (*later, *others)]
