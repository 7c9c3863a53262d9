"""No row of features knows of anything that came after it: history is played forward, and each row must be what a
reader would have computed then from what was stored at that moment."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.features import derived, rows, versions
from analytics.features.rows import Chosen
from analytics.features.versions import FOREVER
from analytics.indicators import candles as inputs_of
from analytics.indicators import registry
from analytics.series import candles, timeframes
from analytics.series.timeframes import Timeframe
from marketdata.types import minute_bars
from tests.market import MINUTE_US, NINE_US, price, size, ticks

SEOUL = "Asia/Seoul"
GRACE_US = 1_000_000
ASKED = {"sma": {"period": 3}, "rsi": {"period": 2}, "ichimoku": {}, "vwap": {}, "obv": {}, "bbands": {"period": 4}}
CHOSEN: Chosen = [(registry.named(name), registry.named(name).defaults | params) for name, params in ASKED.items()]
SHORT = CHOSEN[:1]  # rests on fewer candles than there are, so what changes of the oldest begins no stretch
MINUTES = 40
MARKETS = st.lists(
    st.tuples(
        st.integers(0, MINUTES - 1),  # minute
        st.integers(1, 59),  # second
        st.integers(90, 110),  # price
        st.integers(1, 9),  # size
        st.one_of(st.just(0), st.integers(0, 20 * 60)),  # seconds until it was committed
        st.one_of(st.none(), st.integers(1, 30 * 60)),  # seconds until it was taken back
    ),
    min_size=1,
    max_size=60,
)


def trade(minute, second, paid, shares):
    time_us = NINE_US + minute * MINUTE_US + second * 1_000_000
    return {"time_us": time_us, "price": price(str(paid)), "size": size(str(shares))}


def played(market):
    """(ticks, when each was known, until when)."""
    ordered = sorted(market, key=lambda one: one[:2])
    given_ticks = ticks([trade(*one[:4]) for one in ordered])
    known = given_ticks.time_us + np.array([one[4] for one in ordered], np.int64) * 1_000_000
    stays = [one[5] for one in ordered]
    gone = np.array(
        [FOREVER if after is None else at + after * 1_000_000 for at, after in zip(known.tolist(), stays, strict=True)],
        np.int64,
    )
    return given_ticks, known, gone


def as_then(given_ticks, known, gone, moment, frame, chosen):
    """What a reader computes at a moment from what is stored then: candles, and the values beside them."""
    minutes = candles.build(given_ticks.take((known <= moment) & (moment < gone)))
    minutes = minutes.take(minutes.time_us + MINUTE_US <= moment)
    bars = timeframes.widen(minutes, frame, SEOUL)
    inputs = inputs_of.inputs(bars, frame)
    values = {name: compute(inputs) for name, compute in derived.ALL.items()}
    for one, params in chosen:
        values |= one.values(inputs, params)
    return bars, values


@pytest.mark.parametrize(("minutes", "chosen"), [(1, CHOSEN), (5, CHOSEN), (1, SHORT)], ids=["1Min", "5Min", "short"])
@given(market=MARKETS)
def test_a_row_is_what_could_be_computed_at_its_moment(minutes, chosen, market):
    frame = Timeframe(f"{minutes}Min", minutes * MINUTE_US)
    given_ticks, known, gone = played(market)

    found = rows.build(
        versions.of_trades(given_ticks, known, gone), frame, SEOUL,
        chosen=chosen, grace_us=GRACE_US, first_us=NINE_US, end_us=NINE_US + MINUTES * MINUTE_US,
    )  # fmt: skip

    seen = dict(zip(found.bars.time_us.tolist(), range(len(found)), strict=True))
    for start in range(NINE_US, NINE_US + MINUTES * MINUTE_US, frame.width_us):
        moment = start + frame.width_us + GRACE_US
        bars, values = as_then(given_ticks, known, gone, moment, frame, chosen)
        places = np.flatnonzero(bars.time_us == start).tolist()
        assert (start in seen) == bool(places)
        for at in places:
            row = seen[start]
            assert found.known_us[row] == moment
            for column in ("open", "high", "low", "close", "volume", "n"):
                assert getattr(found.bars, column)[row] == getattr(bars, column)[at]
            for key, expected in values.items():
                np.testing.assert_allclose(found.values[key][row], expected[at], rtol=1e-9, atol=1e-9, err_msg=key)


def test_what_is_known_of_no_more_is_told_as_such_and_nothing_rests_on_it():
    made = candles.build(ticks([trade(minute, 0, 100 + minute, 1) for minute in range(8)]))
    lost = made.time_us == NINE_US + 3 * MINUTE_US
    told = versions.joined([versions.unchanged(made.take(~lost)), versions.untold(made.take(lost))])

    found = rows.build(
        told, timeframes.MINUTE, SEOUL,
        chosen=CHOSEN[:1], grace_us=GRACE_US, first_us=NINE_US, end_us=NINE_US + 60 * MINUTE_US,
    )  # fmt: skip

    assert found.unknown.tolist() == [False] * 3 + [True] + [False] * 4
    assert found.values["sma"].round().tolist()[2] == 101
    assert np.isnan(found.values["sma"][3:6]).all()
    assert found.values["sma"][6] == pytest.approx(105)
    assert np.isnan(found.values["log_return_1"][[0, 3, 4]]).all()
    assert found.values["log_return_1"][5] == pytest.approx(np.log(105 / 104))


def test_rows_of_a_stretch_do_not_depend_on_where_it_begins():
    made = candles.build(ticks([trade(minute, 0, 100 + minute % 7, 1 + minute % 3) for minute in range(200)]))
    whole = versions.unchanged(made)
    chosen: Chosen = [(registry.named("rsi"), {"period": 5}), (registry.named("sma"), {"period": 9})]
    given_to: Any = {"chosen": chosen, "grace_us": GRACE_US, "end_us": NINE_US + 200 * MINUTE_US}
    first_us = NINE_US + 150 * MINUTE_US

    all_rows = rows.build(whole, timeframes.MINUTE, SEOUL, first_us=NINE_US, **given_to)
    kept = rows.last(whole, timeframes.MINUTE, SEOUL, first_us, rows.reach(chosen, timeframes.MINUTE))
    later = rows.build(kept, timeframes.MINUTE, SEOUL, first_us=first_us, **given_to)

    assert len(kept) < len(whole)
    for name, values in later.values.items():
        np.testing.assert_allclose(values, all_rows.values[name][150:], rtol=1e-9)


def test_nothing_asked_for_is_no_row():
    found = rows.build(
        versions.unchanged(minute_bars.empty("krx")), timeframes.MINUTE, SEOUL,
        chosen=CHOSEN, grace_us=0, first_us=0, end_us=NINE_US,
    )  # fmt: skip

    assert len(found) == 0
    assert list(found.values) == rows.columns(CHOSEN)
