import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.stream.recent_ticks import RecentTicks


def told(recent):
    return [part.tolist() for part in recent.all()]


@given(st.integers(1, 12), st.lists(st.lists(st.integers(1, 10**12), max_size=30), max_size=8))
def test_the_newest_are_there_in_the_order_they_came(most, entries):
    recent = RecentTicks(most)
    wanted: list[int] = []
    for ids in entries:
        recent.append(len(wanted) + 1, np.array(ids, np.int64))
        wanted += ids

    places = range(1, len(wanted) + 1)
    assert told(recent) == [list(places)[-most:], wanted[-most:]]


def test_offsets_are_counted_anew_and_ids_stay():
    recent = RecentTicks(4)
    recent.append(7, np.array([70, 80], np.int64))
    recent.forget_offsets()
    recent.append(1, np.array([90], np.int64))

    assert told(recent) == [[0, 0, 1], [70, 80, 90]]


def test_what_was_told_does_not_change_with_what_comes():
    recent = RecentTicks(2)
    recent.append(1, np.array([10, 20], np.int64))
    offsets, ids = recent.all()
    recent.append(3, np.array([30, 40], np.int64))

    assert (offsets.tolist(), ids.tolist()) == ([1, 2], [10, 20])
