"""A subscriber of the drill of the feed takes up again where it was, and tells what no client has to expect."""

import numpy as np
import pytest

from tests.drill.merge import Merge, Message, Told


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def merge(told):
    """One that has trades 101 and 102, of offsets 1 and 2."""
    made = Merge(told)
    assert made.ask() == {}
    made.listed(Message("subscription", epoch="first", o=0, at="t0"))
    give(made, (101, 1), (102, 2))
    return made


def give(merge, *trades):
    return [merge.trade(Message("t", i=trade, o=offset)) for trade, offset in trades]


def place(merge):
    return merge.ask()["from"]


def test_it_asks_from_the_last_offset_and_moment(merge):
    merge.moment(Message("hb", at="t1"))

    assert place(merge) == {"epoch": "first", "o": 2, "at": "t1"}


def test_a_replay_that_breaks_off_moves_the_place_on(merge):
    merge.ask()
    merge.listed(Message("subscription", epoch="first", o=9))
    give(merge, (103, 3))
    merge.moment(Message("hb", at="of what it has not"))
    merge.moment(Message("replay_progress", at="t3"))

    assert place(merge) == {"epoch": "first", "o": 3, "at": "t3"}


def test_what_comes_live_before_the_answer_moves_no_place_and_may_come_again(merge):
    merge.refused(Message("error", code=460, epoch="first"))
    give(merge, (109, 9))
    asked = place(merge)
    early = merge.completed(Message("replay_completed", epoch="first", o=9, at="too early"))
    merge.listed(Message("subscription", epoch="first", o=9))
    kept = give(merge, *((100 + offset, offset) for offset in range(3, 10)))

    assert asked == {"epoch": "first", "o": 2, "at": "t0"}
    assert not early
    assert kept == [True] * 6 + [False]
    assert (merge.completed(Message("replay_completed", epoch="first", o=9, at="t9")), merge.missing) == (True, False)
    assert (list(merge.kept), merge.repeated, merge.twice) == ([101, 102, 109, *range(103, 109)], 1, 0)


def test_after_another_redis_what_it_had_is_dropped_also_long_afterwards(merge):
    merge.refused(Message("error", code=461, epoch="second", o=0))
    merge.ask()
    merge.listed(Message("subscription", epoch="second", o=1))
    give(merge, (102, None), (103, None), (104, 2))
    merge.completed(Message("replay_completed", epoch="second", o=2, at="t2"))
    give(merge, (101, 3), (103, 4))

    assert (list(merge.kept), merge.repeated, merge.twice) == ([101, 102, 103, 104], 3, 0)
    assert place(merge) == {"epoch": "second", "o": 4, "at": "t2"}


@pytest.mark.parametrize(("offset", "twice"), [(3, 0), (2, 1)])
def test_what_comes_again_without_a_reason_is_there_twice(merge, offset, twice):
    give(merge, (102, offset))

    assert (list(merge.kept), merge.twice) == ([101, 102, 102], twice)


def test_what_it_lacks(merge, told):
    give(Merge(told), (105, 5))

    assert [merge.lacks(told.places(np.array(ids))) for ids in ([101, 102], [101, 105], [999], [102, 999, 105])] == [
        0, 1, 1, 2,
    ]  # fmt: skip
