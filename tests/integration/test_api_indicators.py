"""Indicators by REST: the arithmetic of `analytics.indicators` at the candles that bars give."""

import csv
import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from analytics.indicators import registry
from marketdata.maintenance import rollover
from marketdata.models import AdjustmentFactor
from tests.integration.serving import serving
from tests.integration.test_days import MONDAY, at
from tests.market import MINUTE_US

__all__ = ["serving"]

PATH = "/v2/indicators/005930"
# Of averages that forget within 40 candles or fewer, of windows, and of sums since the day began.
ASKED = {"name": "ema,rsi,bbands,vwap,obv", "ema.period": 3, "rsi.period": 2, "bbands.period": 5}
PARAMS: dict[str, dict[str, Any]] = {
    "ema": {"period": 3},
    "rsi": {"period": 2},
    "bbands": {"period": 5, "deviations": 2.0},
    "vwap": {"deviations": 1.0},
}
A_DAY = 60


@pytest.fixture
def traded(serving):
    """Two days of a candle each minute or two, the first of which is moved."""
    random = np.random.default_rng(5)
    for day in range(2):
        prices = 70_000 + 100 * np.cumsum(random.integers(-3, 4, A_DAY))
        minutes = np.cumsum(random.integers(1, 3, A_DAY))
        serving.commit(
            {"time": at("09:00:00", day) + minute * MINUTE_US, "price": str(price), "size": str(size)}
            for minute, price, size in zip(
                minutes.tolist(), prices.tolist(), random.integers(1, 99, A_DAY).tolist(), strict=True
            )
        )
    rollover.run_one(MONDAY)
    return serving


def pages(serving, **query):
    found, token = [], dict[str, str]()
    while True:
        page = serving.read(PATH, **query, **token)
        found += page["indicators"]
        assert len(page["indicators"]) <= query["limit"]
        if page["next_page_token"] is None:
            return found
        token = {"page_token": page["next_page_token"]}


def computed(bars):
    """Values by name, from the candles of an answer."""
    columns = {
        "high": "h", "low": "l", "close": "c", "volume": "v", "price": "vw",
    }  # fmt: skip
    inputs = {name: np.array([float(bar[key]) for bar in bars]) for name, key in columns.items()}
    inputs["anchor"] = np.array([datetime.date.fromisoformat(bar["td"]).toordinal() for bar in bars])
    return {
        name: values
        for one, params in PARAMS.items()
        for name, values in registry.named(one).values(inputs, params).items()
    } | registry.named("obv").values(inputs, {})


def test_indicators_are_the_arithmetic_of_the_candles_whatever_window_and_page_is_asked_for(traded):
    for timeframe in ("1Min", "5Min"):
        bars = traded.read("/v2/stocks/005930/bars", timeframe=timeframe)["bars"]
        whole = traded.read(PATH, timeframe=timeframe, **ASKED)["indicators"]

        assert [[row[key] for key in ("t", "x", "td", "gap")] for row in whole] == [
            [bar[key] for key in ("t", "x", "td", "gap")] for bar in bars
        ]
        for name, values in computed(bars).items():
            told = np.array([row[name] for row in whole], np.float64)  # null becomes NaN
            np.testing.assert_allclose(told, values, rtol=1e-12, atol=1e-7)
        for sort in ("asc", "desc"):
            paged = pages(traded, timeframe=timeframe, limit=25, sort=sort, **ASKED)
            same(paged if sort == "asc" else paged[::-1], whole)
        later = traded.read(PATH, timeframe=timeframe, start=whole[-10]["t"], **ASKED)["indicators"]
        same(later, whole[-10:])


def same(found, wanted):
    assert [list(row) for row in found] == [list(row) for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, abs=Decimal("1e-7"))


