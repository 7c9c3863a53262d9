"""Which kinds of symbols are counted as shares."""

import pytest

from marketdata.types.categories import KNOWN, category_of, is_share


def test_shares_are_those_of_the_exchange_abroad_and_what_nothing_is_known_of():
    assert [one for one in KNOWN if is_share(one)] == ["kospi", "kosdaq", "konex", "overseas"]


@pytest.mark.parametrize(
    ("category", "market", "timezone", "counted"),
    [
        ("", "KRX", "Asia/Seoul", True), ("", "CME", "America/Chicago", False), ("", "NYSE", "America/New_York", True),
        ("etf", "NYSE", "America/New_York", False), ("kospi", "KRX", "Asia/Seoul", True),
    ],
)  # fmt: skip
def test_a_symbol_without_a_category_is_what_its_market_trades(category, market, timezone, counted):
    assert is_share(category_of(category, market=market, timezone=timezone)) is counted
