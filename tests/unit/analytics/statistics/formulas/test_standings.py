"""Breadth, movers, liquidity and the volume by time of day, counted by hand."""

import math

import numpy as np

from analytics.statistics.formulas import books, profiles, standings
from analytics.statistics.formulas.books import Liquidity
from analytics.statistics.formulas.standings import Standing


def standing(symbol, percent, turnover=1):
    return Standing(symbol=symbol, percent=percent, turnover=turnover, up=2, down=1)


FOUND = [
    standing("A", 500, 10),
    standing("B", -700, 30),
    standing("C", 0, 20),
    standing("D", None, 5),
    standing("E", 900),
]


def test_breadth_counts_those_whose_change_is_known_and_sums_all():
    found = standings.breadth(FOUND)

    assert (found.advancing, found.declining, found.unchanged, found.ratio) == (2, 1, 1, 0.25)
    assert (found.turnover, found.up, found.down) == (66, 10, 5)
    assert (found.mean, found.weighted) == (700 / 4, (500 * 10 - 700 * 30 + 900) / 61)
    alone = standings.breadth([standing("D", None)])
    assert (alone.ratio, alone.mean, alone.weighted) == (None, None, None)
    assert standings.breadth([standing("A", 500, 0)]).weighted is None


def test_movers_and_the_most_traded_come_in_order_and_no_more_than_asked_for():
    gainers, losers = standings.movers(FOUND, 5)

    assert [one.symbol for one in gainers] == ["E", "A"]
    assert [one.symbol for one in losers] == ["B"]
    assert [one.symbol for one in standings.most_traded(FOUND, 2)] == ["B", "C"]


def test_a_book_tells_its_spread_depths_and_imbalance():
    assert books.liquidity([(99, 30), (98, 30)], [(101, 20)]) == Liquidity(2, 0.02, 60, 20, 0.5)
    assert books.liquidity([(99, 30)], []) == Liquidity(None, None, 30, 0, 1.0)
    assert books.liquidity([], []) == Liquidity(None, None, 0, 0, None)


def test_volume_is_compared_with_the_mean_of_so_many_days_up_to_the_same_minute():
    profile = profiles.build(np.array([5, 7, 5]), np.array([10, 100, 30]), 2)

    assert profiles.ratio(profile, 6, 30, 2) == 1.5
    assert profiles.ratio(profile, 7, 70, 2) == 1.0
    assert math.isnan(profiles.ratio(profile, 4, 30, 2))
    assert math.isnan(profiles.ratio(profile, 6, 30, 3))


def test_the_newest_minutes_are_compared_with_the_same_minutes_of_the_days_before():
    minute = 60_000_000
    times = np.array([0, 1, 2, 9, 0, 2, 9], np.int64) * minute
    profile = profiles.build(times, np.array([10, 20, 30, 7, 30, 10, 3], np.int64), 2)

    today = np.array([0, 2], np.int64) * minute, np.array([100, 60], np.int64)
    found = profiles.recent_ratios(profile, *today, 2, 4)
    assert found.tolist() == [60 * 2 / 40, 60 * 2 / 60, 160 * 2 / 100, 160 * 2 / 100]
    alone = profiles.recent_ratios(profile, np.array([4 * minute]), np.array([8]), 2, 3)
    assert np.isnan(alone[:2]).all(), "nothing traded in those minutes"
    assert alone[2] == 8 * 2 / 40
    assert np.isnan(profiles.recent_ratios(profile, *today, 3, 2)).all(), "of fewer days than are wanted"
    nothing = np.zeros(0, np.int64)
    assert np.isnan(profiles.recent_ratios(profile, nothing, nothing, 2, 1)).all()
