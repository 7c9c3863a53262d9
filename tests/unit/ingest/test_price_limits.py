"""Which trades lie outside the price limits of their day."""

import pytest

from ingest import price_limits
from marketdata.reference.symbols import PriceLimits, Rules
from terminals import wire
from tests import market
from tests.market import DAY_US, NINE_US

DAY = NINE_US // DAY_US


def rules(limits: PriceLimits | None) -> Rules:
    return Rules(is_active=True, timezone="Asia/Seoul", trade_date_shift_s=0, limits=limits)


RULES = {
    "005930": rules(PriceLimits(market.price("49000"), market.price("91000"), DAY)),
    "000660": rules(None),
}


@pytest.mark.parametrize(("price", "is_outside"), [
    ("48999.99999999", True), ("49000", False), ("70000", False), ("91000", False), ("91000.00000001", True),
])  # fmt: skip
def test_the_limits_themselves_are_prices_of_the_day(price, is_outside):
    ticks = market.ticks([{"price": market.price(price)}])

    found = price_limits.outside(ticks, RULES)

    assert found is not None
    assert found.tolist() == [is_outside]


def test_only_trades_of_the_date_and_of_a_symbol_that_the_limits_are_of_are_judged():
    far = market.price("200000")
    ticks = market.ticks([
        {"price": far},
        {"price": far, "trade_date": DAY - 1},
        {"price": far, "trade_date": DAY + 1},
        {"price": far, "symbol": "000660"},
        {"price": far, "symbol": "999999"},
        {"price": far, "kind": wire.Kind.SNAPSHOT},
        {"price": far, "kind": wire.Kind.EXPECTED},
        {"bid": far, "kind": wire.Kind.QUOTE},
    ])  # fmt: skip

    found = price_limits.outside(ticks, RULES)

    assert found is not None
    assert found.tolist() == [True] + [False] * 7


def test_without_limits_nothing_is_judged():
    assert price_limits.outside(market.ticks([{"symbol": "000660"}]), RULES) is None
    assert price_limits.outside(market.ticks([]), {}) is None
