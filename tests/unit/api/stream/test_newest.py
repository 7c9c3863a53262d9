"""Which days and order books are read and told: what changed, each symbol at intervals, nothing twice; and statuses."""

import asyncio
import json
from dataclasses import replace

import msgpack
import pytest

from analytics.series import candles
from api.stream import channel as channels
from api.stream import encoding
from api.stream.candles import rows_of
from api.stream.encoding import Form
from api.stream.newest import Newest
from marketdata.realtime import records_feed, stats
from marketdata.realtime.records_feed import Notice
from marketdata.types.order_books import MarketEvent, OrderBook
from tests import market
from tests.market import NINE_US
from tests.unit.api.stream.test_channel import channel, entry, messages, subscriber

SECOND_US = 1_000_000
BOOK = OrderBook(
    symbol="005930", feed="krx", source_id=4, time_us=NINE_US, tick_id=7, trade_date=20_528,
    bids=(("70000", "5"), ("69900.12345678", "7.5")), asks=(("90071992547.40993", "3"),), mid_price=7_005_000_000_000,
)  # fmt: skip


class Database:
    """Has these trades, a day is the candle of its symbol, and these order books."""

    def __init__(self, *rows):
        self.rows, self.books, self.asked, self.over = list(rows), {}, [], False

    async def read(self, name, feed, symbols):
        self.asked.append(sorted(symbols))
        if name == "orderbooks":
            return {symbol: self.books[symbol] for symbol in symbols if symbol in self.books}
        rows = [{"tick_id": market.tick_id(1, at), **row} for at, row in enumerate(self.rows)]
        made = rows_of(candles.build(market.ticks(rows)))
        return {row[0]: (row, self.over) for row in made if row[0] in symbols}


def told(one):
    return [(message["T"], message["S"], message["n"], message["x"]) for message in messages(one)]


def test_a_day_is_told_when_it_changed_and_at_most_once_a_second():
    one, everything = subscriber(dailyBars=["005930"]), subscriber(dailyBars=["*"])
    made, database = channel(one, everything), Database({}, {"symbol": "000660"})

    def beat(now_us):
        asyncio.run(made.announce_newest(database.read, now_us))

    made.deliver(entry([{}, {"symbol": "000660"}]), NINE_US)
    beat(NINE_US)
    assert told(one) == [("d", "005930", 1, False)]
    assert sorted(told(everything)) == [("d", "000660", 1, False), ("d", "005930", 1, False)]

    for at in (1, 2):
        database.rows.append({})
        made.deliver(entry([{}], first=2 + at), NINE_US)
        beat(NINE_US + at)
    assert told(one) == []
    beat(NINE_US + SECOND_US)
    assert told(one) == told(everything) == [("d", "005930", 3, False)]

    made.deliver(entry([{"kind": 2, "bid": 1}], first=5), NINE_US)
    made.deliver(entry([{}], first=6), NINE_US)  # of another trading date, say: the newest day is the same
    beat(NINE_US + 2 * SECOND_US)
    assert told(one) == []
    assert database.asked == [["000660", "005930"], ["005930"], ["005930"]]


def test_who_names_a_symbol_is_told_its_day_at_once_and_when_the_feed_was_missed_it_is_compared():
    one = subscriber(dailyBars=["005930", "*"])
    made, database = channel(one), Database({})
    for at in range(2):  # the second time it is known, and told all the same
        made.retell({"dailyBars": ["005930", "*"], "orderbooks": [], "stats": [], "lulds": []})
        asyncio.run(made.announce_newest(database.read, NINE_US + at * SECOND_US))
        assert told(one) == [("d", "005930", 1, False)]

    made.missed(7)
    asyncio.run(made.announce_newest(database.read, NINE_US + 2 * SECOND_US))
    assert told(one) == []
    database.over = True
    made.missed(8)
    asyncio.run(made.announce_newest(database.read, NINE_US + 3 * SECOND_US))
    assert told(one) == [("d", "005930", 1, True)]


