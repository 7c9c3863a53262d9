"""The made-up market keeps KRX's rules of prices, and the same seed gives the same day."""

import itertools

import pytest

from terminals import wire
from terminals.sources.market import SimulatedMarket, names, on_grid, tick_size


def trades(count, **options):
    market = SimulatedMarket(**{"symbols": 50, "seed": 7, **options})
    return [row for number in range(count) for row in market.trade(1_000_000 + number)]


@pytest.mark.parametrize(
    ("price", "step"),
    [(1, 1), (1_999, 1), (2_000, 5), (4_995, 5), (5_000, 10), (19_990, 10), (20_000, 50), (49_950, 50), (50_000, 100),
     (199_900, 100), (200_000, 500), (499_500, 500), (500_000, 1_000), (2_000_000, 1_000)],
)  # fmt: skip
def test_the_tick_sizes_are_those_of_2023(price, step):
    assert tick_size(price) == step
    assert on_grid(price) == price


def test_every_price_and_quote_is_on_the_grid_and_within_the_days_limits():
    rows = trades(20_000)
    first: dict[str, int] = {}

    for row in rows:
        for mantissa in (row.get("price"), row.get("bid"), row.get("ask")):
            if mantissa is None:
                continue
            won, rest = divmod(mantissa, 10**8)
            assert rest == 0
            assert won % tick_size(won) == 0
            base = first.setdefault(row["symbol"], won)
            assert 0.68 < won / base < 1.32


def test_no_quote_is_crossed():
    quotes = [row for row in trades(20_000) if row["kind"] == wire.Kind.QUOTE]

    assert len(quotes) > 1000
    assert all(0 < row["bid"] <= row["ask"] for row in quotes)
    assert all(row["bid_size"] > 0 and row["bid_size"] % 10**4 == 0 for row in quotes)


def test_the_same_seed_gives_the_same_day_and_another_seed_another():
    assert trades(2000) == trades(2000)
    assert trades(2000) != trades(2000, seed=8)


def test_times_never_go_back_and_numbers_only_up():
    market = SimulatedMarket(symbols=3, seed=1, first_seq=500)
    rows = [row for now_us in (10, 5, 20, 15) for row in market.trade(now_us)]

    assert [row["time_us"] for row in rows if row["kind"] == wire.Kind.TRADE] == [10, 10, 20, 20]
    assert [row["seq"] for row in rows] == list(range(500, 500 + len(rows)))


def test_the_volume_of_the_day_is_the_sum_of_the_trades():
    volume: dict[str, int] = {}
    for row in trades(5000):
        if row["kind"] == wire.Kind.TRADE:
            volume[row["symbol"]] = volume.get(row["symbol"], 0) + row["size"]
            assert row["cum_volume"] == volume[row["symbol"]]


def test_prices_move_and_volatility_comes_in_bursts():
    prices = [row["price"] for row in trades(30_000, symbols=1) if row["kind"] == wire.Kind.TRADE]
    moves = [abs(after - before) for before, after in itertools.pairwise(prices)]
    mean = sum(moves) / len(moves)
    together = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(moves))

    assert len(set(prices)) > 20
    assert together > 0, "a large move is followed by a large one more often than not"


def test_every_name_says_that_it_is_simulated():
    found = names(700)

    assert len({one.code for one in found}) == len({one.korean for one in found}) == 700
    assert all(len(one.code) == 6 and one.code[0] == "S" and one.korean.endswith("(모의)") for one in found)
