import datetime

import pytest

from terminals.sources.kis.losses import Losses
from terminals.sources.kis.planner import Registration
from tests.simulators.kis.market import KST

TRADE, BOOK = Registration("H0STCNT0", "005930"), Registration("H0STASP0", "005930")
NINE_US = int(datetime.datetime(2026, 11, 20, 9, tzinfo=KST).timestamp() * 1_000_000)
SECOND_US = 1_000_000


class Told:
    """Takes gaps while there is `room`; `counted` are those that the volumes may show."""

    def __init__(self):
        self.room, self.gaps, self.counted = True, [], []

    def __call__(self, lost):
        if self.room:
            (self.counted if lost.is_counted else self.gaps).append(
                (
                    lost.feed,
                    lost.symbol,
                    lost.reason,
                    *((at - NINE_US) // SECOND_US for at in (lost.from_us, lost.to_us)),
                )
            )
        return self.room


@pytest.fixture
def told():
    return Told()


def at(seconds):
    return NINE_US + int(seconds * SECOND_US)


@pytest.mark.parametrize(
    ("tr_id", "key", "place"),
    [
        ("H0STASP0", "005930", ("krx", "005930", "book:disconnected")),
        ("H0NXANC0", "005930", ("nxt", "005930", "expected:disconnected")),
        ("H0UNMKO0", "005930", ("unified", "005930", "status:disconnected")),
        ("H0UPCNT0", "2001", ("krx", "2001", "index:disconnected")),
        ("H0IFASP0", "A01612", ("krx", "A01612", "book:disconnected")),
        ("H0MFCNT0", "A01612", ("kis_night", "A01612", "disconnected")),
        ("HDFSCNT0", "DNASAAPL", ("kis_delayed", "AAPL", "disconnected")),
        ("HDFSCNT0", "RNASAAPL", ("kis_overseas", "AAPL", "disconnected")),
        ("HDFSASP0", "DNASAAPL", ("kis_delayed", "AAPL", "book:disconnected")),
    ],
)
def test_each_registration_has_a_gap_of_its_own_beside_the_trades_of_its_symbol(told, tr_id, key, place):
    losses, one = Losses(told), Registration(tr_id, key)

    losses.begin([TRADE, one], at(1.5))
    losses.active(TRADE, at(20))
    losses.active(one, at(30))
    losses.data([TRADE, one], at(40))

    assert told.gaps == [(*place, 1, 30)]
    assert told.counted == [("krx", "005930", "disconnected", 1, 20)]
    assert len(losses) == 0


def test_a_record_that_comes_before_the_answer_ends_the_gap(told):
    losses = Losses(told)

    losses.begin([BOOK], at(1))
    losses.data([BOOK], at(5))
    losses.active(BOOK, at(6))

    assert told.gaps == [("krx", "005930", "book:disconnected", 1, 5)]


def test_what_is_dropped_is_a_gap_from_the_first_to_the_last_of_it(told):
    losses = Losses(told)

    losses.dropped([TRADE, BOOK], at(1))
    losses.dropped([BOOK], at(3))
    losses.tell()
    losses.data([TRADE, BOOK], at(9))

    assert told.gaps == [("krx", "005930", "book:no_room", 1, 3)]
    assert told.counted == [("krx", "005930", "no_room", 1, 1)]


def test_a_gap_that_there_was_no_room_for_is_kept_and_grows(told):
    losses, told.room = Losses(told), False
    losses.begin([BOOK], at(1))
    losses.active(BOOK, at(2))
    losses.begin([BOOK], at(5))

    told.room = True
    assert losses.tell()
    assert told.gaps == []

    losses.active(BOOK, at(8))
    assert told.gaps == [("krx", "005930", "book:disconnected", 1, 8)]


def test_a_clock_that_was_set_back_makes_no_gap_that_ends_before_it_begins(told):
    losses = Losses(told)

    losses.begin([BOOK], at(90))
    losses.active(BOOK, at(1))

    assert told.gaps == [("krx", "005930", "book:disconnected", 1, 90)]


def test_what_nobody_waits_for_any_more_ends_and_is_told(told):
    losses = Losses(told)
    losses.begin([TRADE, BOOK], at(1))

    losses.end(at(4), but=[TRADE])
    losses.end(at(6))

    assert told.gaps == [("krx", "005930", "book:disconnected", 1, 4)]
    assert told.counted == [("krx", "005930", "disconnected", 1, 6)]
