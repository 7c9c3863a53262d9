"""A price outside the limits of its day is stored like others, counted and told, on each database."""

import datetime

import pytest
from prometheus_client import REGISTRY

from marketdata import tasks as upkeep
from marketdata.models import Alarm, Symbol
from marketdata.reference.symbols import Directory
from marketdata.storage import storage
from tests import market
from tests.integration.processing import EVER, process, rows, stored, trade

pytestmark = pytest.mark.usefixtures("worker")
DATE = datetime.date(2026, 3, 16)
LIMITS = {"lower_limit": market.price("49000"), "upper_limit": market.price("91000"), "limits_on": DATE}


def counted(feed: str) -> float:
    return REGISTRY.get_sample_value("naru_outside_limits_trades_total", {"feed": feed}) or 0.0


def test_a_trade_outside_its_limits_is_stored_counted_and_an_alarm():
    Symbol.objects.filter(code="005930").update(**LIMITS)
    before = counted("krx")
    outside = trade(price="91100", size="2"), trade(price="48900", seq=3)

    process(rows(trade(), *outside, trade(symbol="000660", price="1")))

    assert stored() == [market.price(one) for one in ("70000", "91100", "48900")]
    assert storage().read_minutes("005930", "krx", *EVER).high.tolist() == [market.price("91100")]
    assert counted("krx") == before + 2
    alarm = Alarm.objects.get(code="outside_limits", subject="krx", cleared_at=None)
    assert "005930 91100 (49000–91000)" in alarm.message
    assert "가격제한폭" in (alarm.texts or {}).get("ko", "")


def test_a_batch_that_comes_again_is_not_counted_again():
    Symbol.objects.filter(code="005930").update(**LIMITS)
    batch, before = rows(trade(price="91100")), counted("krx")

    process(batch)
    process(batch)

    assert counted("krx") == before + 1


def test_the_alarm_is_over_when_nothing_was_outside_for_a_day():
    Symbol.objects.filter(code="005930").update(**LIMITS)
    process(rows(trade(price="91100")))
    upkeep.watch_upkeep()
    assert Alarm.objects.get(code="outside_limits").cleared_at is None
    Alarm.objects.update(seen_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=25))

    upkeep.watch_upkeep()

    assert Alarm.objects.get(code="outside_limits").cleared_at is not None


def test_limits_are_known_of_their_date_and_of_nothing_in_liquidation():
    Symbol.objects.filter(code="005930").update(**LIMITS)
    Symbol.objects.filter(code="000660").update(**LIMITS, is_in_liquidation=True)

    found = Directory().find(["005930", "000660"])

    assert found["005930"].limits == (market.price("49000"), market.price("91000"), market.NINE_US // market.DAY_US)
    assert found["000660"].limits is None
