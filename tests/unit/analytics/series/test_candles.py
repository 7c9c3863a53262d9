from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from marketdata.types import minute_bars
from marketdata.types.tick_arrays import ABSENT, GREATEST
from tests import market
from tests.market import MINUTE_US, NINE_US

_small = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B", "000660"]),
        "time_us": st.sampled_from([0, 0, 1, 59_999_999, 60_000_000, 119_999_999, 180_000_000]).map(NINE_US.__add__),
        "price": st.integers(1, 50),
        "size": st.one_of(st.integers(0, 50), st.just(ABSENT)),
        "kind": st.sampled_from([1, 1, 1, 2, 3, 4]),
    }
)
_dated = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["B", "A", "000660"]),
        "time_us": st.sampled_from([0, 0, 1, 59_999_999, 60_000_000]).map(NINE_US.__add__),
        "trade_date": st.sampled_from([20_529, 20_528]),
        "price": st.one_of(st.integers(-(10**17), 10**17), st.sampled_from([GREATEST, -GREATEST])),
        "size": st.one_of(st.integers(0, 10**6), st.just(ABSENT)),
    }
)
_large = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["A", "B"]),
        "time_us": st.integers(NINE_US, NINE_US + 2 * MINUTE_US),
        "price": st.one_of(st.integers(10**15, 10**17), st.integers(1, 10**17)),
        "size": st.one_of(st.integers(10**10, 10**12), st.integers(0, 10**12)),
    }
)


def built(rows, order=None):
    ticks = market.ticks([{**row, "tick_id": at} for at, row in enumerate(rows)])
    return ticks, candles.build(ticks if order is None else market.shuffled(ticks, order))


@given(st.data(), st.lists(_small, max_size=60))
def test_candles_of_an_array_are_those_made_one_by_one(data, rows):
    order = data.draw(st.permutations(range(len(rows))))

    ticks, made = built(rows, order)

    assert market.candles(made) == market.candles_by_hand([ticks])


@given(st.data(), st.lists(_dated, min_size=1, max_size=60))
def test_the_order_in_which_ticks_come_makes_no_difference_to_any_column(data, rows):
    order = data.draw(st.permutations(range(len(rows))))
    keys = [(row["symbol"], row["trade_date"], row["time_us"], at) for at, row in enumerate(rows)]

    _, made = built(rows, order)
    _, sorted_made = built(rows, sorted(range(len(rows)), key=keys.__getitem__))

    for name in minute_bars.COLUMNS:
        assert getattr(made, name).tolist() == getattr(sorted_made, name).tolist(), name


@given(st.lists(_large, min_size=1, max_size=30))
def test_sums_too_large_for_64_bits_in_between_are_exact_all_the_same(rows):
    ticks, made = built(rows)

    assert market.candles(made) == market.candles_by_hand([ticks])


def test_the_group_with_the_most_trades_says_whether_64_bits_hold_the_traded_value():
    many = {"price": market.price("1000000000"), "size": market.size("1000")}  # 1e18 each, ten are more than 64 bits
    ticks, made = built([{**many, "symbol": symbol} for symbol in ("A", *["B"] * 10, "C")])

    assert market.candles(made) == market.candles_by_hand([ticks])
    assert made.value.tolist() == [10**12, 10**13, 10**12]


def test_the_greatest_numbers_are_no_exception():
    ticks, made = built([{"price": GREATEST, "size": 10**9 - 1}, {"price": GREATEST, "size": 1}])

    assert market.candles(made) == market.candles_by_hand([ticks])


def test_candles_come_sorted_by_symbol_and_minute():
    _, made = built(
        [
            {"symbol": symbol, "time_us": NINE_US + minute * MINUTE_US}
            for minute in (2, 0, 1)
            for symbol in ("B", "000660", "A")
        ]
    )

    keys = [(made.symbols[index], time) for index, time in zip(made.symbol, made.time_us, strict=True)]
    assert keys == sorted(keys)


def test_only_trades_make_candles():
    _, made = built([{"kind": kind, "price": 5, "size": 5} for kind in (2, 3, 4)])

    assert len(made) == 0


def test_a_trade_without_a_size_counts_and_moves_the_price_but_not_the_volume():
    _, made = built([{"price": 5, "size": ABSENT}, {"price": 7, "size": 3}])

    assert (made.n.tolist(), made.volume.tolist(), made.open.tolist()) == ([2], [3], [5])


def test_equal_times_are_ordered_by_the_source():
    ticks = market.ticks([{"tick_id": 9, "price": 9}, {"tick_id": 3, "price": 3}, {"tick_id": 5, "price": 5}])

    made = candles.build(ticks)

    assert (made.open.tolist(), made.close.tolist()) == ([3], [9])
    assert (made.open_id.tolist(), made.close_id.tolist()) == ([3], [9])


def test_a_minute_belongs_to_its_first_instant_and_not_to_its_last():
    _, made = built([{"time_us": NINE_US - 1}, {"time_us": NINE_US}, {"time_us": NINE_US + MINUTE_US - 1}])

    assert made.time_us.tolist() == [NINE_US - MINUTE_US, NINE_US]
    assert made.n.tolist() == [1, 2]


def test_one_minute_of_two_trading_dates_is_two_candles():
    _, made = built([{"trade_date": 20_528}, {"trade_date": 20_529}])

    assert (made.n.tolist(), made.trade_date.tolist()) == ([1, 1], [20_528, 20_529])


def test_a_candle_is_late_only_when_its_minute_is_over_and_the_grace_too():
    ticks = market.ticks([{}])
    over = NINE_US + MINUTE_US + 5_000_000

    revisions = [candles.build(ticks, now_us=now, late_after_us=5_000_000).rev.tolist() for now in (over, over + 1)]

    assert revisions == [[0], [1]]
    assert candles.build(ticks).rev.tolist() == [0]


def test_times_too_far_apart_to_share_an_integer_with_a_place_are_ordered_all_the_same():
    times = [2**62, -(2**62), 0, 2**62, NINE_US, -(2**62)]
    rows = [{"time_us": time, "price": at + 1, "trade_date": 20_529} for at, time in enumerate(times)]

    ticks, made = built(rows, [3, 0, 5, 2, 1, 4])

    assert market.candles(made) == market.candles_by_hand([ticks])
    assert made.time_us.tolist() == sorted(made.time_us.tolist())
