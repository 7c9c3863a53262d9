"""What follows from daily candles."""

import pytest

from analytics.series import day_statistics
from marketdata.types import daily_bars
from marketdata.types.tick_arrays import ABSENT
from tests.market import price, size


def day(date, close, **other):
    """A row of a daily candle whose prices are all this one."""
    given = {
        "trade_date": date, "volume": size("7"), "value": 700, "value_frac": 5, "n": 2, "regular_volume": size("4"),
        **dict.fromkeys(
            ("open", "high", "low", "close", "last", "regular_open", "regular_high", "regular_low"), price(close)
        ),
        **other,
    }  # fmt: skip
    return tuple(given[name] for name in daily_bars.COLUMNS)


def days(*rows):
    return daily_bars.from_rows("005930", "krx", list(rows))


def test_each_date_is_compared_with_the_one_before_in_either_order():
    found = days(day(3, "100"), day(5, "110"), day(4, "104"))

    told = day_statistics.of_days(found, price("80"))

    assert [(one.previous_close, one.change, one.percent) for one in told] == [
        (price("80"), price("20"), 250_000), (price("104"), price("6"), 57_692), (price("100"), price("4"), 40_000),
    ]  # fmt: skip
    (first,) = day_statistics.of_days(days(day(3, "100")), None)
    assert (first.previous_close, first.change, first.percent) == (None, None, None)
    assert day_statistics.of_days(days(), None) == []


def test_turnover_and_sizes_are_exact():
    (one,) = day_statistics.of_days(days(day(3, "100")), None)

    assert (one.turnover, one.trade_size, one.regular_volume) == (700 * 10**14 + 5, size("3.5"), size("4"))


@pytest.mark.parametrize(("before", "percent"), [("-37.63", None), ("0", None), ("3", 33_333_333)])
def test_a_change_is_told_in_per_cent_of_a_positive_price_only(before, percent):
    (one,) = day_statistics.of_days(days(day(3, "103")), price(before))

    assert one.percent == percent


def test_volatility_is_that_of_the_regular_range_and_of_all_trades_without_one():
    """ln 2 / sqrt(4 ln 2) = sqrt(ln 2) / 2."""
    regular = day(3, "100", regular_high=price("200"), high=price("300"))
    none = day(4, "100", high=price("200"), regular_high=ABSENT, regular_low=ABSENT, regular_volume=ABSENT)

    told = day_statistics.of_days(days(regular, none, day(5, "-1")), None)

    assert [one.volatility for one in told] == [41_627_731, 41_627_731, None]
    assert (told[0].high, told[1].regular_volume) == (price("300"), 0)
    assert day_statistics.volatility(price("5"), price("5")) == 0