def test_indicators_of_days_rest_on_adjusted_candles_and_on_their_year(traded):
    AdjustmentFactor.objects.create(
        symbol="005930",
        ex_date=MONDAY + datetime.timedelta(days=1),
        kind="split",
        old_rate=1,
        new_rate=2,
        source="test",
    )
    asked = {"timeframe": "1Day", "adjustment": "split", "start": "2026-03-17"}
    monday, tuesday = traded.read("/v2/stocks/005930/bars", timeframe="1Day", adjustment="split")["bars"]

    (row,) = traded.read(PATH, name="sma,vwap,obv", **{"sma.period": 2}, **asked)["indicators"]

    assert row["t"] == tuesday["t"]
    assert float(row["sma"]) == pytest.approx(float(monday["c"] + tuesday["c"]) / 2)
    value = monday["vw"] * monday["v"] + tuesday["vw"] * tuesday["v"]
    assert float(row["vwap"]) == pytest.approx(float(value / (monday["v"] + tuesday["v"])))
    assert float(row["obv"]) == monday["v"] + (tuesday["v"] if tuesday["c"] > monday["c"] else -tuesday["v"])


@pytest.mark.once
def test_indicators_come_as_csv_and_are_listed(traded):
    whole = traded.read(PATH, **ASKED)

    *lines, last = traded.get(PATH, format="csv", **ASKED).content.decode().splitlines()
    listed = {one["name"]: one for one in traded.read("/v2/indicators")["indicators"]}

    rows = list(csv.DictReader(lines))
    assert last == f"# {2 * A_DAY} rows"
    for row, one in zip(rows, whole["indicators"], strict=True):
        assert row["time"] == one["t"].replace("Z", ".000000Z")
        for name in ("ema", "rsi", "bbands_upper", "vwap", "obv"):
            assert row[name] == ("" if one[name] is None else str(one[name]))
    assert whole["parameters"] == {**PARAMS, "obv": {}}
    assert list(listed) == list(registry.BY_NAME)
    assert listed["rsi"]["parameters"][0]["most"] == 250


@pytest.mark.once
def test_a_time_without_a_candle_has_no_indicators(serving):
    for timeframe in ("1Min", "5Min", "1Hour", "1Day", "1Month"):
        assert serving.read(PATH, name="rsi,vwap", timeframe=timeframe)["indicators"] == []
        answer = serving.get(PATH, name="rsi,vwap", timeframe=timeframe, format="csv")
        assert (answer.status_code, answer.content.decode().splitlines()[-1]) == (200, "# 0 rows")


@pytest.mark.once
def test_what_cannot_be_computed_is_told(traded, monkeypatch):
    for query, field, told in (
        ({}, "name", "required"),
        ({"name": "rsl"}, "name", "sma, ema, wma"),
        ({"name": "rsi,rsi"}, "name", "twice"),
        ({"name": "rsi", "period": 251}, "period", "from 2 to 250"),
        ({"name": "rsi", "rsi.period": 1}, "rsi.period", "from 2 to 250"),
        ({"name": "rsi", "period": "x"}, "period", "whole number"),
        ({"name": "rsi", "period": 3, "rsi.period": 4}, "period", "rsi.period"),
        ({"name": "rsi,sma", "period": 3}, "period", "rsi.period"),
        ({"name": "rsi", "sma.period": 3}, "sma.period", "not asked for"),
        ({"name": "macd", "fast": 26}, "fast", "below slow"),
        ({"name": "obv", "period": 26}, "period", "none"),
    ):
        answer = traded.get(PATH, **query)
        assert answer.status_code == 400
        assert told in " ".join(answer.json()["errors"][field])
    assert traded.get(PATH, name="rsi", perod=3).json()["code"] == 40010001
    token = traded.read("/v2/stocks/005930/bars", limit=1)["next_page_token"]
    assert traded.get(PATH, name="rsi", page_token=token).json()["code"] == 40010002
    assert traded.get("/v2/indicators/999999", name="rsi").status_code == 404
    monkeypatch.setattr("api.rest.paging.MOST_MINUTES", 10)
    monkeypatch.setattr("api.rest.paging.CHUNK", 10)
    far = traded.get(PATH, name="rsi", start="2026-03-17")
    assert (far.status_code, list(far.json()["errors"])) == (422, ["timeframe"])
