"""Which candles of a feed are told when."""

from fanout.course import Course
from fanout.positions import Position
from marketdata.types.units import MINUTE_US
from tests.market import NINE_US

LATE_US = 1_000_000


def course():
    made = Course(Position("krx", epoch="e"), grace_us=LATE_US)
    made.move_clock(NINE_US, NINE_US)
    return made


def test_a_candle_is_told_once_its_minute_is_over_and_the_grace_too():
    one = course()
    one.touch([("005930", NINE_US)])

    assert one.due(NINE_US + MINUTE_US) == []
    assert one.due(NINE_US + MINUTE_US + LATE_US) == [[("005930", NINE_US)]]
    assert one.waiting_from_us() == NINE_US


def test_what_was_told_is_due_again_only_when_it_changes():
    one = course()
    one.touch([("005930", NINE_US)])
    one.told([("005930", NINE_US)])

    assert one.due(NINE_US + 9 * MINUTE_US) == []
    one.touch([("005930", NINE_US)])
    assert one.due(NINE_US + 9 * MINUTE_US) == [[("005930", NINE_US)]]


def test_candles_far_apart_are_read_apart():
    one = course()
    one.touch([("A", NINE_US), ("B", NINE_US), ("A", NINE_US - 3_600_000_000)])

    readings = one.due(NINE_US + 9 * MINUTE_US)

    assert readings == [[("A", NINE_US - 3_600_000_000)], [("A", NINE_US), ("B", NINE_US)]]


def test_of_a_feed_of_which_nothing_was_seen_yet_old_candles_are_told():
    one = Course(Position("krx", epoch="e"), grace_us=LATE_US)
    one.touch([("A", NINE_US)])

    assert one.due(NINE_US + 9 * MINUTE_US) == [[("A", NINE_US)]]
