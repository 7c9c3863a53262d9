import msgpack
import numpy as np

from analytics.series import candles
from marketdata.types import minute_bars
from tests import market
from tests.market import MINUTE_US, NINE_US


def some(symbol: str):
    ticks = market.ticks(
        [{"symbol": symbol, "time_us": NINE_US + at * MINUTE_US, "price": at + 1, "size": 3} for at in range(3)]
    )
    return candles.build(ticks)


def test_what_is_packed_for_the_feed_is_unpacked_the_same():
    bars = some("005930")

    again = minute_bars.unpack(minute_bars.pack(bars))

    assert market.candles(again) == market.candles(bars)
    assert all(
        getattr(again, name).tolist() == getattr(bars, name).tolist()
        and getattr(again, name).dtype == getattr(bars, name).dtype
        for name in minute_bars.COLUMNS
    )


def test_candles_of_several_symbols_joined_keep_their_own():
    parts = [some("005930"), some("000660"), minute_bars.empty("krx")]

    joined = minute_bars.concatenate(parts)

    assert market.candles(joined) == sorted(one for part in parts for one in market.candles(part))


def test_candles_read_from_rows_know_their_symbols():
    row = ("A", NINE_US, 20_528, 1, 4, 1, 2, 5, 6, 7, 8, 0, NINE_US, 9, NINE_US, 10)

    bars = minute_bars.from_rows("krx", [row, ("B", *row[1:]), row])

    assert [bars.symbols[index] for index in bars.symbol] == ["A", "B", "A"]
    assert (bars.close_id.tolist(), bars.n.tolist()) == ([10] * 3, [8] * 3)


def test_candles_of_one_symbol_from_numbers_are_those_from_rows():
    most = 2**63 - 1
    rows = [
        ("A", NINE_US, 20_528, 1, 4, -1, 2, 5, -6, 7, 8, 0, NINE_US, 9, NINE_US, 10),
        ("A", NINE_US + 60_000_000, -3, most, most, -most - 1, most, most, most, most, most, 1, most, most, most, most),
    ]

    bars = minute_bars.from_numbers("krx", "A", np.array([row[1:] for row in rows], np.int64))
    shown = minute_bars.from_numbers("krx", "A", np.array([row[1:12] for row in rows], np.int64))

    assert market.candles(bars) == market.candles(minute_bars.from_rows("krx", rows)) == market.candles(shown)
    assert bars.close_id.tolist() == [10, most]
    assert [getattr(shown, name).tolist() for name in minute_bars.COLUMNS[12:]] == [[0, 0]] * 4
    assert bars.trade_date.dtype == shown.trade_date.dtype == np.int32


def test_no_rows_are_no_candles():
    assert len(minute_bars.from_rows("krx", [])) == 0
    assert len(minute_bars.unpack(minute_bars.pack(minute_bars.empty("krx")))) == 0


def test_candles_that_were_packed_when_sizes_had_four_places_have_six_now():
    bars = candles.build(market.ticks([{"price": market.price("70000.5"), "size": market.size("1.0003")}]))
    feed, symbols, columns, scale = msgpack.unpackb(minute_bars.pack(bars))
    for name in ("volume", "value_frac"):
        columns[name] = (np.frombuffer(columns[name], "<i8") // 100).astype("<i8").tobytes()

    again = minute_bars.unpack(msgpack.packb([feed, symbols, columns]))

    assert scale == 6
    assert market.candles(again) == market.candles(bars)