def test_what_cannot_be_read_stays_due_and_many_are_read_in_turn(monkeypatch):
    monkeypatch.setitem(channels.NEWEST, "dailyBars", (SECOND_US, 2))
    one, codes = subscriber(dailyBars=["*"]), ["000660", "005930", "035420"]
    made, database = channel(one), Database(*({"symbol": code} for code in codes))
    made.deliver(entry([{"symbol": code} for code in codes]), NINE_US)

    async def failing(name, feed, symbols):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(made.announce_newest(failing, NINE_US))
    for at in (1, 2, 3):
        asyncio.run(made.announce_newest(database.read, NINE_US + at * SECOND_US))

    assert sorted(symbol for _, symbol, *_ in told(one)) == codes
    assert [len(symbols) for symbols in database.asked] == [2, 1]


def test_nothing_is_read_while_nobody_listens():
    made, database = channel(subscriber(trades=["*"])), Database({})
    made.deliver(entry([{}]), NINE_US)
    made.deliver_records(Notice("krx", ["005930"], []))
    asyncio.run(made.announce_newest(database.read, NINE_US))
    assert database.asked == []


def test_of_order_books_the_newest_is_told_and_a_slow_socket_has_only_that():
    one, other = subscriber(orderbooks=["005930"]), subscriber(orderbooks=["000660"])
    made, database = channel(one, other), Database()
    for at in range(3):
        database.books["005930"] = replace(BOOK, tick_id=7 + at)
        made.deliver_records(Notice("krx", ["005930"], []))
        asyncio.run(made.announce_newest(database.read, NINE_US + at * SECOND_US))

    (message,) = messages(one)
    assert (message["T"], message["S"], message["i"], message["r"]) == ("o", "005930", 9, True)
    assert message["b"][0] == {"p": 70000, "s": 5}
    assert messages(other) == []


def test_packed_order_books_have_the_same_members_and_exact_numbers():
    (text,) = encoding.books(Form(), [BOOK])
    (packed,) = encoding.books(Form(packed=True), [BOOK])

    shown, content = json.loads(text.data), msgpack.unpackb(packed.data)
    assert list(shown) == list(content)
    assert content["b"] == [{"p": 70000, "s": 5}, {"p": 69900.12345678, "s": 7.5}]
    assert content["a"] == [{"p": "90071992547.40993", "s": 3}]
    assert (content["mp"], content["bt"]) == (70050, None)
    assert content["t"].to_unix_nano() == NINE_US * 1000


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("halt", {"halted": True}, ("H", "Trading Halt", "", "")),
        ("halt", {"halted": False}, ("T", "Trading Resumption", "", "")),
        ("vi", {"vi": "1", "before": ""}, ("P", "Volatility Trading Pause", "LUDP", "Volatility Trading Pause")),
        ("vi", {"vi": "N", "before": "1"}, ("T", "Trading Resumption", "LUDP", "Volatility Trading Pause")),
        ("vi", {"state": "on"}, ("P", "Volatility Trading Pause", "LUDP", "Volatility Trading Pause")),
        ("vi", {"state": "off"}, ("T", "Trading Resumption", "LUDP", "Volatility Trading Pause")),
        ("market_status", {"state": "open"}, ("", "open", "", "")),
    ],
)
def test_a_status_speaks_the_dialect_and_shows_what_the_source_told(kind, body, expected):
    event = MarketEvent(
        time_us=NINE_US, event_id=7, trade_date=20_528, feed="krx", source_id=4, kind=kind, symbol="005930", body=body
    )
    (text,) = encoding.statuses(Form(), [event])
    (packed,) = encoding.statuses(Form(packed=True), [event])

    shown, content = json.loads(text.data), msgpack.unpackb(packed.data)
    assert tuple(shown[name] for name in ("sc", "sm", "rc", "rm")) == expected
    assert (shown["T"], shown["S"], shown["t"], shown["z"]) == ("s", "005930", "2026-03-16T00:00:00.000000Z", "")
    assert (shown["type"], shown["body"], shown["i"], shown["x"]) == (kind, body, 7, "krx")
    assert content.pop("t").to_unix_nano() == NINE_US * 1000
    assert content == {name: value for name, value in shown.items() if name != "t"}


