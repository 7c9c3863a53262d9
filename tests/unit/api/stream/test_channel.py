import json

from hypothesis import given
from hypothesis import strategies as st

from analytics import candles
from api.stream import encoding
from api.stream.channel import Channel
from api.stream.encoding import Form
from api.stream.outbox import Outbox
from api.stream.subscriber import Subscriber
from marketdata.feed import FeedEntry
from tests import market
from tests.market import MINUTE_US, NINE_US

CODES = ("000660", "005930", "035420")


def subscriber(*, numbered=False, forming=False, **channels):
    one = Subscriber("krx", Outbox(Form(numbered=numbered), max_bytes=10**7), live=True, forming=forming)
    one.add((name, list(codes)) for name, codes in channels.items())
    return one


def entry(rows, first=1):
    ticks = market.ticks([{"tick_id": market.tick_id(1, index), **row} for index, row in enumerate(rows)])
    return FeedEntry(
        feed="krx", first=first, last=first + len(rows) - 1, committed_us=1, ticks=ticks, bars=candles.build(ticks)
    )


def channel(*subscribers):
    made = Channel("krx", grace_us=0)
    made.subscribers.update(subscribers)
    return made


def messages(one):
    return [message for piece in one.outbox.take(10**9) for message in json.loads(encoding.frame(one.form, [piece]))]


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
    made.close_bars(NINE_US + MINUTE_US)

    assert messages(one) == []
    assert made.delivered == 1


def test_quotes_go_to_those_who_want_quotes():
    one = subscriber(quotes=["005930"])
    rows = [{"kind": 2, "bid": market.price(text), "ask": market.price("71000")} for text in ("70000", "70100")]

    channel(one).deliver(entry([*rows, {"kind": 2, "symbol": "000660"}]), NINE_US)

    assert [(message["T"], message["bp"]) for message in messages(one)] == [("q", 70000), ("q", 70100)]


def test_a_closed_candle_goes_out_once_and_a_late_tick_corrects_it():
    one, plain = subscriber(bars=["005930"], updatedBars=["005930"]), subscriber(bars=["*"])
    made = channel(one, plain)
    made.deliver(entry([{}]), NINE_US)

    made.close_bars(NINE_US + MINUTE_US)
    made.close_bars(NINE_US + MINUTE_US + 1)
    made.deliver(entry([{}, {"price": market.price("71000")}], first=2), NINE_US + 2 * MINUTE_US)

    assert [(m["T"], m["x"], m["n"], m["c"]) for m in messages(one)] == [("b", True, 1, 70000), ("u", True, 2, 71000)]
    assert [(m["T"], m["n"]) for m in messages(plain)] == [("b", 1)]


def test_the_forming_candle_is_for_those_who_asked():
    one, plain = subscriber(forming=True, bars=["*"]), subscriber(bars=["*"])
    made = channel(one, plain)

    made.deliver(entry([{}]), NINE_US)
    made.give_forming()

    assert [(message["T"], message["x"]) for message in messages(one)] == [("b", False)]
    assert messages(plain) == []


def test_what_was_before_anybody_listened_is_known_and_not_told():
    one = subscriber(bars=["*"])
    made = channel(one)

    made.prepare([entry([{}])], NINE_US)
    assert messages(one) == []
    made.close_bars(NINE_US + MINUTE_US)

    assert [message["n"] for message in messages(one)] == [1]
