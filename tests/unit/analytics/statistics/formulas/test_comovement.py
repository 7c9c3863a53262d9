"""Correlation and beta against what numpy has for them, and where there is nothing to tell."""

import numpy as np
import pytest

from analytics.statistics.formulas import comovement

RETURNS = np.random.default_rng(7).normal(0, 0.01, (4, 90))
RETURNS[1] = 0.6 * RETURNS[0] + RETURNS[1]


def test_correlations_are_those_of_the_last_days():
    found = comovement.correlation(RETURNS, 60)

    assert found == pytest.approx(np.corrcoef(RETURNS[:, -60:]))


def test_who_lacks_a_day_or_did_not_move_has_no_correlation():
    returns = RETURNS.copy()
    returns[2, -3], returns[3, :] = np.nan, 0.0

    found = comovement.correlation(returns, 60)

    assert np.isnan(found[2:]).all()
    assert np.isnan(found[:, 2:]).all()
    assert found[:2, :2] == pytest.approx(np.corrcoef(RETURNS[:2, -60:]))
    assert np.isnan(comovement.correlation(RETURNS, 91)).all()


def test_beta_is_the_slope_of_a_line_through_the_returns():
    index = RETURNS[0]

    found = comovement.beta(RETURNS[1], index, 60)

    assert found == pytest.approx(np.polyfit(index[-60:], RETURNS[1, -60:], 1)[0])
    assert np.isnan(comovement.beta(RETURNS[1], index, 91))
    assert np.isnan(comovement.beta(RETURNS[1], np.zeros(90), 60))
