"""The charting library's protocol: a client that asks in the library's order gets the series that REST has."""

import datetime
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from analytics import voids
from analytics.voids import Selection
from api.udf import symbol_info
from api.views import udf
from marketdata.calendar import trading_dates
from marketdata.models import CalendarOverride, Market, Symbol, SymbolChange
from tests.integration.serving import minute, serving
from tests.market import DAY_US, MINUTE_US, NINE_US
from tests.vendor import lose

__all__ = ["serving"]

NINE_S = NINE_US // 1_000_000
DAY_S = 86_400
MINUTES = (0, 1, 2, 4, 7, 8, 30, 59, 60, 61, 125, 380)


class Chart:
    """Asks as `UDFCompatibleDatafeed` does: configuration, the symbol, then bars backwards until there are none."""

    def __init__(self, serving, root="/udf"):
        self._serving, self._root = serving, root
        self.config = self.get("config")
        assert self.config["supports_search"]
        assert not self.config["supports_group_request"]

    def get(self, path, status=200, **query):
        response = self._serving.get(f"{self._root}/{path}", **query)
        assert response.status_code == status, response.content
        return json.loads(response.content, parse_float=Decimal)

    def open(self, name):
        """Resolve a symbol as the search found it."""
        self.symbol = self.get("symbols", symbol=name)
        assert set(self.symbol["supported_resolutions"]) <= set(self.config["supported_resolutions"])
        return self.symbol

    def bars(self, resolution, to, step):
        """Every bar before `to`, `step` at a time, as scrolling to the left asks for them."""
        found: list[tuple[Any, ...]] = []
        while True:
            asked = {"symbol": self.symbol["ticker"], "resolution": resolution, "countback": step}
            page = self.get("history", **asked, **{"from": to - 100, "to": to})
            if page["s"] == "no_data":
                assert "nextTime" not in page
                return found
            rows = list(zip(*(page[name] for name in "tohlcv"), strict=True))
            assert 0 < len(rows) <= step
            assert all(row[0] < to for row in rows)
            found = rows + found
            to = rows[0][0]


@pytest.fixture
def traded(serving):
    """Two days of trades with a fraction of a won among the prices."""
    serving.commit([minute(number, size=str(number + 1)) for number in MINUTES])
    serving.commit([{"time": NINE_US + DAY_US + at * MINUTE_US, "price": f"7100{at}.5"} for at in range(3)])
    return serving


def rest(serving, timeframe):
    bars = serving.read("/v2/stocks/005930/bars", timeframe=timeframe, limit=10_000)["bars"]
    return [tuple(bar[name] for name in "ohlcv") for bar in bars]


@pytest.mark.parametrize(
    ("resolution", "timeframe"), [("1", "1Min"), ("5", "5Min"), ("60", "1Hour"), ("1D", "1Day"), ("1W", "1Week")]
)
def test_scrolling_to_the_left_shows_the_bars_that_rest_has(traded, resolution, timeframe):
    chart = Chart(traded)
    chart.open("KRX:005930")

    for step in (2, 5, 300):
        bars = chart.bars(resolution, NINE_S + 10 * DAY_S, step)
        assert [bar[1:] for bar in bars] == rest(traded, timeframe)
        assert all(before[0] < after[0] for before, after in itertools.pairwise(bars))


@pytest.mark.once
def test_a_day_stands_at_midnight_utc_of_its_date_and_a_month_at_its_first_trading_day(traded):
    chart = Chart(traded)
    chart.open("005930")

    assert [bar[0] for bar in chart.bars("1D", NINE_S + 10 * DAY_S, 9)] == [NINE_S, NINE_S + DAY_S]
    (month,) = chart.bars("1M", NINE_S + 100 * DAY_S, 9)
    assert (
        datetime.datetime.fromtimestamp(month[0], datetime.UTC).isoformat() == "2026-03-03T00:00:00+00:00"
    )  # 2 March: holiday


@pytest.mark.once
def test_without_countback_the_bars_between_two_times_are_given_and_where_to_look_when_there_are_none(traded):
    chart = Chart(traded)
    asked = {"symbol": "005930", "resolution": "1"}

    between = chart.get("history", **asked, **{"from": NINE_S + 60, "to": NINE_S + 4 * 60})
    assert between["t"] == [NINE_S + 60, NINE_S + 120]
    assert chart.get("history", **asked, **{"from": NINE_S + 12 * 3600, "to": NINE_S + 13 * 3600}) == {
        "s": "no_data", "nextTime": NINE_S + MINUTES[-1] * 60,
    }  # fmt: skip
    assert chart.get("history", **asked, **{"from": NINE_S - 900, "to": NINE_S}) == {"s": "no_data"}
    assert chart.get("history", **asked, **{"from": NINE_S, "to": NINE_S}) == {"s": "no_data"}
    assert chart.get("history", **asked, **{"from": -(10**10), "to": 0, "countback": 300}) == {"s": "no_data"}


