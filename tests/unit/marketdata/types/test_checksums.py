"""Counts and checksums add up, whatever the parts and their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from marketdata.types import checksums
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.tick_arrays import ABSENT, GREATEST, TICK_BITS
from tests import market
from tests.market import tick_id


def ticks(number: int):
    return market.ticks(
        [
            {"symbol": "AB"[at % 2], "price": at + 1, "tick_id": tick_id(1, at), "trade_date": 20_528 + at % 3}
            for at in range(number)
        ]
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_the_figures_of_parts_add_up_to_the_figure_of_the_whole(owners):
    whole = ticks(len(owners))
    parts = [whole.take(np.array(owners) == owner) for owner in set(owners)]

    together: dict[int, Figure] = {}
    for part in parts:
        for date, figure in checksums.of_ticks(part).items():
            together[date] = together.get(date, Figure()) + figure

    assert together == checksums.of_ticks(whole)


def test_a_batch_is_counted_by_trading_date():
    whole = ticks(9)
    numbers = np.array([7] * 4 + [8] * 5, np.int64)

    found = checksums.by_batch(whole, numbers)

    assert {key: figure.rows for key, figure in found.items()} == {
        (7, 20_528): 2, (7, 20_529): 1, (7, 20_530): 1, (8, 20_528): 1, (8, 20_529): 2, (8, 20_530): 2,
    }  # fmt: skip
    by_hand = checksums.of_ticks(whole.take(numbers == 7))
    assert {date: found[7, date] for date in by_hand} == by_hand


_number = st.one_of(st.just(ABSENT), st.integers(-GREATEST, GREATEST), st.sampled_from([0, 1, -1, PRIME, -PRIME]))
_row = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "trade_date": st.integers(20_528, 20_530),
        "symbol": st.sampled_from(["A", "B", "005930"]),
        "time_us": st.integers(-(2**62), 2**62),
        "kind": st.integers(1, 4),
        "side": st.integers(0, 2),
        **dict.fromkeys(checksums.FACTORS, _number),
    }
)


def remainder(value: int) -> int:
    """Cut towards zero, as every database does it."""
    return value % PRIME if value >= 0 else -(-value % PRIME)


def hash_by_hand(row: dict[str, int], number: int) -> int:
    mixed = remainder(row["time_us"]) * checksums.TIME + row["kind"] * checksums.KIND + row["side"] * checksums.SIDE
    mixed += 4 * checksums.SOURCE
    for name, (factor, unless) in checksums.FACTORS.items():
        mixed += -unless if row[name] == ABSENT else remainder(row[name]) * factor
    return (remainder(number) + 1) * remainder(mixed)


@given(st.lists(_row, max_size=40))
def test_all_batches_in_one_go_have_the_figures_that_their_rows_add_up_to(rows):
    given_rows = [{**row, "tick_id": tick_id(row["batch"], at)} for at, row in enumerate(rows)]
    whole = market.ticks([{name: row[name] for name in row if name != "batch"} for row in given_rows])

    found = checksums.by_batch(whole, whole.tick_id >> TICK_BITS)

    wanted: dict[tuple[int, int], Figure] = {}
    for row in given_rows:
        one = checksums.of_series(row["symbol"], "krx", 1, hash_by_hand(row, row["tick_id"]))
        key = row["tick_id"] >> TICK_BITS, row["trade_date"]
        wanted[key] = wanted.get(key, Figure()) + one
    assert found == wanted
    assert list(found) == sorted(found)


def test_the_name_of_a_series_is_part_of_its_checksum():
    assert checksums.of_series("A", "krx", 1, 5) != checksums.of_series("B", "krx", 1, 5)
    assert checksums.of_series("A", "krx", 1, 5) != checksums.of_series("A", "nxt", 1, 5)
    assert all(0 < checksums.weight(symbol, "krx") < PRIME for symbol in ("", "A", "005930"))


def test_differences_name_the_series_and_a_missing_one_is_nothing():
    one, two = (
        {("A", "krx"): Figure(1, 5), ("B", "krx"): Figure()},
        {("A", "krx"): Figure(1, 6), ("C", "nxt"): Figure(2, 1)},
    )

    assert checksums.differences(one, two) == [("A", "krx"), ("C", "nxt")]


def test_no_ticks_have_no_figure():
    assert checksums.of_ticks(market.ticks([])) == {}
    assert checksums.total([]) == Figure(0, 0)
