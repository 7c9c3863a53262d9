import datetime
import json
from decimal import Decimal

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from api.stream import encoding
from api.stream.encoding import DayLimits, Form
from marketdata.types.tick_arrays import GREATEST
from tests import market

PACKED = Form(packed=True)


@given(st.integers(-GREATEST, GREATEST))
def test_messagepack_numbers_come_back_to_the_digit(value):
    shown = encoding.number(value, 8)

    assert Decimal(repr(shown) if isinstance(shown, float) else shown).scaleb(8) == value


def test_a_packed_trade_has_what_the_official_clients_read():
    ticks = market.ticks([{"price": market.price("4800.25"), "tick_id": 9, "side": 2}])

    (message,) = encoding.trades(PACKED, ticks, [5])

    trade = msgpack.unpackb(message)
    assert trade.pop("t").to_datetime().isoformat() == "2026-03-16T00:00:00+00:00"
    assert trade == {"T": "t", "S": "005930", "i": 9, "x": "krx", "p": 4800.25, "s": 1, "c": [], "z": "", "tks": "S"}


def test_a_packed_candle_and_quote_too():
    (bar,) = encoding.bars(PACKED, candles.build(market.ticks([{}])), kind="u", closed=True)
    (quote,) = encoding.quotes(PACKED, market.ticks([{"kind": 2, "bid": market.price("1")}]))

    shown = msgpack.unpackb(bar.data)
    assert [shown[name] for name in ("T", "o", "h", "l", "c", "v", "n", "vw", "x", "rev")] == [
        "u",
        70000,
        70000,
        70000,
        70000,
        1,
        1,
        70000,
        True,
        0,
    ]
    assert [msgpack.unpackb(quote.data)[name] for name in ("T", "bp", "ap", "bs", "as")] == ["q", 1, 0, 0, 0]


def test_long_arrays_have_long_headers():
    for count in (1, 15, 16, 65_535, 65_536):
        pieces = [encoding.message(PACKED, {})] * count

        assert len(msgpack.unpackb(encoding.frame(PACKED, pieces), max_array_len=10**6)) == count


@pytest.mark.parametrize("packed", [False, True])
def test_price_limits_are_exact_in_both_forms(packed):
    date, lower, upper = datetime.date(2026, 3, 16), market.price("49000"), market.price("91000.5")

    (piece,) = encoding.limits(Form(packed), [DayLimits("005930", "krx", date, market.NINE_US, lower, upper)])

    told = msgpack.unpackb(piece.data) if packed else json.loads(piece.data)
    assert (told["T"], told["S"], told["d"], told["u"], told["td"]) == ("l", "005930", 49000, 91000.5, "2026-03-16")


def test_a_snapshot_has_the_members_of_rest_in_both_forms():
    members = {"latestTrade": msgspec.Raw(b'{"p":4800.25,"s":12345678901234567.5}')}

    (packed,) = encoding.snapshots(PACKED, {"005930": members})
    (text,) = encoding.snapshots(Form(packed=False), {"005930": members})

    trade = {"p": 4800.25, "s": "12345678901234567.5"}  # no double gives that one back
    assert msgpack.unpackb(packed.data) == {"T": "snapshot", "S": "005930", "latestTrade": trade}
    assert text.data == b'{"T":"snapshot","S":"005930","latestTrade":{"p":4800.25,"s":12345678901234567.5}}'
