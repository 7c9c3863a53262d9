import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from api.stream import encoding
from api.stream.channel import Channel, give_newest_quotes
from api.stream.encoding import Form
from api.stream.send_queue import SendQueue
from api.stream.subscriber import Subscriber
from marketdata.realtime.feed import FeedEntry
from marketdata.types import tick_arrays
from tests import market
from tests.market import MINUTE_US, NINE_US

CODES = ("000660", "005930", "035420")
QUOTES = (("005930", "1"), ("000660", "2"), ("005930", "3"))


def subscriber(*, numbered=False, forming=False, **channels):
    one = Subscriber("krx", SendQueue(Form(numbered=numbered), max_bytes=10**7), live=True, forming=forming)
    one.add({name: list(codes) for name, codes in channels.items()}, most=100, room=100)
    return one


def entry(rows, first=1):
    ticks = market.ticks([{"tick_id": market.tick_id(1, index), **row} for index, row in enumerate(rows)])
    return FeedEntry(
        feed="krx", first=first, last=first + len(rows) - 1, committed_us=1, ticks=ticks,
        packed=tick_arrays.pack(ticks), bars=candles.build(ticks),
    )  # fmt: skip


def channel(*subscribers):
    made = Channel("krx", grace_us=0)
    made.subscribers.update(subscribers)
    return made


def messages(one):
    return [
        message for piece in one.send_queue.take(10**9) for message in json.loads(encoding.frame(one.form, [piece]))
    ]


def test_each_socket_gets_the_trades_of_its_symbols():
    one, everything = subscriber(trades=["005930"]), subscriber(trades=["*"])

    channel(one, everything).deliver(entry([{"symbol": code} for code in CODES]), NINE_US)

    assert [message["S"] for message in messages(one)] == ["005930"]
    assert sorted(message["S"] for message in messages(everything)) == list(CODES)


def test_offsets_count_every_tick_of_the_feed():
    one = subscriber(numbered=True, trades=["*"])

    channel(one).deliver(entry([{}, {"kind": 2}, {}], first=41), NINE_US)

    assert [message["o"] for message in messages(one)] == [41, 43]


@given(
    st.lists(st.sampled_from(CODES), min_size=1, max_size=400),
    st.sets(st.sampled_from([*CODES, "*"]), min_size=1),
    st.integers(0, 400),
)
def test_a_numbered_socket_gets_what_is_new_to_it_in_strict_order(codes, wanted, after):
    one = subscriber(numbered=True, trades=wanted)
    one.after = after

    channel(one).deliver(entry([{"symbol": code} for code in codes]), NINE_US)

    expected = [
        (offset, code) for offset, code in enumerate(codes, 1) if offset > after and (code in wanted or "*" in wanted)
    ]
    assert [(message["o"], message["S"]) for message in messages(one)] == expected


def test_who_is_not_live_gets_nothing():
    one = subscriber(trades=["*"], quotes=["*"], bars=["*"])
    one.live = False
    made = channel(one)

    made.deliver(entry([{}]), NINE_US)
    asyncio.run(made.announce(database({}), NINE_US + MINUTE_US))

    assert messages(one) == []
    assert made.delivered == 1


def test_quotes_go_to_those_who_want_quotes():
    one = subscriber(quotes=["005930"])
    rows = [{"kind": 2, "bid": market.price(text), "ask": market.price("71000")} for text in ("70000", "70100")]

    channel(one).deliver(entry([*rows, {"kind": 2, "symbol": "000660"}]), NINE_US)

    assert [(message["T"], message["bp"]) for message in messages(one)] == [("q", 70000), ("q", 70100)]


def database(*rows):
    """A database that has the candles of these trades."""

    async def read(feed, reading):
        found = candles.build(market.ticks([{"tick_id": market.tick_id(1, at), **row} for at, row in enumerate(rows)]))
        return found.take((found.time_us >= reading.start_us) & (found.time_us < reading.end_us))

    return read


