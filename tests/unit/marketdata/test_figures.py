"""Counts and checksums add up, whatever the parts and their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketdata import figures
from marketdata.figures import PRIME, Figure
from tests import market
from tests.market import tick_id


def ticks(number: int):
    return market.ticks(
        [
            {"symbol": "AB"[at % 2], "price": at + 1, "tick_id": tick_id(1, at), "trade_date": 20_528 + at % 3}
            for at in range(number)
        ]
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_the_figures_of_parts_add_up_to_the_figure_of_the_whole(owners):
    whole = ticks(len(owners))
    parts = [whole.take(np.array(owners) == owner) for owner in set(owners)]

    together: dict[int, Figure] = {}
    for part in parts:
        for date, figure in figures.of_ticks(part).items():
            together[date] = together.get(date, Figure()) + figure

    assert together == figures.of_ticks(whole)


def test_a_batch_is_counted_by_trading_date():
    whole = ticks(9)
    numbers = np.array([7] * 4 + [8] * 5, np.int64)

    found = figures.by_batch(whole, numbers)

    assert {key: figure.rows for key, figure in found.items()} == {
        (7, 20_528): 2, (7, 20_529): 1, (7, 20_530): 1, (8, 20_528): 1, (8, 20_529): 2, (8, 20_530): 2,
    }  # fmt: skip
    by_hand = figures.of_ticks(whole.take(numbers == 7))
    assert {date: found[7, date] for date in by_hand} == by_hand


def test_the_name_of_a_series_is_part_of_its_checksum():
    assert figures.of_series("A", "krx", 1, 5) != figures.of_series("B", "krx", 1, 5)
    assert figures.of_series("A", "krx", 1, 5) != figures.of_series("A", "nxt", 1, 5)
    assert all(0 < figures.weight(symbol, "krx") < PRIME for symbol in ("", "A", "005930"))


def test_differences_name_the_series_and_a_missing_one_is_nothing():
    one, two = (
        {("A", "krx"): Figure(1, 5), ("B", "krx"): Figure()},
        {("A", "krx"): Figure(1, 6), ("C", "nxt"): Figure(2, 1)},
    )

    assert figures.differences(one, two) == [("A", "krx"), ("C", "nxt")]


def test_no_ticks_have_no_figure():
    assert figures.of_ticks(market.ticks([])) == {}
    assert figures.total([]) == Figure(0, 0)