def test_statuses_go_to_those_who_want_them_in_order_and_those_of_no_symbol_to_who_wants_all():
    events = [
        MarketEvent(time_us=NINE_US, event_id=at, trade_date=1, feed="krx", source_id=4, kind="vi", symbol=symbol)
        for at, symbol in enumerate(["005930", "", "000660", "005930"])
    ]
    one, everything, none = subscriber(statuses=["005930"]), subscriber(statuses=["*"]), subscriber(trades=["*"])
    channel(one, everything, none).deliver_records(Notice("krx", [], events))

    assert [message["i"] for message in messages(one)] == [0, 3]
    assert [message["i"] for message in messages(everything)] == [0, 1, 2, 3]
    assert messages(none) == []


class Pipeline:
    def __init__(self):
        self.added, self.due, self.switched = [], [], []

    def eval(self, _script, _count, _feeds, key, feed, symbols):
        assert (key, feed) == (stats.MARKED + "krx", "krx")
        self.due += msgpack.unpackb(symbols)

    def xadd(self, key, values, **bounds):
        if key == records_feed.STATUS_STREAM + "krx":
            self.switched += msgpack.unpackb(values[b"e"])
        else:
            self.added.append(values)


@pytest.mark.parametrize(("books", "statuses", "entries"), [(0, 0, 0), (2, 0, 1), (0, 1, 1), (2, 41, 3), (1, 40, 2)])
def test_what_is_published_is_what_is_read_in_entries_of_bounded_size(books, statuses, entries):
    event = MarketEvent(time_us=NINE_US, event_id=1, trade_date=1, feed="krx", source_id=4, kind="vi", body={"값": 2.5})
    events = [replace(event, event_id=at) for at in range(statuses)]
    pipeline = Pipeline()
    records_feed.publish(pipeline, "krx", [f"{at:06}" for at in range(books)], [replace(event, kind="index"), *events])

    notices = [records_feed.decode("krx", values) for values in pipeline.added]
    assert len(notices) == entries
    assert [one for notice in notices for one in notice.books] == [f"{at:06}" for at in range(books)] == pipeline.due
    assert [one for notice in notices for one in notice.statuses] == events
    assert [row[1] for row in pipeline.switched] == [one.event_id for one in events]  # each once more, by itself


def test_which_candles_were_made_anew_is_published_in_entries_of_bounded_size(monkeypatch):
    monkeypatch.setattr(records_feed, "MOST_CANDLES", 2)
    keys, pipeline = [("005930", minute) for minute in range(5)], Pipeline()
    records_feed.publish_candles(pipeline, "krx", keys)

    notices = [records_feed.decode("krx", values) for values in pipeline.added]
    assert len(notices) == 3
    assert [key for notice in notices for key in notice.candles] == keys
    assert pipeline.due == ["005930"]


@pytest.mark.parametrize("everything", [set(), {"*"}])
def test_who_names_very_many_symbols_keeps_nobody_else_waiting(everything):
    many = {f"X{number}" for number in range(100)}
    read: Newest[str] = Newest(every_us=1, most=4)
    read.retell(sorted(many))
    read.touch(["000660", "005930"], {"000660", "005930", *everything})

    assert read.due({"000660", "005930", *many, *everything}, 0) == ["X0", "X1", "000660", "005930"]
    read.touch(["000660"], {"000660"})
    read.retell(["035420"])

    left = {"000660", "035420", *everything}
    assert read.due(left, 1) == ["035420", "000660"], "what was named for a moment only is not read"
    assert read.due(left, 2) == []
