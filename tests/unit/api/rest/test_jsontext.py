import json
from decimal import Decimal, localcontext

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candle_texts, candles
from api.rest import jsontext, renderers
from marketdata.types import minute_bars
from marketdata.types.minute_bars import MOST, VALUE_UNIT
from marketdata.types.tick_arrays import ABSENT, GREATEST
from tests import market

prices = st.integers(-GREATEST, GREATEST)


@given(st.lists(prices, min_size=1, max_size=8))
def test_every_price_comes_back_to_the_digit(values):
    shown = candle_texts.decimals(np.array(values, np.int64), 8)

    assert [Decimal(str(one)).scaleb(8) for one in shown] == values


def test_a_trade_is_the_dialect_s_trade():
    ticks = market.ticks([{"price": market.price("4800.25"), "size": market.size("3"), "side": 1, "tick_id": 7}])

    assert json.loads(jsontext.array(jsontext.trades(ticks)), parse_float=Decimal) == [
        {
            "t": "2026-03-16T00:00:00.000000Z",
            "p": Decimal("4800.25"),
            "s": 3,
            "x": "krx",
            "i": 7,
            "c": [],
            "z": "",
            "tks": "B",
        }
    ]


def test_a_trade_without_a_size_says_so():
    ticks = market.ticks([{"size": ABSENT}])

    (trade,) = json.loads(jsontext.array(jsontext.trades(ticks)))

    assert (trade["s"], trade["c"]) == (0, ["no_size"])


def test_a_candle_carries_its_average_price_exactly():
    rows = [
        {"price": market.price("10"), "size": market.size("1")},
        {"price": market.price("11"), "size": market.size("2")},
    ]
    found = candles.build(market.ticks(rows))

    (bar,) = json.loads(jsontext.array(candle_texts.bars(found, closed=np.array([True]))), parse_float=Decimal)

    assert bar["vw"] == Decimal("10.66666667")
    assert (bar["o"], bar["h"], bar["l"], bar["c"], bar["v"], bar["n"], bar["x"]) == (10, 11, 10, 11, 3, 2, True)
    assert "gap" not in bar


_values = st.one_of(st.integers(-(10**4), 10**4), st.integers(-MOST, MOST))
_volumes = st.one_of(st.integers(0, 3), st.integers(0, 10**12), st.integers(0, MOST))


@given(st.lists(st.tuples(_values, st.integers(0, VALUE_UNIT - 1), _volumes), min_size=1, max_size=6))
def test_average_prices_are_those_of_whole_numbers_without_bounds(rows):
    found = candles.build(
        market.ticks([{"time_us": market.NINE_US + at * market.MINUTE_US} for at in range(len(rows))])
    )
    found.value, found.value_frac, found.volume = (np.array(column, np.int64) for column in zip(*rows, strict=True))

    shown = json.loads(
        jsontext.array(candle_texts.bars(found, closed=np.ones(len(rows), np.bool_))),
        parse_int=Decimal,
        parse_float=Decimal,
    )

    exact = [
        ((value * VALUE_UNIT + part) * 2 + volume) // (2 * volume) if volume else None for value, part, volume in rows
    ]
    assert candle_texts.average_prices(found) == exact
    with localcontext(prec=80):
        assert [None if bar["vw"] is None else bar["vw"].scaleb(8) for bar in shown] == exact


def test_no_candles_have_no_average_prices():
    assert candle_texts.average_prices(minute_bars.empty()) == []


def test_a_candle_without_volume_has_no_average_price():
    found = candles.build(market.ticks([{"size": ABSENT}]))

    (bar,) = json.loads(jsontext.array(candle_texts.bars(found, closed=np.array([False]), gap=np.array([True]))))

    assert (bar["vw"], bar["v"], bar["gap"], bar["x"]) == (None, 0, 1, False)


def test_a_quote_side_that_is_not_there_is_zero():
    ticks = market.ticks([{"kind": 2, "bid": market.price("10"), "bid_size": market.size("1.5")}])

    (quote,) = json.loads(jsontext.array(jsontext.quotes(ticks)), parse_float=Decimal)

    assert (quote["bp"], quote["bs"], quote["ap"], quote["as"]) == (10, Decimal("1.5"), 0, 0)


def test_no_rows_are_an_empty_array():
    assert jsontext.array([]) == b"[]"


@pytest.mark.parametrize("value", [Decimal("0.1"), Decimal("999999999.99999999")])
def test_the_renderer_writes_decimals_as_numbers(value):
    assert renderers.JSONRenderer().render({"p": value}) == f'{{"p":{value}}}'.encode()


def test_the_renderer_takes_ready_text_and_indents_it_for_people():
    shown = renderers.JSONRenderer().render({"bars": msgspec.Raw(b'[{"p":0.10}]')}, None, {"indent": 4})

    assert b'"p": 0.10' in shown
    assert b"\n" in shown
