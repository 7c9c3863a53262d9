"""The made-up market keeps KRX's rules of prices, and the same seed gives the same day."""

import itertools

import pytest

from terminals import wire
from terminals.sources.market import INDICES, SimulatedMarket, names, on_grid, tick_size


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


def test_a_book_lies_around_the_price_on_the_grid_best_first_and_within_the_days_limits():
    market = SimulatedMarket(symbols=20, seed=7)
    for number in range(2000):
        market.trade(number)
        book = market.book(number)
        bids, asks = [[price // 10**8 for price, _ in book[side]] for side in ("bids", "asks")]

        assert book["kind"] == wire.Kind.BOOK
        assert 1 <= len(bids) <= 10 or 1 <= len(asks) <= 10
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert not bids or not asks or bids[0] < asks[0]
        assert all(one % tick_size(one) == 0 for one in asks)
        assert book["bid_total"] >= sum(size for _, size in book["bids"]) > 0 or not bids


def test_a_snapshot_tells_the_day_so_far():
    market = SimulatedMarket(symbols=1, seed=7)
    assert "open" not in market.snapshot(0)
    prices = [row["price"] for number in range(500) for row in market.trade(number) if row["kind"] == wire.Kind.TRADE]

    told = market.snapshot(500)

    assert told["kind"] == wire.Kind.SNAPSHOT
    assert (told["open"], told["high"], told["low"], told["price"]) == (
        prices[0], max(prices), min(prices), prices[-1]
    )  # fmt: skip
    assert told["lower_limit"] < told["prev_close"] < told["upper_limit"]
    assert abs(told["change_rate"] / 1e8 - (told["price"] / told["prev_close"] - 1) * 100) <= 0.01


def test_a_stock_far_from_its_base_is_an_event_once_and_so_is_its_return():
    market = SimulatedMarket(symbols=50, seed=7)
    told = []
    for number in range(60_000):
        market.trade(number)
        if number % 100 == 0:
            told += market.events(number)

    states: dict[str, list[str]] = {}
    for event in told:
        states.setdefault(event["symbol"], []).append(event["body"]["state"])
    assert states
    assert all(state == ["on", "off"][at % 2] for of in states.values() for at, state in enumerate(of))
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))


def test_the_indices_are_what_their_stocks_are_worth_against_their_bases():
    market = SimulatedMarket(symbols=50, seed=7)
    bases = {stock.code: stock.base for stock in market._stocks}
    at_first = market.indices(0)
    last = dict(bases)
    for number in range(5000):
        for row in market.trade(number):
            if row["kind"] == wire.Kind.TRADE:
                last[row["symbol"]] = row["price"] // 10**8

    told = market.indices(5000)

    assert [row["symbol"] for row in told] == [one.code for one, _ in INDICES]
    assert [row["price"] for row in at_first] == [1000 * 10**8] * 2
    assert all((row["kind"], row["size"], row["time_us"]) == (wire.Kind.TRADE, 1, 5000) for row in told)
    shares = {stock.code: weight for stock, weight in zip(market._stocks, weights(market), strict=True)}
    large = sorted(shares, key=lambda code: -shares[code])[:20]
    for row, members in zip(told, (list(shares), large), strict=True):
        level = (
            1000 * sum(shares[one] * last[one] / bases[one] for one in members) / sum(shares[one] for one in members)
        )
        assert row["price"] == round(level * 100) * 10**6
    assert told[0]["price"] != told[1]["price"]


def weights(market):
    """The share of the trading that each stock has, in the order of their codes."""
    return [after - before for before, after in itertools.pairwise([0.0, *market._busy])]


def test_what_is_told_beside_them_changes_no_trade():
    market = SimulatedMarket(symbols=50, seed=7)
    rows = []
    for number in range(500):
        market.book(1_000_000 + number)
        market.events(1_000_000 + number)
        rows += market.trade(1_000_000 + number)

    assert rows == trades(500)


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
