"""What holds for each indicator of the list: against somebody else's library, bar by bar, with gaps, and wherever
reading begins."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.indicators import registry
from analytics.indicators.registry import BadParametersError, Newest, UnknownIndicatorError
from tests.indicator_reference import POLARS, TALIB, market

EACH = pytest.mark.parametrize("indicator", registry.ALL, ids=lambda one: one.name)
DOCUMENT = Path(__file__).resolve().parents[4] / "docs/indicators.md"
ROWS = 3_000
BARS_A_DAY = 70


def one_day(columns):
    return {**columns, "anchor": np.zeros(len(columns["close"]), np.int64)}


def part(columns, rows):
    return {name: column[rows] for name, column in columns.items()}


def bar(columns, at):
    return {name: column[at].item() for name, column in columns.items()}


def close_to(found, wanted, places=1e-9):
    np.testing.assert_allclose(found, wanted, rtol=places, atol=places * 100)


def others(indicator):
    """Parameters that are not the default ones."""
    return indicator.checked({one.name: one.default - 1 for one in indicator.parameters})


def test_each_is_compared_with_somebody_elses():
    assert TALIB.keys() | POLARS.keys() == registry.BY_NAME.keys()


@pytest.mark.parametrize("name", TALIB)
@pytest.mark.parametrize("chosen", ["defaults", "others"])
def test_it_gives_what_talib_gives(name, chosen):
    indicator, bars = registry.named(name), one_day(market(ROWS))
    params = indicator.defaults if chosen == "defaults" else others(indicator)

    found = indicator.values(bars, params)

    for values, theirs in zip(found.values(), TALIB[name](bars, **params), strict=True):
        told = ~np.isnan(theirs)
        assert told.sum() > ROWS - 100
        close_to(values[told], theirs[told])


@pytest.mark.parametrize("name", POLARS)
@pytest.mark.parametrize("chosen", ["defaults", "others"])
def test_it_gives_what_a_data_frame_gives(name, chosen):
    indicator, bars = registry.named(name), market(ROWS)
    params = indicator.defaults if chosen == "defaults" else others(indicator)

    found = indicator.values(bars, params)

    for values, theirs in zip(found.values(), POLARS[name](bars, **params), strict=True):
        np.testing.assert_array_equal(np.isnan(values), np.isnan(theirs))
        close_to(values, theirs)


@st.composite
def cases(draw, indicator, *, gaps=True):
    """Bars with parameters: prices of few values, which often stand still, and some bars that are missing."""
    rows = draw(st.integers(0, 60))
    params = {
        one.name: draw(st.integers(int(one.least), 8) if one.whole else st.sampled_from([0.0, 1.0, 2.5]))
        for one in indicator.parameters
    }
    if indicator.ascending:
        less, more = indicator.ascending
        params[less], params[more] = sorted((params[less], max(params[more], params[less] + 1)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))  # drawn one by one, numbers take most of the time
    close, above, below, volume, steps = random.integers(0, draw(st.integers(1, 4)), (5, rows)).astype(np.float64)
    close += 70_000
    columns = {
        "high": close + above,
        "low": close - below,
        "close": close,
        "volume": volume,
        "price": close + above / 3,
    }
    if gaps:
        for at in draw(st.lists(st.integers(0, max(rows - 1, 0)), max_size=2)) if rows else ():
            columns[indicator.inputs[0]][at] = draw(st.sampled_from([math.nan, math.inf]))
    columns["anchor"] = np.cumsum(steps == 0)
    return columns, indicator.checked(params)


@EACH
@settings(max_examples=25, derandomize=True)
@given(data=st.data())
def test_bar_by_bar_it_is_what_the_whole_series_gives_and_the_newest_may_change(indicator, data):
    columns, params = data.draw(cases(indicator))
    rows = len(columns["close"])
    newest, found = Newest(indicator, params), []
    for at in range(rows):
        newest.update({**bar(columns, at), "close": 1.0, "high": 90_000.0, "low": 1.0, "volume": 7.0, "anchor": -1.0})
        before = newest.update(bar(columns, at))
        found.append(newest.step(bar(columns, at)))
        np.testing.assert_equal(found[-1], before)

    whole = indicator.values(columns, params)

    for number, values in enumerate(whole.values()):
        assert len(values) == rows
        close_to(np.array([row[number] for row in found]), values)


@EACH
@settings(max_examples=25, derandomize=True)
@given(data=st.data())
def test_later_bars_change_nothing(indicator, data):
    columns, params = data.draw(cases(indicator))
    rows = data.draw(st.integers(0, len(columns["close"])))

    known = indicator.values(part(columns, slice(0, rows)), params)
    whole = indicator.values(columns, params)

    for name, values in known.items():
        close_to(values, whole[name][:rows])


@EACH
@settings(max_examples=20, derandomize=True)
@given(data=st.data())
def test_it_begins_anew_behind_a_bar_that_is_missing(indicator, data):
    columns, params = data.draw(cases(indicator, gaps=False))
    rows = len(columns["close"])
    if not rows:
        return
    at = data.draw(st.integers(0, rows - 1))
    behind = indicator.values(part(columns, slice(at + 1, rows)), params)
    before = indicator.values(part(columns, slice(0, at)), params)
    columns[indicator.inputs[0]][at] = math.nan

    found = indicator.values(columns, params)

    for name, values in found.items():
        np.testing.assert_equal(values, np.concatenate([before[name], [math.nan], behind[name]]))


@EACH
def test_the_first_whole_value_comes_behind_the_warm_up(indicator):
    for params in (indicator.defaults, others(indicator)):
        first = indicator.warm_up(params)

        rows = indicator.values(one_day(market(first + 5)), params).values()

        known = np.logical_and.reduce([~np.isnan(values) for values in rows])
        assert known.tolist() == [False] * first + [True] * 5


@EACH
@pytest.mark.parametrize("longest", [False, True])
def test_a_value_does_not_depend_on_where_reading_began(indicator, longest):
    params = indicator.defaults
    if longest:
        params = {one.name: one.most - (one.name == "fast") for one in indicator.parameters}
    history = indicator.history(params)
    columns = market(history + 400, seed=3, bars_a_day=1 << 20 if not indicator.anchored else BARS_A_DAY)
    skipped = 3 * BARS_A_DAY if indicator.anchored else 200
    columns["close"][:skipped] *= 1.3  # what came before was somewhere else

    whole = indicator.values(columns, params)
    later = indicator.values(part(columns, slice(skipped, None)), params)

    for name, values in whole.items():
        shown = values[skipped + history :]
        assert len(shown) > 100
        assert not np.isnan(shown).any()
        np.testing.assert_allclose(later[name][history:], shown, rtol=1e-9, atol=1e-7)


@EACH
def test_nothing_is_said_of_too_few_bars(indicator):
    for rows in (0, 1, 2):
        found = indicator.values(market(rows), indicator.defaults)

        assert list(found) == list(indicator.outputs)
        assert {len(values) for values in found.values()} == {rows}


def test_names_and_bounds_are_checked():
    rsi, macd, obv = map(registry.named, ("rsi", "macd", "obv"))

    assert rsi.checked({}) == {"period": 14}
    assert macd.checked({"fast": 3}) == {"fast": 3, "slow": 26, "signal": 9}
    for indicator, params, parameter in (
        (rsi, {"period": 1}, "period"), (rsi, {"period": 251}, "period"), (rsi, {"periods": 14}, "periods"),
        (macd, {"fast": 26}, "fast"), (obv, {"period": 3}, "period"),
        (registry.named("bbands"), {"deviations": math.nan}, "deviations"),
    ):  # fmt: skip
        with pytest.raises(BadParametersError) as caught:
            indicator.checked(params)
        assert caught.value.parameter == parameter
    with pytest.raises(UnknownIndicatorError, match="sma, ema, wma"):
        registry.named("rsl")


def test_no_two_outputs_are_named_alike():
    outputs = [name for one in registry.ALL for name in one.outputs]

    assert len(set(outputs)) == len(outputs)
    assert {name for one in registry.ALL for name in one.inputs} == set(registry.INPUTS)


def test_the_document_has_each_with_its_defaults_and_values():
    rows = [
        [cell.strip() for cell in line.split("|")[1:4]]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| `[a-z]+` \|", line)
    ]

    assert rows == [
        [
            f"`{one.name}`",
            ", ".join(f"`{parameter.name}` {parameter.default}" for parameter in one.parameters),
            " ".join(f"`{output}`" for output in one.outputs),
        ]
        for one in registry.ALL
    ]