@pytest.mark.once
def test_a_symbol_tells_its_hours_and_how_many_decimals_it_has(traded):
    CalendarOverride.objects.create(market_id="KRX", date="2027-06-01", is_open=False, note="ad hoc")
    trading_dates.forget()
    Symbol.objects.create(
        code="ESM6 Index", market=Market.objects.get(code="CME"), primary_feed="cme", category="futures"
    )
    chart = Chart(traded)

    share = chart.open("NXT:005930")
    assert (share["exchange"], share["timezone"], share["type"], share["minmov"]) == ("KRX", "Asia/Seoul", "stock", 1)
    assert share["pricescale"] == 10  # the last price has half a won
    assert share["session"].startswith("0830-0840,0900-15")
    assert "20260302" in share["session_holidays"].split(",")
    assert "20270601" in share["session_holidays"].split(",")
    (csat,) = (part for part in share["corrections"].split(";") if "20261119" in part)
    assert csat.startswith("0930-0940,1000-16")
    future = chart.open("ESM6 Index")
    assert (future["session"], future["type"], future["pricescale"]) == ("1700-1700", "futures", 100)


@pytest.mark.once
def test_hours_are_made_once_until_the_calendar_is_another(serving, monkeypatch):
    chart, made = Chart(serving), list[object]()
    holidays = symbol_info.holidays

    def counted(calendar):
        made.append(calendar)
        return holidays(calendar)

    monkeypatch.setattr(symbol_info, "holidays", counted)
    monkeypatch.setattr(udf, "_now", lambda: datetime.datetime(2026, 3, 16, tzinfo=datetime.UTC))
    trading_dates.forget()

    for _ in range(2):
        assert len(chart.get("symbol_info", group="KRX")["symbol"]) == 3
        chart.get("symbols", symbol="005930")
    assert len(made) == 1, "not for each symbol, and not for each request"
    CalendarOverride.objects.create(market_id="KRX", date="2027-06-01", is_open=False, note="ad hoc")
    trading_dates.forget()
    assert "20270601" in chart.get("symbols", symbol="005930")["session_holidays"].split(",")


@pytest.mark.once
def test_symbols_are_found_by_code_and_name_and_listed_by_market(traded):
    Symbol.objects.filter(code="005930").update(name="삼성전자", name_en="Samsung Electronics")
    Symbol.objects.filter(code="000660").update(category="etf")
    chart = Chart(traded)

    assert [row["ticker"] for row in chart.get("search", query="samsung", type="", exchange="", limit=30)] == ["005930"]
    assert [row["full_name"] for row in chart.get("search", query="KRX:0059", limit=30)] == ["KRX:005930"]
    assert [row["symbol"] for row in chart.get("search", query="0", limit=2)] == ["000660", "005930"]
    assert [row["symbol"] for row in chart.get("search", query="", type="fund", limit=30)] == ["000660"]
    assert chart.get("search", query="samsung", exchange="CME") == []
    table = chart.get("symbol_info", group="KRX")
    assert table["symbol"] == ["000660", "005930", "035420"]
    assert {len(column) for name, column in table.items() if name != "supported-resolutions"} == {3}


@pytest.mark.once
def test_quotes_tell_price_and_change_to_the_day_before(traded):
    answer = Chart(traded).get("quotes", symbols="KRX:005930,005930,nothing,035420")

    assert [(one["s"], one["n"]) for one in answer["d"]] == [
        ("ok", "KRX:005930"), ("ok", "005930"), ("error", "nothing"), ("ok", "035420"),
    ]  # fmt: skip
    told = answer["d"][0]["v"]
    assert (told["lp"], told["prev_close_price"], told["ch"], told["chp"]) == (
        Decimal("71002.5"), 70380, Decimal("622.5"), Decimal("0.88"),
    )  # fmt: skip
    assert (told["open_price"], told["high_price"], told["low_price"], told["volume"]) == (
        Decimal("71000.5"), Decimal("71002.5"), Decimal("71000.5"), 3,
    )  # fmt: skip
    assert not {"lp", "bid", "ask"} & answer["d"][3]["v"].keys()


@pytest.mark.once
def test_quotes_tell_the_best_bid_and_ask(traded):
    traded.commit([{"kind": "quote", "time": NINE_US + DAY_US, "bid": "70900", "ask": "71000.5", "size": None}])

    told = Chart(traded).get("quotes", symbols="005930")["d"][0]["v"]
    assert (told["bid"], told["ask"]) == (70900, Decimal("71000.5"))


def test_gaps_and_trades_taken_back_are_marks_at_their_bars(traded):
    lose(1, NINE_US + 90_000_000, NINE_US + 150_000_000, "12")
    lose(2, NINE_US + 90_000_000, NINE_US + 150_000_000, None, symbol="000660")
    voids.void(
        Selection(symbols=("005930",), start_us=NINE_US + DAY_US, end_us=NINE_US + DAY_US + 1),
        reason="wrong",
        by="boss",
    )
    chart = Chart(traded)
    asked = {"symbol": "005930", "from": NINE_S, "to": NINE_S + 2 * DAY_S}

    marks = chart.get("marks", resolution="1", **asked)
    assert list(zip(marks["time"], marks["label"], strict=True)) == [(NINE_S + 60, "!"), (NINE_S + DAY_S, "x")]
    assert "12" in marks["text"][0]
    assert len({len(column) for column in marks.values()}) == 1
    assert chart.get("marks", resolution="1D", **asked)["time"] == [NINE_S, NINE_S + DAY_S]
    assert chart.get("marks", resolution="1", **{**asked, "to": NINE_S + 59})["time"] == []


