"""Parts of pages that many sockets are given."""

import numpy as np
import pytest

from api.stream import stored_pages
from api.stream.stored_pages import Left, Stored, parts
from tests import market


def ids(*numbers):
    return np.array(numbers, np.int64)


def ticks(*numbers):
    return market.ticks([{"tick_id": number} for number in numbers])


@pytest.mark.parametrize(
    ("had", "rest"),
    [([], [5, 3, 9]), ([3, 4], [5, 9]), ([3, 5, 9], []), ([10], [5, 3, 9]), ([1], [5, 3, 9])],
)
def test_who_had_some_of_a_part_is_given_the_rest_in_its_order(had, rest):
    part, left = Stored(ticks(5, 3, 9)), Left("one", ids(*had))

    assert part.without(left).ticks.tick_id.tolist() == rest
    assert part.without(left) is part.without(left)


def test_the_rest_is_of_the_epoch_that_was_left():
    part = Stored(ticks(5, 3))

    assert part.without(Left("one", ids(5))).ticks.tick_id.tolist() == [3]
    assert part.without(Left("two", ids(3))).ticks.tick_id.tolist() == [5]


def test_parts_are_of_a_size_that_a_socket_is_given_at_a_time(monkeypatch):
    monkeypatch.setattr(stored_pages, "GIVEN_TICKS", 2)

    assert [part.ticks.tick_id.tolist() for part in parts([ticks(1, 2, 3), ticks(), ticks(4)])] == [[1, 2], [3], [4]]
