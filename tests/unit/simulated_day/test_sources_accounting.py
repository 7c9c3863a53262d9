"""What is missing was said within a gap, or is lost; a sheet that is there long enough is read."""

import pytest

from tests.simulated_day.sources_accounting import Sheet, Streamed, of_sheet, of_stream


@pytest.mark.parametrize(
    ("numbers", "gaps", "found"),
    [
        ([1, 2, 3, 4], [], Streamed(4, 0, 0, 0)),
        ([1, 2, 2, 3, 4], [], Streamed(5, 1, 0, 0)),
        ([1, 4], [(15, 35)], Streamed(2, 0, 2, 0)),
        ([1, 4], [(25, 35)], Streamed(2, 0, 1, 1)),  # a gap excuses no trade beside it
        ([1, 4], [(33, 36)], Streamed(2, 0, 1, 1)),  # said a little before it, and so heard within it
        ([1, 4], [(31, 35), (10, 21)], Streamed(2, 0, 2, 0)),
        ([1, 4], [(0, 5)], Streamed(2, 0, 0, 2)),
        ([1, 4], [(50, 60)], Streamed(2, 0, 0, 2)),
        ([3, 4], [(0, 31)], Streamed(2, 0, 2, 0)),
        ([1, 2], [(20, 90)], Streamed(2, 0, 2, 0)),
        ([1, 2, 3], [], Streamed(3, 0, 0, 1)),
        ([1, 2, 3, 4, 5], [], Streamed(5, 0, 0, 1)),
        ([], [], Streamed(0, 0, 0, 4)),
    ],
)
def test_a_trade_that_is_missing_was_said_within_a_gap_or_is_lost(numbers, gaps, found):
    assert of_stream([10, 20, 30, 40], numbers, gaps, late_us=4) == found


@pytest.mark.parametrize(
    ("stored", "away", "found"),
    [
        ([(1, 0), (2, 5), (1, 9)], [], Sheet(3, 0, 0, 0, 0)),
        ([(1, 0), (1, 9)], [], Sheet(2, 1, 1, 0, 0)),
        ([(1, 0), (1, 9)], [(20, 32)], Sheet(2, 1, 0, 0, 0)),  # 8 are left of it
        ([(1, 0), (1, 9)], [(0, 25), (35, 60)], Sheet(2, 1, 1, 0, 0)),
        ([(2, 5), (1, 9)], [], Sheet(2, 1, 0, 0, 0)),  # the first was there for 5
        ([(1, 0), (2, 5)], [], Sheet(2, 1, 0, 0, 1)),
        ([(1, 0), (7, 7), (1, 9)], [(0, 100)], Sheet(3, 1, 0, 1, 0)),
        ([], [], Sheet(0, 3, 1, 0, 1)),
    ],
)
def test_a_sheet_is_read_while_it_shows_something_and_ends_with_its_last_picture(stored, away, found):
    assert of_sheet([(1, 0, 15), (2, 5, 20), (1, 9, 40)], stored, away, read_us=10) == found
