"""What is in memory of a feed is without a hole, or is said not to be there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from api.stream.kept_entries import MOST_UNPACKED, KeptEntries, Unpacked, kept
from marketdata.realtime.feed import FeedEntry
from marketdata.types import tick_arrays
from tests import market
from tests.market import MINUTE_US, NINE_US


def entry(first, last, **row):
    ticks = market.ticks([{"tick_id": market.tick_id(1, offset), **row} for offset in range(first, last + 1)])
    return kept(FeedEntry("krx", first, last, 1, ticks, tick_arrays.pack(ticks), candles.build(ticks)))


def spans(found):
    return None if found is None else [(one.first, one.last) for one in found]


@pytest.fixture
def entries():
    made = KeptEntries()
    made.clear(3)
    for first, last in ((4, 5), (6, 6), (7, 9)):
        made.append(entry(first, last))
    return made


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        (2, None), (3, [(4, 5), (6, 6), (7, 9)]), (4, [(4, 5), (6, 6), (7, 9)]), (5, [(6, 6), (7, 9)]),
        (8, [(7, 9)]), (9, []), (10, None),
    ],
)  # fmt: skip
def test_what_lies_behind_an_offset(entries, offset, found):
    assert spans(entries.after(offset, 10)) == found
    assert entries.covers(offset) is (found is not None)


def test_no_more_than_asked_for(entries):
    assert spans(entries.after(3, 2)) == [(4, 5), (6, 6)]


def test_nothing_is_known_before_a_place_is():
    nothing = KeptEntries()

    assert nothing.after(0, 10) is None
    assert nothing.wanted_before(0) is None
    assert not nothing.prepend([entry(1, 2)])


def test_older_ones_go_where_these_begin_or_not_at_all(entries):
    assert entries.wanted_before(0) == 3
    assert not entries.prepend([])
    assert not entries.prepend([entry(1, 2)])
    assert entries.prepend([entry(1, 1), entry(2, 3)])
    assert spans(entries.after(0, 3)) == [(1, 1), (2, 3), (4, 5)]
    assert entries.wanted_before(0) is None


def test_an_entry_has_its_ticks_however_many_were_looked_at_meanwhile():
    many = [entry(number, number + 1, price=number) for number in range(1, MOST_UNPACKED + 2)]
    prices = [one.ticks.price.tolist() for one in many]

    assert prices == [[number, number] for number in range(1, MOST_UNPACKED + 2)]
    assert [one.ticks.price.tolist() for one in many] == prices


def test_who_is_given_an_entry_at_the_same_time_is_given_the_same_arrays(entries):
    first, again = entries.after(3, 1)[0], entries.after(3, 1)[0]

    assert first.ticks is again.ticks


def test_of_unpacked_entries_those_asked_for_last_stay_as_many_as_there_is_room_for():
    unpacked = Unpacked(most_entries=3, most_ticks=10)
    first, second, third, fourth, large = (
        entry(one, one + rows - 1).packed for one, rows in ((1, 2), (3, 4), (7, 3), (10, 1), (11, 40))
    )
    held = [unpacked.of(one) for one in (first, second, third)]

    assert unpacked.ticks == 9
    assert unpacked.of(first) is held[0]
    unpacked.of(fourth)  # too many entries: the second goes
    assert unpacked.ticks == 6
    assert unpacked.of(third) is held[2]
    assert unpacked.of(second) is not held[1]
    unpacked.of(large)  # larger than there is room for: it alone stays
    assert unpacked.ticks == 40
    assert unpacked.of(first) is not held[0]
    assert unpacked.ticks == 2


def test_what_lies_before_a_hole_is_forgotten(entries):
    entries.append(entry(12, 13))

    assert entries.after(9, 10) is None
    assert spans(entries.after(11, 10)) == [(12, 13)]


def test_the_latest_candle_of_the_newest_up_to_an_offset():
    made = KeptEntries()
    made.clear(0)
    for number, time_us in ((1, NINE_US + MINUTE_US), (2, NINE_US), (3, NINE_US + 2 * MINUTE_US)):
        made.append(entry(number, number, time_us=time_us))
    made.append(entry(4, 4, kind=2))

    found = [made.latest_us(offset, 2) for offset in range(5)]

    assert found == [None, NINE_US + MINUTE_US, NINE_US + MINUTE_US, NINE_US + 2 * MINUTE_US, NINE_US + 2 * MINUTE_US]


@given(st.lists(st.integers(1, 7), max_size=30), st.integers(1, 6), st.integers(1, 20))
def test_the_newest_stay_and_only_the_newest(sizes, most_entries, most_ticks):
    made = KeptEntries(most_entries=most_entries, most_ticks=most_ticks)
    made.clear(0)
    given_spans, last = [], 0
    for size in sizes:
        made.append(entry(last + 1, last + size))
        given_spans.append((last + 1, last + size))
        last += size

    stay = next(offset for offset in range(last + 1) if made.covers(offset))
    found = spans(made.after(stay, 100))

    assert found == given_spans[len(given_spans) - len(found) :]
    assert len(found) <= most_entries
    assert len(found) <= 1 or sum(end - start + 1 for start, end in found) <= most_ticks
    assert made.wanted_before(stay) is None
