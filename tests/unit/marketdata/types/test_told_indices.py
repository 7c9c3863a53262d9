"""What events tell of indices."""

from decimal import Decimal

import pytest

from marketdata.types import told_indices
from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import PRICE_UNIT


def event(body, kind="index"):
    return MarketEvent(time_us=0, event_id=1, trade_date=20_528, feed="krx", source_id=3, kind=kind, body=body)


@pytest.mark.parametrize("text", ["2731.45", Decimal("2731.45"), 2731.45])
def test_a_value_of_an_index_is_exact(text):
    assert told_indices.value(event({"index": "0001", "prpr_nmix": text})) == ("0001", 2731_45 * PRICE_UNIT // 100)
    assert told_indices.value(event({"index": "1001", "prpr_nmix": "900"})) == ("1001", 900 * PRICE_UNIT)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"index": "0001"}, {"prpr_nmix": "900"}, {"index": "0001", "prpr_nmix": ""},
        {"index": "0001", "prpr_nmix": None}, {"index": "0001", "prpr_nmix": "NaN"},
        {"index": "0001", "prpr_nmix": "Infinity"}, {"index": "0001", "prpr_nmix": "0"},
        {"index": "0001", "prpr_nmix": "-1"}, {"index": "0001", "prpr_nmix": "1e10"},
        {"index": "0001", "prpr_nmix": "1e999999"}, {"index": "0001", "prpr_nmix": True},
        {"index": "0001", "prpr_nmix": "1e-9"},  # below the unit of prices
        {"index": "0001", "prpr_nmix": ["900"]}, {"index": ["0001"], "prpr_nmix": "900"},
        {"index": 1, "prpr_nmix": "900"}, {"index": "anything", "prpr_nmix": "900"},
    ],
)  # fmt: skip
def test_what_tells_no_value_of_a_known_index_is_none(body):
    assert told_indices.value(event(body)) is None


def test_an_event_of_another_kind_tells_no_index():
    assert told_indices.value(event({"index": "0001", "prpr_nmix": "900"}, kind="vi")) is None
