"""What the drill of the feed says of one that stalls."""

import pytest

from tests.drill.feed import effect


def test_what_the_two_sides_have_apart_is_no_effect():
    middle, low, high = effect([1.25, 1 / 1.25, 1.5, 1 / 1.5])  # the one side is slower by a quarter, then by half

    assert (middle, low, high) == (0.0, 0.0, 0.0)


def test_an_effect_is_found_between_sides_that_differ():
    middle, low, high = effect([1.1 * 1.25, 1.1 / 1.25, 1.1 * 0.9, 1.1 / 0.9])

    assert middle == low == high == pytest.approx(0.1)


def test_pairs_that_do_not_agree_leave_it_open():
    middle, low, high = effect([1.2, 1.2, 1.0, 1.0, 1.1, 1.1])

    assert low < 0 < 0.2 < high
    assert middle == pytest.approx(0.097, abs=0.001)
    assert (1 + low) * (1 + high) == pytest.approx((1 + middle) ** 2, rel=1e-3)


def test_one_pair_says_nothing_of_how_sure_it_is():
    assert effect([1.1, 1.1])[1:] == (-1.0, float("inf"))
