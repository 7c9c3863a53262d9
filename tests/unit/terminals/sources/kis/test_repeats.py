"""Trades without accounts that come again."""

import json

import pytest

from terminals.sources.kis import repeats
from terminals.sources.kis.repeats import Repeats
from terminals.wire import Kind


def trade(volume, *, symbol="AAPL", **other):
    return {
        "symbol": symbol, "kind": Kind.TRADE, "time_us": 5, "price": 100, "size": 3, "cum_volume": volume, **other,
    }  # fmt: skip


def test_a_trade_that_comes_again_is_left_out():
    known = Repeats()
    first, second = trade(10), trade(13)

    assert known.check("kis_delayed", [first, second, first]) == ([first, second], [first])
    assert known.check("kis_delayed", [second, trade(16)]) == ([trade(16)], [second])
    assert known.count == 2


@pytest.mark.parametrize("other", [
    trade(13), trade(10, time_us=6), trade(10, price=101), trade(10, size=4), trade(10, symbol="MSFT"),
])  # fmt: skip
def test_equal_trades_of_one_second_are_two_when_the_volume_moves_or_anything_differs(other):
    known = Repeats()

    assert known.check("kis_delayed", [trade(10), other]) == ([trade(10), other], [])
    assert known.check("kis_overseas", [trade(10)]) == ([trade(10)], [])


def test_what_is_no_trade_or_tells_no_volume_is_let_through():
    rows = [trade(None), trade(None), *[{"symbol": "AAPL", "kind": Kind.BOOK, "bids": []}] * 2]

    assert Repeats().check("kis_delayed", rows) == (rows, [])


def test_the_last_trades_are_known_after_a_restart():
    known, again = Repeats(), Repeats()
    rows = [trade(volume) for volume in range(20)]
    known.check("kis_night", rows)

    again.load(json.loads(json.dumps(known.state())))

    assert again.check("kis_night", rows[-8:]) == ([], rows[-8:])
    with pytest.raises(ValueError, match="no recent trades"):
        again.load([["kis_night", "A01612", [5]]])


def test_beyond_its_symbols_nothing_is_known(monkeypatch):
    monkeypatch.setattr(repeats, "_SYMBOLS", 1)
    known = Repeats()

    new, again = known.check("kis_delayed", [trade(1), trade(1, symbol="MSFT"), trade(1, symbol="MSFT"), trade(1)])

    assert (len(new), again) == (3, [trade(1)])