def test_who_comes_back_is_given_the_newest_quote_of_each_symbol():
    one, two = subscriber(quotes=["*"]), subscriber(quotes=["005930"])
    rows = [{}, *({"kind": 2, "symbol": code, "bid": market.price(bid)} for code, bid in QUOTES)]

    for listener in (one, two):
        give_newest_quotes(entry(rows).ticks, listener)

    assert [(message["S"], message["bp"]) for message in messages(one)] == [("005930", 3), ("000660", 2)]
    assert [(message["S"], message["bp"]) for message in messages(two)] == [("005930", 3)]


def test_a_closed_candle_goes_out_once_and_a_late_tick_corrects_it():
    one, plain = subscriber(bars=["005930"], updatedBars=["005930"]), subscriber(bars=["*"])
    made = channel(one, plain)
    made.deliver(entry([{}]), NINE_US)

    asyncio.run(made.announce(database({}), NINE_US + MINUTE_US))
    asyncio.run(made.announce(database({}), NINE_US + MINUTE_US + 1))
    later = [{}, {"price": market.price("71000")}]
    made.deliver(entry(later, first=2), NINE_US + 2 * MINUTE_US)
    asyncio.run(made.announce(database(*later), NINE_US + 2 * MINUTE_US))

    assert [(m["T"], m["x"], m["n"], m["c"]) for m in messages(one)] == [("b", True, 1, 70000), ("u", True, 2, 71000)]
    assert [(m["T"], m["n"]) for m in messages(plain)] == [("b", 1)]


def test_a_database_that_fails_delays_candles_and_nothing_is_lost():
    one = subscriber(bars=["*"])
    made = channel(one)
    made.deliver(entry([{}]), NINE_US)

    async def failing(feed, reading):
        raise OSError("gone")

    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            asyncio.run(made.announce(failing, NINE_US + MINUTE_US))
    assert messages(one) == []
    asyncio.run(made.announce(database({}), NINE_US + MINUTE_US))
    assert [message["n"] for message in messages(one)] == [1]


def test_who_replays_gets_candles_but_no_trades_of_the_hub():
    one = subscriber(trades=["*"], bars=["*"])
    one.live, one.replaying = False, True
    made = channel(one)
    made.deliver(entry([{}]), NINE_US)
    asyncio.run(made.announce(database({}), NINE_US + MINUTE_US))

    assert [message["T"] for message in messages(one)] == ["b"]


def test_who_is_being_closed_does_not_go_live_any_more():
    one = subscriber(trades=["*"])
    one.end(406, "enough")
    one.go_live(0)
    channel(one).deliver(entry([{}]), NINE_US)

    assert [message["T"] for message in messages(one)] == ["error"]


def test_the_forming_candle_is_for_those_who_asked():
    one, plain = subscriber(forming=True, bars=["*"]), subscriber(bars=["*"])
    made = channel(one, plain)

    made.deliver(entry([{}]), NINE_US)
    asyncio.run(made.announce(database({}), NINE_US))
    made.give_forming()

    assert [(message["T"], message["x"]) for message in messages(one)] == [("b", False)]
    assert messages(plain) == []


def test_more_corrections_than_can_be_read_are_told(monkeypatch):
    monkeypatch.setattr("api.stream.candles.MOST_CHANGED", 0)
    one = subscriber(updatedBars=["*"])
    made = channel(one)
    made.deliver(entry([{"time_us": NINE_US + 5 * MINUTE_US}]), NINE_US + 5 * MINUTE_US)
    asyncio.run(made.announce(database({}), NINE_US + 5 * MINUTE_US))
    made.deliver(entry([{}], first=2), NINE_US + 5 * MINUTE_US)
    asyncio.run(made.announce(database({}), NINE_US + 5 * MINUTE_US))

    assert [(message["code"], message["o"]) for message in messages(one)] == [(461, 2)]