@pytest.mark.once
def test_what_master_files_told_of_a_symbol_stands_below_the_time_axis(traded):
    SymbolChange.objects.create(
        symbol="005930", what="renamed", before="old", after="new",
        found_at=datetime.datetime.fromtimestamp(NINE_S, datetime.UTC),
    )  # fmt: skip
    chart = Chart(traded)

    (mark,) = chart.get("timescale_marks", symbol="005930", resolution="1D", **{"from": NINE_S - DAY_S, "to": NINE_S})
    assert (mark["time"], mark["label"], mark["tooltip"][1]) == (NINE_S, "R", "old → new")
    assert chart.get("timescale_marks", symbol="005930", resolution="1D", **{"from": 0, "to": NINE_S - 1}) == []


@pytest.mark.once
def test_another_feed_has_its_own_address(traded):
    traded.commit([minute(0, price="70500")], name="nxt")

    chart = Chart(traded, "/udf/nxt")
    assert chart.open("005930")["exchange"] == "NXT"
    assert [bar[4] for bar in chart.bars("1", NINE_S + DAY_S, 9)] == [70500]
    assert chart.get("quotes", symbols="005930")["d"][0]["v"]["lp"] == 70500
    refused = Chart(traded, "/udf/nowhere").get("symbols", 404, symbol="005930")
    assert (refused["s"], refused["code"]) == ("error", 40410002)


REFUSED: list[tuple[str, dict[str, Any], int]] = [
    ("symbols", {"symbol": "nothing"}, 404),
    ("symbols", {}, 400),
    ("history", {"symbol": "005930", "resolution": "1", "from": 0}, 400),
    ("history", {"symbol": "005930", "resolution": "7Y", "from": 0, "to": 1}, 400),
    ("history", {"symbol": "005930", "resolution": "1", "from": "1_000", "to": 1}, 400),
    ("history", {"symbol": "nothing", "resolution": "1", "from": 0, "to": 1}, 404),
    ("history", {"symbol": "005930", "resolution": "1", "from": 0, "to": 1, "countback": 0}, 400),
    ("marks", {"symbol": "005930", "resolution": "1"}, 400),
    ("symbol_info", {"group": "MARS"}, 422),
    ("quotes", {"symbols": ",".join(map(str, range(300)))}, 422),
    ("quotes", {}, 400),
]


@pytest.mark.once
def test_what_cannot_be_answered_is_an_error_in_the_library_s_shape(traded, subtests):
    chart = Chart(traded)
    for path, query, status in REFUSED:
        with subtests.test(path=path, query=query):
            told = chart.get(path, status, **query)

            assert told["s"] == "error"
            assert told["errmsg"]
            assert told["errmsg"] == told["message"]


@pytest.mark.once
def test_errors_are_in_the_language_asked_for_and_marks_in_that_of_the_pages(traded, settings):
    lose(1, NINE_US, NINE_US, "12")
    korean = {**traded.headers, "Cookie": f"{settings.LANGUAGE_COOKIE_NAME}=ko"}
    asked = {"symbol": "005930", "resolution": "1", "from": NINE_S, "to": NINE_S + DAY_S}

    (text,) = traded.get("/udf/marks", headers=korean, **asked).json()["text"]
    assert text.startswith("12주 누락")
    refused = traded.get("/udf/marks", headers=korean, symbol="005930", resolution="1", to=1)
    assert (refused["Content-Language"], refused.json()["errmsg"]) == ("en", "from: This field is required.")
    asking = {**korean, "Accept-Language": "ko"}
    refused = traded.get("/udf/marks", headers=asking, symbol="005930", resolution="1", to=1)
    assert (refused["Content-Language"], refused.json()["errmsg"]) == ("ko", "from: 필수 항목입니다.")


@pytest.mark.once
def test_where_no_symbol_is_registered_there_is_nothing_to_tell(serving):
    told = Chart(serving).get("quotes", symbols="NOBODY,KRX:NOTHING")
    assert [(one["s"], one["n"]) for one in told["d"]] == [("error", "NOBODY"), ("error", "KRX:NOTHING")]
    assert Chart(serving).get("symbol_info", group="CME")["symbol"] == []


@pytest.mark.once
def test_the_clock_is_plain_text_and_strangers_get_nothing(traded):
    response = traded.get("/udf/time")

    assert response["Content-Type"] == "text/plain"
    assert int(response.content) > NINE_S
    assert traded.get("/udf/config", headers={"X": "1"}).status_code == 401
