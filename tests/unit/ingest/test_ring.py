import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ring import ROW, Ring
from tests import market
from tests.market import NINE_US


def ticks(first: int, count: int):
    """Ticks whose times count on from `first`."""
    return market.ticks([{"time_us": NINE_US + at, "price": at + 1} for at in range(first, first + count)])


def put(ring: Ring, first: int, count: int, *, now: float = 0.0) -> int:
    return ring.append(ticks(first, count), np.zeros(count, np.int32), now=now)


def times(ring: Ring, count: int = 10_000) -> list[int]:
    return [int(time) - NINE_US for time in ring.newest(count)["time_us"]]


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 40))
def test_a_ring_holds_the_newest_rows_and_no_others(sizes, capacity):
    ring = Ring(max_bytes=capacity * ROW.itemsize, max_age_s=60.0)
    total = 0

    for size in sizes:
        put(ring, total, size)
        total += size

    assert times(ring) == list(range(max(0, total - capacity), total))
    assert [ring.row(number)["time_us"] - NINE_US for number in range(ring.start, ring.written)] == times(ring)


MANY = ticks(0, 5000)


@given(st.lists(st.integers(1, len(MANY)), max_size=8))
def test_a_ring_never_grows_beyond_its_bytes(sizes):
    ring = Ring(max_bytes=100_000, max_age_s=60.0)

    for size in sizes:
        ring.append(MANY.between(0, size), np.zeros(size, np.int32), now=0.0)

    assert ring.nbytes <= 100_000
    assert len(ring) <= ring.capacity


def test_a_ring_that_is_little_used_takes_little_memory():
    ring = Ring(max_bytes=64 << 20, max_age_s=60.0)

    put(ring, 0, 10)

    assert ring.nbytes < 100_000


def test_what_came_too_long_ago_is_forgotten():
    ring = Ring(max_bytes=100_000, max_age_s=60.0)
    put(ring, 0, 3, now=0.0)
    put(ring, 3, 2, now=30.0)

    ring.expire(now=60.0)
    still = times(ring)
    ring.expire(now=60.1)
    later = times(ring)
    ring.expire(now=1000.0)

    assert (still, later, times(ring), len(ring)) == ([0, 1, 2, 3, 4], [3, 4], [], 0)


def test_a_forgotten_row_is_an_error_and_not_another_row():
    ring = Ring(max_bytes=4 * ROW.itemsize, max_age_s=60.0)
    put(ring, 0, 6)

    for number in (0, 1, 6):
        with pytest.raises(KeyError):
            ring.row(number)
    assert ring.row(2)["time_us"] == NINE_US + 2


def test_of_more_than_fits_at_once_the_newest_are_kept():
    ring = Ring(max_bytes=4 * ROW.itemsize, max_age_s=60.0)

    first = put(ring, 0, 11)

    assert (first, times(ring), times(ring, 2)) == (0, [7, 8, 9, 10], [9, 10])


def test_ages_stay_right_after_very_many_small_batches():
    ring = Ring(max_bytes=1 << 20, max_age_s=60.0)

    for at in range(9000):
        put(ring, at, 1, now=at / 100.0)
    ring.expire(now=90.0 + 60.0 - 5.0)

    assert 400 <= len(ring) <= 700  # the last five seconds, counted a little coarsely


def test_a_ring_forgets_by_age_however_many_batches_come():
    ring = Ring(max_bytes=1 << 20, max_age_s=60.0)

    for at in range(9000):
        put(ring, at, 1, now=at / 100.0)

    assert 5900 <= len(ring) <= 6001
