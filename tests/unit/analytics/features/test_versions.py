"""A candle as it was known: what came late is not in it before it came, and what was taken back is in it until then."""

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.features import versions
from analytics.features.versions import FOREVER
from analytics.series import candles
from marketdata.types import minute_bars
from tests.market import MINUTE_US, NINE_US, price, size, ticks

END_US = NINE_US + MINUTE_US


def trade(seconds, text, shares="1"):
    return {"time_us": NINE_US + seconds * 1_000_000, "price": price(text), "size": size(shares)}


def told(rows, known, gone=None):
    """(since, until, close, trades) of each version, by time."""
    gone_us = np.array(gone or [FOREVER] * len(rows), np.int64)
    found = versions.of_trades(ticks(rows), np.array(known, np.int64), gone_us)
    return sorted(
        zip(
            found.since_us.tolist(), found.until_us.tolist(), found.bars.close.tolist(), found.bars.n.tolist(),
            strict=True,
        )
    )  # fmt: skip


@given(
    market=st.lists(
        st.tuples(
            st.integers(0, 3),  # minute
            st.integers(0, 59),  # second
            st.integers(90, 110),  # price
            st.integers(0, 9),  # size; 0 counts for nothing
            st.integers(0, 6),  # half minutes until it was committed
            st.one_of(st.none(), st.integers(0, 6)),  # half minutes until it was taken back
            st.booleans(),  # whether it is of the trading date before
        ),
        min_size=1,
        max_size=60,
    ),
    together=st.sampled_from([1, 7, 100_000]),
)
def test_at_each_moment_one_version_holds_and_it_is_the_candle_of_what_counted_then(market, together):
    given_ticks = ticks([trade(60 * one[0] + one[1], str(one[2]), str(one[3])) for one in market])
    given_ticks.trade_date[[one[6] for one in market]] -= 1
    known = given_ticks.time_us + np.array([one[4] for one in market], np.int64) * 30_000_000
    stays = [FOREVER if one[5] is None else one[5] * 30_000_000 for one in market]
    gone = np.array([FOREVER if us == FOREVER else at + us for at, us in zip(known.tolist(), stays, strict=True)])

    with mock.patch.object(versions, "TOGETHER", together):
        found = versions.of_trades(given_ticks, known, gone)

    for moment in {*found.since_us.tolist(), *(found.until_us - 1).tolist(), NINE_US + 30 * MINUTE_US}:
        holds = found.bars.take((found.since_us <= moment) & (moment < found.until_us))
        then = candles.build(given_ticks.take((known <= moment) & (moment < gone)))
        then = then.take(then.time_us + MINUTE_US <= moment)
        order = np.lexsort((then.time_us, then.trade_date)), np.lexsort((holds.time_us, holds.trade_date))
        for column in minute_bars.COLUMNS:
            assert getattr(then, column)[order[0]].tolist() == getattr(holds, column)[order[1]].tolist(), column


def test_a_candle_without_late_trades_has_one_version_from_the_end_of_its_minute():
    rows = [trade(1, "100"), trade(2, "101")]

    assert told(rows, [NINE_US + 2_000_000, NINE_US + 3_000_000]) == [(END_US, FOREVER, price("101"), 2)]


def test_a_late_trade_is_in_the_version_from_its_commit_on_and_in_none_before():
    rows = [trade(1, "100"), trade(30, "103")]
    late = END_US + 90_000_000

    assert told(rows, [NINE_US + 2_000_000, late]) == [
        (END_US, late, price("100"), 1),
        (late, FOREVER, price("103"), 2),
    ]


def test_a_trade_that_was_taken_back_is_known_until_then():
    rows = [trade(1, "100"), trade(30, "900")]
    early, taken = NINE_US + 31_000_000, END_US + 300_000_000

    assert told(rows, [early, early], [FOREVER, taken]) == [
        (END_US, taken, price("900"), 2),
        (taken, FOREVER, price("100"), 1),
    ]


def test_a_candle_whose_only_trade_was_taken_back_or_came_late_is_none_for_that_long():
    late, taken = END_US + 60_000_000, END_US + 120_000_000

    assert told([trade(1, "100")], [late], [taken]) == [(late, taken, price("100"), 1)]


def test_what_was_taken_back_while_the_minute_was_open_never_was_in_a_version():
    rows = [trade(1, "100"), trade(5, "900")]

    assert told(rows, [NINE_US + 2_000_000, NINE_US + 6_000_000], [FOREVER, NINE_US + 50_000_000]) == [
        (END_US, FOREVER, price("100"), 1)
    ]


def test_what_never_counts_makes_no_version():
    rows = [trade(1, "100"), trade(5, "900", shares="0")]

    assert told(rows, [NINE_US + 2_000_000, END_US + 60_000_000])[-1][2:] == (price("100"), 1)
    assert told([trade(5, "900", shares="0")], [NINE_US + 6_000_000]) == []
