"""Adjusted candles are the exact product of their factors, rounded once."""

from fractions import Fraction

import numpy as np

from analytics.series.adjustment import Factor, adjusted, close_before, of_newest
from marketdata.types import daily_bars, minute_bars
from marketdata.types.minute_bars import MOST, VALUE_UNIT
from marketdata.types.tick_arrays import ABSENT


def minutes(*rows):
    """One candle per (day, price, volume), of which the value is their product."""
    numbers = [
        [day * 86_400_000_000, day, *[price] * 4, volume, *divmod(price * volume, VALUE_UNIT), 1, 0, 0, 0, 0, 0]
        for day, price, volume in rows
    ]
    return minute_bars.from_numbers("krx", "005930", np.array(numbers, np.int64))


def test_a_split_concerns_the_days_before_it_and_leaves_the_traded_value():
    bars = minutes((9, 265_000_00000000, 3_000000), (10, 5_300_00000000, 150_000000))

    found = adjusted(bars, [Factor(10, Fraction(1, 50), Fraction(50))])

    assert found.close.tolist() == [5_300_00000000, 5_300_00000000]
    assert found.volume.tolist() == [150_000000, 150_000000]
    assert found.value.tolist() == bars.value.tolist()
    assert bars.close.tolist()[0] == 265_000_00000000, "what is stored is left alone"


def test_factors_are_multiplied_before_anything_is_rounded_and_halves_go_up():
    third, triple = Factor(10, Fraction(1, 3), Fraction(3)), Factor(20, Fraction(3), Fraction(1, 3))

    found = adjusted(minutes((5, 1, 1), (15, 1, 1), (25, 1, 1)), [triple, third])

    assert found.close.tolist() == [1, 3, 1]
    assert found.volume.tolist() == [1, 0, 1]
    assert adjusted(minutes((5, 5, 1), (5, -5, 1)), [Factor(6, Fraction(1, 2), Fraction(1))]).close.tolist() == [3, -2]


def test_large_numbers_are_exact_and_bounded():
    ratio = Fraction(999_999_999, 1_000_000_000)
    price = 4_611_686_018_427_387

    found = adjusted(minutes((5, price, 1)), [Factor(6, ratio, Fraction(1))])

    assert found.high.tolist() == [(2 * price * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)]
    assert adjusted(minutes((5, 1, MOST - 1)), [Factor(6, Fraction(1), Fraction(10**9))]).volume.tolist() == [MOST]


def test_where_there_is_nothing_any_ratio_leaves_nothing():
    ratio = Fraction(3**60, 2**90)
    days = daily_bars.from_rows("005930", "krx", [(5, *[700] * 5, 0, 0, 0, 2, ABSENT, ABSENT, ABSENT, ABSENT)])

    (found,) = daily_bars.rows(adjusted(days, [Factor(7, ratio, 1 / ratio)]))

    assert found[6:] == (0, 0, 0, 2, *[ABSENT] * 4)


def test_of_daily_candles_the_session_is_adjusted_too_and_what_is_absent_stays_so():
    row = (5, *[700] * 5, 10, 0, 7000, 2, ABSENT, ABSENT, ABSENT, ABSENT)
    days = daily_bars.from_rows("005930", "krx", [row, (6, *[700] * 5, 10, 0, 7000, 2, 700, 700, 700, 4)])

    found = adjusted(days, [Factor(7, Fraction(1, 2), Fraction(2))])

    assert daily_bars.rows(found) == [
        (5, *[350] * 5, 20, 0, 7000, 2, *[ABSENT] * 4),
        (6, *[350] * 5, 20, 0, 7000, 2, 350, 350, 350, 8),
    ]


def test_a_day_is_compared_with_the_close_before_it_in_its_own_shares():
    row = dict.fromkeys(daily_bars.COLUMNS, 1)
    rows = [tuple({**row, "trade_date": day, "close": close}.values()) for day, close in ((10, 5_300), (9, 265_000))]
    days = daily_bars.from_rows("005930", "krx", rows)
    split = Factor(10, Fraction(1, 50), Fraction(50))

    assert close_before(days, [split]) == 5_300
    assert close_before(days, [Factor(11, split.price, split.size)]) == 265_000, "it is not in force yet"
    assert close_before(days.take(slice(1)), [split]) is None
    assert of_newest(days, [split]).close.tolist() == [5_300, 5_300]
    assert of_newest(days, [Factor(11, split.price, split.size)]).close.tolist() == [5_300, 265_000]
    assert len(of_newest(days.take(slice(0)), [split])) == 0
