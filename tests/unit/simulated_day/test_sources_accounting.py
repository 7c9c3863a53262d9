"""What is missing between two trades is told by a gap there, or lost."""

import pytest

from tests.simulated_day.sources_accounting import Sheet, Streamed, of_sheet, of_stream


@pytest.mark.parametrize(
    ("numbers", "gaps", "found"),
    [
        ([1, 2, 3, 4], [], Streamed(4, 0, 0, 0)),
        ([1, 2, 2, 3, 4], [], Streamed(5, 1, 0, 0)),
        ([1, 4], [(25, 35)], Streamed(2, 0, 2, 0)),
        ([1, 4], [(0, 5)], Streamed(2, 0, 0, 2)),
        ([1, 4], [(50, 60)], Streamed(2, 0, 0, 2)),
        ([3, 4], [(0, 31)], Streamed(2, 0, 2, 0)),
        ([1, 2], [(20, 90)], Streamed(2, 0, 2, 0)),
        ([1, 2, 3], [], Streamed(3, 0, 0, 1)),
        ([1, 3], [(30, 45)], Streamed(2, 0, 2, 0)),
        ([1, 2, 3, 4, 5], [], Streamed(5, 0, 0, 1)),
        ([], [], Streamed(0, 0, 0, 4)),
    ],
)
def test_trades_that_are_missing_are_told_by_a_gap_between_their_neighbours_or_are_lost(numbers, gaps, found):
    assert of_stream(4, [(number, number * 10) for number in numbers], gaps) == found


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ([(1, 0), (2, 5), (1, 9)], Sheet(3, 0, 0, 0)),
        ([(1, 0), (1, 9)], Sheet(2, 1, 0, 0)),
        ([(1, 0), (2, 5)], Sheet(2, 1, 0, 1)),
        ([(1, 0), (7, 7), (1, 9)], Sheet(3, 1, 1, 0)),
        ([(2, 5), (1, 9), (1, 9)], Sheet(3, 1, 0, 0)),
        ([], Sheet(0, 3, 0, 1)),
    ],
)
def test_a_sheet_must_end_with_its_last_picture_and_have_none_that_was_never_shown(stored, found):
    assert of_sheet([(1, 0), (2, 5), (1, 9)], stored) == found
