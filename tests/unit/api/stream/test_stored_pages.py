"""Parts of pages that many sockets are given."""

import asyncio

import numpy as np
import pytest

from api.stream import stored_pages
from api.stream.database_thread import DatabaseThread
from api.stream.stored_pages import Had, Left, Stored, StoredPages, parts
from marketdata.ledger import commits as ledger_commits
from marketdata.ledger.commits import Place
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
    part, had_before = Stored(ticks(5, 3, 9)), Had(ids(*had))

    assert part.without(had_before).ticks.tick_id.tolist() == rest
    assert part.without(had_before) is part.without(had_before)


def test_the_rest_is_of_who_had_the_same():
    part = Stored(ticks(5, 3))

    assert part.without(Had(ids(5))).ticks.tick_id.tolist() == [3]
    assert part.without(Had(ids(3))).ticks.tick_id.tolist() == [5]


def test_who_had_an_epoch_up_to_an_offset_has_had_what_was_told_up_to_there():
    left = Left("one", ids(50, 30, 40), ids(1, 2, 3))

    assert [left.had(offset).ids.tolist() for offset in range(5)] == [[], [50], [30, 50], [30, 40, 50], [30, 40, 50]]
    assert left.had(2) is left.had(2)
    assert left.whole.ids.tolist() == [30, 40, 50]


async def test_a_page_is_read_once_for_all_who_read_up_to_the_same_moment(monkeypatch):
    asked = []

    def commits(*place):
        asked.append(place)
        return [ticks(1, 2, 3)], None

    monkeypatch.setattr(ledger_commits, "read", commits)
    monkeypatch.setattr(stored_pages, "MOST_TICKS", 5)
    thread = DatabaseThread("pages")
    pages = StoredPages(thread)
    try:
        same = await asyncio.gather(*(pages.read("krx", None, Place(1), 9) for _ in range(5)))
        await pages.read("krx", None, Place(2), 9)
        first = len(asked)
        await pages.read("krx", None, Place(3), 9)  # too much by then: the oldest is let go
        await pages.read("krx", None, Place(2), 9)
        kept = len(asked)
        await pages.read("krx", None, Place(1), 9)
    finally:
        await thread.close()

    assert all(page is same[0] for page in same)
    assert (first, kept, len(asked)) == (2, 3, 4)


def test_parts_are_of_a_size_that_a_socket_is_given_at_a_time(monkeypatch):
    monkeypatch.setattr(stored_pages, "GIVEN_TICKS", 2)

    assert [part.ticks.tick_id.tolist() for part in parts([ticks(1, 2, 3), ticks(), ticks(4)])] == [[1, 2], [3], [4]]
