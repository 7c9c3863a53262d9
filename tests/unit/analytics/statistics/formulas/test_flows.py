"""Active volume by side and tick rule, by minute and over minutes, and the sizes of trades."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.series import candles
from analytics.statistics.formulas import flows
from tests import market
from tests.market import MINUTE_US, NINE_US, price, size, tick_id

UNKNOWN, BUY, SELL = 0, 1, 2


def trades(rows):
    """From (minute, price, size, side)."""
    return market.ticks([
        {
            "time_us": NINE_US + minute * MINUTE_US + at, "tick_id": tick_id(1, at), "price": price(str(at_price)),
            "size": size(str(shares)), "side": side,
        }
        for at, (minute, at_price, shares, side) in enumerate(rows)
    ])  # fmt: skip


def computed(ticks):
    bars = candles.build(ticks)
    found = flows.of_trades(ticks, bars)
    return found, flows.split(found, bars.open, bars.close)


def one_by_one(rows):
    """The same, trade by trade."""
    totals, sign, before = {1: 0, -1: 0, 0: 0}, 0, None
    for _, at_price, shares, side in rows:
        sign = sign if before is None or at_price == before else (1 if at_price > before else -1)
        before = at_price
        totals[{BUY: 1, SELL: -1, UNKNOWN: sign}[side]] += int(size(str(shares)))
    return totals[1], totals[-1]


ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(100, 103), st.integers(1, 500), st.sampled_from([UNKNOWN, BUY, SELL])),
    min_size=1, max_size=60,
).map(lambda rows: sorted(rows, key=lambda row: row[0]))  # fmt: skip


@given(ROWS)
def test_minutes_told_apart_give_together_what_the_trades_give_one_by_one(rows):
    assert computed(trades(rows))[1] == one_by_one(rows)


@given(ROWS, st.integers(0, 5))
def test_only_the_minutes_whose_candle_changed_are_read_again_and_nothing_else_differs(rows, minute):
    kept, _ = computed(trades(rows))
    more = trades(sorted([*rows, (minute, 101, 7, UNKNOWN)], key=lambda row: row[0]))
    bars = candles.build(more)

    changed = flows.changed(kept, bars)
    part = bars.take(changed)
    fresh = flows.of_trades(more.take(np.isin(more.time_us // MINUTE_US * MINUTE_US, part.time_us)), part)
    made, whole = flows.merged(kept, fresh, bars.time_us), computed(more)[0]

    assert part.time_us.tolist() == [NINE_US + minute * MINUTE_US]
    unpacked, day = flows.unpack(flows.pack(made, 7))
    assert day == 7
    for name in ("time_us", "up", "down", "lead", "sign", "classes", *flows.CHECKED):
        assert getattr(unpacked, name).tolist() == getattr(whole, name).tolist()


def test_the_side_that_the_feed_tells_counts_and_the_first_trades_of_all_count_for_neither():
    rows = [(0, 100, 3, UNKNOWN), (0, 100, 5, SELL), (1, 100, 7, UNKNOWN), (1, 101, 11, UNKNOWN), (2, 101, 13, UNKNOWN)]

    assert computed(trades(rows))[1] == (size("24"), size("5"))


def test_sizes_fall_into_classes_whose_lower_bound_belongs_to_them():
    rows = [(0, 100, shares, UNKNOWN) for shares in ("0.5", "9.999999", 10, 99, 100, 1000, 10_000, 99_999, 100_000)]

    assert computed(trades(rows))[0].classes.tolist() == [[2, 2, 1, 1, 2, 1]]


def test_a_minute_that_is_gone_is_forgotten_and_without_candles_there_is_nothing():
    found, _ = computed(trades([(0, 100, 1, BUY), (1, 100, 1, BUY)]))

    left = flows.merged(found, flows.empty(), found.time_us[:1])

    assert left.time_us.tolist() == found.time_us[:1].tolist()
    assert flows.split(flows.empty(), found.time_us[:0], found.time_us[:0]) == (0, 0)
