"""Which days are read and told: what changed, each symbol once a second at most, nothing twice."""

import asyncio

import numpy as np
import pytest

from analytics import candles
from api.stream import days
from api.stream.days import NewestDays
from tests import market
from tests.market import NINE_US
from tests.unit.api.stream.test_channel import channel, entry, messages, subscriber

SECOND_US = 1_000_000


class Database:
    """Has these trades; a day is the candle of its symbol."""

    def __init__(self, *rows):
        self.rows, self.asked, self.over = list(rows), [], False

    async def read(self, feed, symbols):
        self.asked.append(sorted(symbols))
        made = candles.build(
            market.ticks([{"tick_id": market.tick_id(1, at), **row} for at, row in enumerate(self.rows)])
        )
        found = made.take(np.array([made.symbols[index] in symbols for index in made.symbol.tolist()], np.bool_))
        return NewestDays(found, np.full(len(found), self.over))


def told(one):
    return [(message["T"], message["S"], message["n"], message["x"]) for message in messages(one)]


def test_a_day_is_told_when_it_changed_and_at_most_once_a_second():
    one, everything = subscriber(dailyBars=["005930"]), subscriber(dailyBars=["*"])
    made, database = channel(one, everything), Database({}, {"symbol": "000660"})

    def beat(now_us):
        asyncio.run(made.announce_days(database.read, now_us))

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
        made.days.retell(["005930"])
        asyncio.run(made.announce_days(database.read, NINE_US + at * SECOND_US))
        assert told(one) == [("d", "005930", 1, False)]

    made.missed(7)
    asyncio.run(made.announce_days(database.read, NINE_US + 2 * SECOND_US))
    assert told(one) == []
    database.over = True
    made.missed(8)
    asyncio.run(made.announce_days(database.read, NINE_US + 3 * SECOND_US))
    assert told(one) == [("d", "005930", 1, True)]


def test_days_that_cannot_be_read_stay_due_and_many_are_read_in_turn(monkeypatch):
    monkeypatch.setattr(days, "MOST_READ", 2)
    one, codes = subscriber(dailyBars=["*"]), ["000660", "005930", "035420"]
    made, database = channel(one), Database(*({"symbol": code} for code in codes))
    made.deliver(entry([{"symbol": code} for code in codes]), NINE_US)

    async def failing(feed, symbols):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(made.announce_days(failing, NINE_US))
    for at in (1, 2, 3):
        asyncio.run(made.announce_days(database.read, NINE_US + at * SECOND_US))

    assert sorted(symbol for _, symbol, *_ in told(one)) == codes
    assert [len(symbols) for symbols in database.asked] == [2, 1]


def test_nothing_is_read_while_nobody_listens():
    made, database = channel(subscriber(trades=["*"])), Database({})
    made.deliver(entry([{}]), NINE_US)
    asyncio.run(made.announce_days(database.read, NINE_US))
    assert database.asked == []
