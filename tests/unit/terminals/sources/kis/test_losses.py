import datetime

import pytest

from terminals.sources.kis.intake_items import Lost
from terminals.sources.kis.losses import Losses
from terminals.sources.kis.planner import Registration
from terminals.wire.gap_reasons import NOT_RUNNING
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


HOUR = 3600


@pytest.mark.parametrize(
    ("tr_id", "key", "from_h", "to_h", "gap_h"),
    [
        ("H0STASP0", "005930", 1, 2, (1, 2)),
        ("H0STASP0", "005930", 11.1, 22, None),  # from 20:06 to the next morning
        ("H0STASP0", "005930", -14, 1, (-14, 1)),  # an evening and a morning
        ("H0STASP0", "005930", 10, 26, (10, 11 + 1 / 60)),  # an evening, and a Saturday
        ("H0STASP0", "005930", 12, 74, (71 - 1 / 60, 74)),  # over a weekend: from Monday's opening on
        ("H0STASP0", "005930", 12, 60, None),
        ("H0IFASP0", "A01612", 8, 20, None),
        ("H0MFCNT0", "A01612", 1, 2, None),
        ("H0MFCNT0", "A01612", 10, 11, (10, 11)),
        ("H0MFCNT0", "A01612", 15, 24, (15, 21 + 5 / 60)),  # a night ends at 06:00
        ("HDFSCNT0", "DNASAAPL", 1.5, 6, None),  # between 20:00 and 04:00 of New York
        ("HDFSCNT0", "DNASAAPL", 6, 10, (9, 10)),
        ("HDFSCNT0", "DXYZABC", 12, 60, (12, 60)),  # an exchange whose hours are not known
    ],
)
def test_nothing_is_lost_while_nothing_can_come(told, tr_id, key, from_h, to_h, gap_h):
    losses, one = Losses(told), Registration(tr_id, key)

    losses.begin([one], at(from_h * HOUR), NOT_RUNNING)
    losses.data([one], at(to_h * HOUR))

    assert [gap[3:] for gap in told.gaps] == ([] if gap_h is None else [tuple(round(hour * HOUR) for hour in gap_h)])
    assert not losses


def test_what_is_going_on_and_how_much_was_told_today_is_there_for_the_next_terminal(told):
    losses = Losses(told)
    losses.begin([TRADE, BOOK], at(1), NOT_RUNNING)
    losses.active(TRADE, at(2))
    losses.active(BOOK, at(2))
    losses.begin([BOOK], at(3))

    assert losses.going_on() == [(BOOK, at(3), "disconnected")]
    assert losses.told_on == (20777, 1)  # trades are not, for their volumes may tell


def test_after_so_many_gaps_on_a_date_the_others_are_told_together_by_feed_and_reason(told):
    losses = Losses(told, most_a_day=2)
    books = [Registration("H0STASP0", f"{number:06}") for number in range(1, 6)]
    losses.begin([TRADE, *books], at(1))

    for place, one in enumerate([*books, TRADE]):
        losses.active(one, at(10 + place))
        losses.tell()

    assert told.gaps == [
        ("krx", "000001", "book:disconnected", 1, 10),
        ("krx", "000002", "book:disconnected", 1, 11),
        ("krx", None, "book:disconnected", 1, 14),
    ]
    assert told.counted == [("krx", "005930", "disconnected", 1, 15)]

    losses.begin([BOOK], at(72 * HOUR))  # on Monday each has its own again
    losses.active(BOOK, at(72 * HOUR + 5))
    assert told.gaps[3:] == [("krx", "005930", "book:disconnected", 72 * HOUR, 72 * HOUR + 5)]


def test_what_is_told_together_waits_for_room_and_is_kept_until_then(told):
    losses, told.room = Losses(told, most_a_day=0), False
    losses.begin([BOOK], at(1))
    losses.active(BOOK, at(4))

    assert not losses.tell()
    assert losses.together() == [Lost("krx", None, at(1), at(4), "book:disconnected")]

    told.room = True
    assert losses.tell()
    assert told.gaps == [("krx", None, "book:disconnected", 1, 4)]
