"""Windows and smoothing keep their precision over a million rows, and prices that stand still."""

import math

import numpy as np
import pytest

from analytics.indicators import averages, bands, oscillators, rolling, volumes

MILLION = 1_000_000


def long_walk():
    """A million prices that rise from 1 to some millions and come back, with tails after the point."""
    random = np.random.default_rng(7)
    steps = random.normal(size=MILLION)
    return np.exp(15 * np.sin(np.linspace(0, math.pi, MILLION))) * (1 + 1e-3 * steps)


@pytest.mark.parametrize("period", [1, 2, 20, 500])
def test_a_million_rows_later_a_window_is_as_exact_as_at_first(period):
    values = long_walk()

    sums = rolling.sums(values, period)
    weighted = averages.wma(values, period=period)
    upper, middle, _ = bands.bollinger(values, period=period, deviations=1)

    weights = np.arange(1, period + 1)
    for at in (period - 1, MILLION // 2, MILLION - 7, MILLION - 1):
        window = values[at - period + 1 : at + 1]
        exact = math.fsum(window.tolist())
        assert sums[at] == pytest.approx(exact, rel=1e-14)
        assert weighted[at] == pytest.approx(math.fsum((window * weights).tolist()) / weights.sum(), rel=1e-14)
        distances = window.astype(np.longdouble) - np.longdouble(exact) / period
        deviation = float(np.sqrt((distances**2).mean()))
        assert upper[at] - middle[at] == pytest.approx(deviation, rel=1e-9, abs=1e-14 * exact)


@pytest.mark.parametrize("period", [2, 14, 100])
def test_smoothing_a_million_rows_is_what_exact_arithmetic_gives(period):
    values, weight = long_walk(), 1 / period

    found = rolling.smoothed(values, period, weight)

    for at in (period, 999, MILLION // 2, MILLION - 1):
        start = max(at - 40 * period, period - 1)  # from there on in 80 bits; 40 periods forget all before
        exact = np.longdouble(found[start])
        for value in values[start + 1 : at + 1].astype(np.longdouble):
            exact += np.longdouble(weight) * (value - exact)
        assert found[at] == pytest.approx(float(exact), rel=1e-13)


def test_bands_of_a_price_that_stands_still_have_no_width():
    prices = np.concatenate([np.full(30, 69_999.9), np.full(50, 0.1)])

    upper, middle, lower = bands.bollinger(prices, period=20, deviations=2)

    assert (upper[-20:] == 0.1).all()
    assert (middle[-20:] == 0.1).all()
    assert (lower[19:30] == 69_999.9).all()


def test_a_price_that_stands_still_is_neither_high_nor_low():
    still, volume = np.full(60, 69_999.9), np.ones(60)

    assert np.isnan(oscillators.rsi(still, period=14)).all()
    assert np.isnan(oscillators.cci(still, still, still, period=20)).all()
    assert np.isnan(oscillators.stochastic(still, still, still, period=14, smooth=3, signal=3)).all()
    assert np.isnan(volumes.mfi(still, still, still, volume, period=14)).all()


def test_a_window_of_more_bars_than_there_are_has_no_value():
    assert np.isnan(rolling.sums(np.ones(3), 4)).all()
    assert rolling.sums(np.ones(4), 4)[3] == 4
