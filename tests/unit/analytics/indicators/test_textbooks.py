"""Indicators that no library of ours has, by hand; and the numbers of a textbook."""

import math

import numpy as np

from analytics.indicators import ichimoku, oscillators, volumes


def test_the_worked_example_of_the_rsi():
    """Closes of the worked example in StockCharts' ChartSchool, in whole cents, and what follows from these."""
    closes = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00,
        46.03, 46.41, 46.22, 45.64,
    ]  # fmt: skip

    found = oscillators.rsi(np.array(closes), period=14)

    assert np.isnan(found[:14]).all()
    assert np.round(found[14:], 1).tolist() == [70.5, 66.2, 66.5, 69.3, 66.3, 57.9]


def test_the_average_price_begins_anew_each_day_with_its_bands():
    price = np.array([100.0, 110, 130, 200, 202])
    volume = np.array([1.0, 3, 0, 0, 5])
    day = np.array([1, 1, 1, 2, 2])

    upper, average, lower = volumes.vwap(price, volume, day, deviations=2)

    deviation = math.sqrt((1 * 7.5**2 + 3 * 2.5**2) / 4)
    np.testing.assert_allclose(average, [100, 107.5, 107.5, math.nan, 202])
    np.testing.assert_allclose(upper - average, [0, 2 * deviation, 2 * deviation, math.nan, 0], atol=1e-12)
    np.testing.assert_allclose(average - lower, upper - average, atol=1e-12)


def test_balance_of_volumes_begins_anew_each_day():
    close, volume, day = np.array([5.0, 6, 6, 4, 9, 8]), np.array([1.0, 2, 4, 8, 16, 32]), np.array([1, 1, 1, 1, 2, 2])

    assert volumes.obv(close, volume, day).tolist() == [1, 3, 3, -5, 16, -16]


def test_the_lines_of_the_cloud():
    high = np.arange(1.0, 13)
    low, close = high - 2, high - 1

    lines = ichimoku.ichimoku(high, low, close, conversion=2, base=3, span=4, displacement=3)

    # Of rising bars a middle lies half the period below: (high + low of the first) / 2.
    np.testing.assert_equal(lines[0], [math.nan, *(high[1:] - 1.5)])
    np.testing.assert_equal(lines[1], [math.nan, math.nan, *(high[2:] - 2)])
    np.testing.assert_equal(lines[2], [math.nan] * 4 + list(high[2:-2] - 1.75))
    np.testing.assert_equal(lines[3], [math.nan] * 5 + list(high[3:-2] - 2.5))
    np.testing.assert_equal(lines[4], close)
