"""Statistics by trading date: the daily candle of REST, and what follows from it."""

import csv
import datetime
from decimal import Decimal

import pytest

from marketdata.maintenance import rollover
from marketdata.models import SymbolRename
from tests.integration.serving import serving
from tests.integration.test_days import MONDAY, session

__all__ = ["serving"]

OWN = ("turnover", "high", "low", "last", "regularVolume", "tradeSize", "prevClose", "change", "changeRate")


@pytest.fixture
def traded(serving):
    """Three days, the first of which is moved; each price is 700 above that of the day before."""
    for day in range(3):
        serving.commit(session(day, add=700 * day))
    rollover.run_one(MONDAY)
    return serving


def test_each_date_has_its_candle_and_what_follows_from_it(traded):
    told = traded.read("/v2/stats/005930")["stats"]

    candles = traded.read("/v2/stocks/005930/bars", timeframe="1Day")["bars"]
    assert [{name: one[name] for name in candles[0]} for one in told] == candles
    turnover = 69900 * 11 + 70000 * 100 + 70500 * 10 + 70300 * 1007 + 69000 * 5 + 71900 * 3
    assert [told[0][name] for name in OWN] == [
        turnover, 71900, 69000, 71900, 1110, Decimal("162.285714"), None, None, None,
    ]  # fmt: skip
    assert [(one["prevClose"], one["change"], one["changeRate"]) for one in told[1:]] == [
        (70300, 700, Decimal("0.9957")), (71000, 700, Decimal("0.9859")),
    ]  # fmt: skip
    assert told[0]["volatility"] == Decimal("0.00427448")  # ln(70500 / 70000) / sqrt(4 ln 2)


def test_pages_in_either_order_and_as_csv_are_the_whole(traded):
    whole = traded.read("/v2/stats/005930")["stats"]

    for sort in ("asc", "desc"):
        found, token = [], dict[str, str]()
        while True:
            page = traded.read("/v2/stats/005930", sort=sort, limit=1, **token)
            found += page["stats"]
            if page["next_page_token"] is None:
                break
            token = {"page_token": page["next_page_token"]}
        assert found == (whole if sort == "asc" else whole[::-1])
    assert traded.read("/v2/stats/005930", start="2026-03-17", end="2026-03-17")["stats"] == whole[1:2]
    *lines, last = traded.get("/v2/stats/005930", format="csv").content.decode().splitlines()
    rows = list(csv.DictReader(lines))
    assert (len(rows), last) == (3, "# 3 rows")
    for row, one in zip(rows, whole, strict=True):
        assert [Decimal(row[name]) for name in ("close", "turnover", "day_high", "volatility")] == [
            one[name] for name in ("c", "turnover", "high", "volatility")
        ]
        assert row["previous_close"] == ("" if one["prevClose"] is None else str(one["prevClose"]))


@pytest.mark.once
def test_the_close_before_is_that_of_the_share_whatever_its_code_was(serving):
    serving.commit(session(0, symbol="000660"))
    serving.commit(session(1, add=700))
    SymbolRename.objects.create(old="000660", new="005930", since=MONDAY + datetime.timedelta(days=1))

    assert [one["prevClose"] for one in serving.read("/v2/stats/005930")["stats"]] == [None, 70300]
    assert serving.read("/v2/stats/035420")["stats"] == []
    assert serving.get("/v2/stats/NOBODY").status_code == 404
    token = serving.read("/v2/stats/005930", limit=1)["next_page_token"]
    assert serving.get("/v2/stocks/005930/bars", timeframe="1Day", page_token=token).status_code == 400
