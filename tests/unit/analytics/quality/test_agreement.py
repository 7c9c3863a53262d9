"""Whether two sources tell the same prices."""

import numpy as np
import pytest

from analytics.quality import agreement

WON = 100_000_000


def won(*prices):
    return np.array([round(price * WON) for price in prices], np.int64)


@pytest.mark.parametrize(
    ("price", "category", "step"),
    [
        (1_999, "", 1), (2_000, "", 5), (19_990, "", 10), (20_000, "", 50), (70_000, "", 100), (200_000, "kospi", 500),
        (500_000, "", 1_000), (1_995, "etf", 1), (70_000, "etf", 5),
    ],
)  # fmt: skip
def test_the_steps_of_prices_are_those_of_the_exchange(price, category, step):
    assert agreement.ticks(won(price), "KRX", category).tolist() == [step * WON]


def test_elsewhere_a_ten_thousandth_stands_for_a_step():
    assert agreement.ticks(won(4800.25), "CME").tolist() == [48_002_500]


def test_minutes_that_both_have_differ_when_their_closes_are_more_than_a_step_apart():
    found = agreement.compare(
        np.array([1, 2, 3, 5]), won(70_000, 70_000, 70_000, 70_000), np.array([2, 3, 4, 5]),
        won(70_100, 70_200, 1, 69_800), market="KRX",
    )  # fmt: skip

    assert found == (3, 2)
