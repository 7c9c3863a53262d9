"""Pieces of a time that is read from one end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.storage.keys import stretches
from marketdata.types.units import DAY_US

times = st.integers(-(2**62), 2**62)


@given(start_us=times, end_us=times, ascending=st.booleans())
def test_pieces_are_the_whole_time_without_holes_from_one_end_on(start_us, end_us, ascending):
    found = list(stretches(start_us, end_us, days=4, ascending=ascending))

    ordered = found if ascending else found[::-1]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ordered))
    if start_us < end_us:
        assert (ordered[0][0], ordered[-1][1]) == (start_us, end_us)
    else:
        assert not found


@pytest.mark.parametrize("ascending", [True, False])
def test_years_are_few_pieces_and_the_first_is_short(ascending):
    found = list(stretches(0, 10 * 365 * DAY_US, days=4, ascending=ascending))

    assert len(found) <= 7
    assert found[0] == ((0, 4 * DAY_US) if ascending else (3_646 * DAY_US, 3_650 * DAY_US))
