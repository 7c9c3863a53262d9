"""Returns and realised volatility against numbers from a textbook and by hand."""

import math

import numpy as np
import pytest

from analytics.statistics.formulas import volatility

# J. Hull, "Options, Futures, and Other Derivatives", the table of the section "Estimating volatility from historical
# data": 21 closes, of which the book says a daily 0.01216 and 19.3 % a year of 252 days.
HULL = np.array([
    20.00, 20.10, 19.90, 20.00, 20.50, 20.25, 20.90, 20.90, 20.90, 20.75, 20.75, 21.00, 21.10, 20.90, 20.90, 21.25,
    21.40, 21.40, 21.25, 21.75, 22.00,
])  # fmt: skip


def test_the_volatility_of_closes_is_that_of_the_textbook_and_nothing_where_history_is_short():
    found = volatility.close_to_close(HULL, 20)

    assert round(found[-1] / math.sqrt(252), 5) == 0.01216
    assert round(found[-1], 3) == 0.193
    assert np.isnan(found[:-1]).all()
    assert np.isnan(volatility.close_to_close(HULL[:20], 20)).all()


def test_returns_are_logarithmic_and_begin_with_nothing():
    found = volatility.log_returns(np.array([100.0, 110.0, 99.0]))

    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([math.log(1.1), math.log(0.9)])
    assert volatility.log_returns(HULL, 20)[-1] == pytest.approx(math.log(22 / 20))
    assert np.isnan(volatility.log_returns(HULL[:3], 20)).all()


def test_ranges_tell_of_volatility_as_parkinson_and_garman_and_klass_have_it():
    open_, high, low, close = (np.array(row, float) for row in ([100, 102], [104, 103], [98, 101], [102, 101]))
    ranges = [math.log(104 / 98), math.log(103 / 101)]
    moves = [math.log(102 / 100), math.log(101 / 102)]

    parkinson = volatility.parkinson(high, low, 2)
    garman_klass = volatility.garman_klass(open_, high, low, close, 2)

    mean = sum(one**2 for one in ranges) / 2
    assert parkinson[-1] == pytest.approx(math.sqrt(252 * mean / (4 * math.log(2))))
    means = sum(0.5 * r**2 - (2 * math.log(2) - 1) * m**2 for r, m in zip(ranges, moves, strict=True)) / 2
    assert garman_klass[-1] == pytest.approx(math.sqrt(252 * means))
    assert np.isnan([parkinson[0], garman_klass[0]]).all()


def test_a_price_that_is_not_positive_has_no_return_and_no_volatility_until_it_is_out_of_the_window():
    closes = np.concatenate([[0.0], HULL])

    found = volatility.close_to_close(closes, 3)

    assert np.isnan(found[:4]).all()
    assert not np.isnan(found[4:]).any()


def test_the_volatility_within_a_day_is_not_annualised():
    assert volatility.realised(np.array([100.0, 101.0, 100.0])) == pytest.approx(math.log(1.01) * math.sqrt(2))
    assert math.isnan(volatility.realised(np.array([100.0])))
