"""Candles of a part of the day, adjusted for corporate actions, and under the codes that a share had before; pages of
all tables while a day is moved."""

import datetime
from concurrent.futures import ThreadPoolExecutor
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics.statistics import screener
from marketdata.maintenance import rollover
from marketdata.models import AdjustmentFactor, Symbol, SymbolRename
from tests import market
from tests.integration.serving import SEOUL_DAY, and_leave, serving
from tests.integration.test_days import MONDAY, at, session
from tests.market import MINUTE_US

__all__ = ["serving"]

TUESDAY = MONDAY + datetime.timedelta(days=1)
ALL = {"start": "2026-01-01", "end": "2026-12-31"}
HEADING = "symbol,ex_date,kind,old_rate,new_rate,cash,source\n"


def bars(serving, timeframe="1Min", symbol="005930", **query):
    answer = serving.read("/v2/stocks/bars", symbols=symbol, timeframe=timeframe, **{**ALL, **query})
    return answer["bars"].get(symbol, [])


def figures(found, names="cv"):
    return [tuple(int(bar[name]) for name in names) for bar in found]


def load(text, tmp_path, *options):
    out, wrong = StringIO(), StringIO()
    file = tmp_path / "factors.csv"
    file.write_text(HEADING + text, encoding="utf-8")
    try:
        call_command("load_factors", str(file), *options, stdout=out, stderr=wrong)
    except CommandError as error:
        wrong.write(str(error))
    return out.getvalue(), wrong.getvalue()


@pytest.mark.parametrize(
    ("part", "volumes"), [("pre", [11]), ("regular", [100, 10, 1000]), ("after", [7, 5, 3]), ("all", None)]
)
def test_a_session_is_a_part_of_the_day_for_every_width(serving, part, volumes):
    for day in range(3):
        serving.commit(session(day, add=day))
    rollover.run_one(MONDAY)
    volumes = volumes or [11, 100, 10, 1000, 7, 5, 3]

    assert figures(bars(serving, session=part), "v") == [(volume,) for volume in volumes] * 3
    for width in ("1Hour", "1Day", "1Week"):
        found = bars(serving, width, session=part)
        assert sum(bar["v"] for bar in found) == 3 * sum(volumes)
    if part == "regular":
        whole = bars(serving, "1Day")
        assert figures(bars(serving, "1Day", session=part), "ohlc") == figures(whole, "ohlc")
    asked = {"symbols": "005930,000660", "timeframe": "1Min", "session": part, **ALL}
    assert len(serving.pages("/v2/stocks/bars", "bars", limit=2, **asked)) == 3 * len(volumes)
    asked["timeframe"], asked["sort"] = "1Day", "desc"
    assert len(serving.pages("/v2/stocks/bars", "bars", limit=1, **asked)) == 3


def test_a_page_is_read_on_until_something_of_the_session_is_found(serving, monkeypatch):
    serving.commit(session())
    monkeypatch.setattr("api.rest.paging.CHUNK", 1)
    monkeypatch.setattr("api.rest.paging.MOST_MINUTES", 1)

    assert figures(bars(serving, session="after", limit=1), "v") == [(7,)]
    assert figures(bars(serving, session="pre", sort="desc"), "v") == [(11,)]
    token = serving.read("/v2/stocks/bars", symbols="005930", session="after", limit=1)["next_page_token"]
    refused = serving.get("/v2/stocks/bars", symbols="005930", session="pre", page_token=token)
    assert (refused.status_code, refused.json()["code"]) == (400, 40010002)


def test_candles_are_adjusted_when_they_are_read_and_raw_stays(serving, tmp_path):
    serving.commit([{"time": at("09:00:00"), "price": "70000", "size": "10"}])
    serving.commit([{"time": at("09:00:00", day=1), "price": "35000", "size": "20"}])
    rollover.run_one(MONDAY)
    load("005930,2026-03-17,split,1,2,,notice\n005930,2026-03-17,dividend,69300,70000,700,\n", tmp_path)

    for width in ("1Min", "1Hour", "1Day"):
        assert figures(bars(serving, width)) == [(70000, 10), (35000, 20)]
        assert figures(bars(serving, width, adjustment="split")) == [(35000, 20), (35000, 20)]
        assert figures(bars(serving, width, adjustment="dividend")) == [(69300, 10), (35000, 20)]
        assert figures(bars(serving, width, adjustment="all")) == [(34650, 20), (35000, 20)]
    (week,) = bars(serving, "1Week", adjustment="split")
    assert figures([week], ("o", "v", "vw")) == [(35000, 40, 35000)]
    AdjustmentFactor.objects.filter(kind="split").update(new_rate=4)
    assert figures(bars(serving, adjustment="split")) == [(17500, 40), (35000, 20)]
    AdjustmentFactor.objects.filter(kind="split").update(ex_date=datetime.date(2199, 1, 1))
    assert figures(bars(serving, adjustment="split")) == [(70000, 10), (35000, 20)], "its day has not come"


def test_a_snapshot_compares_with_the_day_before_in_shares_of_its_own_day(serving):
    def compared(**query):
        one = serving.read("/v2/stocks/snapshots", symbols="005930", **query)["005930"]
        assert serving.read("/v2/stocks/005930/snapshot", **query)["prevDailyBar"] == one["prevDailyBar"]
        return tuple(
            int(one[name][of]) for name, of in (("latestTrade", "p"), ("dailyBar", "c"), ("prevDailyBar", "c"))
        )

    AdjustmentFactor.objects.create(symbol="005930", ex_date=TUESDAY, kind="split", old_rate=1, new_rate=5)
    for day, price in ((-3, "69000"), (0, "70000")):  # a Friday, and Monday
        serving.commit([{"time": at("09:00:00", day=day), "price": price}])
    assert compared(adjustment="split") == (70000, 70000, 69000), "nothing was traded on the ex-date yet"
    serving.commit([{"time": at("09:00:00", day=1), "price": "14140"}])

    assert compared() == (14140, 14140, 70000)
    assert compared(adjustment="split") == (14140, 14140, 14000)
    assert compared(adjustment="dividend") == (14140, 14140, 70000)
    assert serving.get("/v2/stocks/snapshots", symbols="005930", adjustment="half").status_code == 400


def test_a_file_of_factors_is_taken_whole_or_not_at_all(serving, tmp_path):
    good = "005930,2026-03-17,split,1,50,,KRX\n000660,2026-03-17,dividend,99.5,100,0.5,\n"

    out, _ = load(good, tmp_path, "--plan")
    assert "2 new, 0 changed, 0 as before; nothing was written" in out
    assert not AdjustmentFactor.objects.exists()
    load(good, tmp_path)
    out, _ = load(good.replace("1,50,", "1,5,"), tmp_path)
    assert "0 new, 1 changed, 1 as before" in out
    assert str(AdjustmentFactor.objects.get(symbol="005930").new_rate) == "5.000000"
    _, wrong = load(
        "005930,2026-3-17,split,1,50,,\n005930,2026-03-17,bonus,1,50,,\n005930,2026-03-18,split,0,50,,\n"
        "005930,2026-03-19,split,1,1e3,,\n005930,2026-03-20,split,1\nNOBODY,2026-03-20,split,1,2,,\n",
        tmp_path,
    )
    for told in (
        "line 2: ex_date '2026-3-17' is no date", "line 3: kind 'bonus' is none of",
        "line 4: old_rate '0' is no number", "line 5: new_rate '1e3' is no number", "line 6: it has another number",
        "NOBODY is not registered", "6 lines are wrong; nothing was taken over",
    ):  # fmt: skip
        assert told in wrong
    assert AdjustmentFactor.objects.count() == 2


def test_a_share_is_read_under_its_new_code_with_what_lies_under_the_old(serving):
    SymbolRename.objects.create(old="000660", new="005930", since=TUESDAY)
    for day, symbol in ((0, "000660"), (1, "005930"), (2, "005930")):
        serving.commit([{"symbol": symbol, "time": at("09:00:00", day), "price": str(100 + day)}])
    serving.commit([{"symbol": "000660", "time": at("10:00:00", 1), "price": "7"}], name="krx")  # of somebody else
    rollover.run_one(MONDAY)

    for width in ("1Min", "1Hour", "1Day"):
        assert figures(bars(serving, width), "c") == [(100,), (101,), (102,)]
        assert figures(bars(serving, width, sort="desc"), "c") == [(102,), (101,), (100,)]
        assert figures(bars(serving, width, asof="-"), "c") == [(101,), (102,)]
        assert figures(bars(serving, width, "000660", asof=SEOUL_DAY), "c") == [(100,), (101,), (102,)]
        assert figures(bars(serving, width, "000660", asof="-"), "c") == [(100,), (7,)]
        paged = serving.pages("/v2/stocks/bars", "bars", symbols="005930", timeframe=width, limit=1, **ALL)
        assert [int(bar["c"]) for _, bar in paged] == [100, 101, 102]
    assert figures(bars(serving, "1Week"), "on") == [(100, 3)]
    trades = serving.pages("/v2/stocks/trades", "trades", symbols="005930", limit=2)
    assert [(symbol, int(trade["p"])) for symbol, trade in trades] == [("005930", price) for price in (100, 101, 102)]


@pytest.mark.once
def test_a_share_that_took_its_code_back_is_whole_and_adjusted_once(serving):
    wednesday = TUESDAY + datetime.timedelta(days=1)
    SymbolRename.objects.create(old="000660", new="005930", since=TUESDAY)
    SymbolRename.objects.create(old="005930", new="000660", since=wednesday)
    for day, symbol in ((0, "000660"), (1, "005930"), (2, "000660")):
        serving.commit([{"symbol": symbol, "time": at("09:00:00", day), "price": str(100 + 2 * day)}])
    AdjustmentFactor.objects.create(symbol="000660", ex_date=wednesday, kind="split", old_rate=1, new_rate=2)

    for width in ("1Min", "1Day"):
        assert figures(bars(serving, width, "000660"), "c") == [(100,), (102,), (104,)]
        assert figures(bars(serving, width, "000660", adjustment="split"), "c") == [(50,), (51,), (104,)]


@pytest.mark.once
def test_an_action_of_whoever_has_the_old_code_now_concerns_only_him(serving):
    SymbolRename.objects.create(old="000660", new="005930", since=TUESDAY)
    for symbol, day in (("000660", 0), ("005930", 1), ("000660", 1)):
        serving.commit([{"symbol": symbol, "time": at("09:00:00", day), "price": "100"}])
    after = TUESDAY + datetime.timedelta(days=1)
    AdjustmentFactor.objects.create(symbol="000660", ex_date=after, kind="split", old_rate=1, new_rate=2)
    assert figures(bars(serving, symbol="005930", adjustment="split"), "c") == [(100,), (100,)]
    assert figures(bars(serving, symbol="000660", adjustment="split"), "c")[-1] == (50,)

    AdjustmentFactor.objects.create(symbol="000660", ex_date=TUESDAY, kind="split", old_rate=1, new_rate=4)
    AdjustmentFactor.objects.create(symbol="005930", ex_date=MONDAY, kind="split", old_rate=1, new_rate=5)
    assert figures(bars(serving, symbol="005930", adjustment="split"), "c") == [(25,), (100,)]


@pytest.mark.once
@pytest.mark.parametrize("limit", [1, 1000])
def test_a_symbol_without_a_candle_of_the_session_hides_none_of_the_next(serving, monkeypatch, limit):
    monkeypatch.setattr("api.rest.paging.MOST_MINUTES", 3)
    serving.commit([{"symbol": "000660", "time": at(f"10:0{n}:00"), "price": "1"} for n in range(6)])
    serving.commit([{"symbol": "005930", "time": at(f"08:0{n}:00"), "price": "1"} for n in range(3)])

    asked = {"symbols": "000660,005930", "session": "pre", "limit": limit}
    assert [symbol for symbol, _ in serving.pages("/v2/stocks/bars", "bars", **asked)] == ["005930"] * 3
    asked |= {"symbols": "005930,035420,000660", "sort": "desc"}
    assert [symbol for symbol, _ in serving.pages("/v2/stocks/bars", "bars", **asked)] == ["005930"] * 3


@pytest.mark.once
def test_minutes_of_other_parts_of_the_day_are_read_many_at_a_time(serving, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr("api.rest.paging.MOST_MINUTES", 1)
    for symbol in ("000660", "005930"):
        rows = [{"symbol": symbol, "time": at("10:00:00") + n * MINUTE_US, "price": "1"} for n in range(60)]
        serving.commit(rows)

    with django_assert_max_num_queries(30):
        answer = serving.read("/v2/stocks/bars", symbols="000660,005930", session="pre", limit=1)
    assert (answer["bars"], answer["next_page_token"]) == ({}, None)


@pytest.mark.once
def test_the_minutes_of_a_part_of_many_days_are_read_together(serving):
    for day in range(3):
        serving.commit(session(day))

    with CaptureQueriesContext(connection) as asked:
        found = bars(serving, "1Day", session="regular")
    assert figures(found, "v") == [(1110,)] * 3
    of_minutes = [one["sql"] for one in asked if "FROM market_data_minute" in one["sql"]]
    assert len(of_minutes) == 2  # which dates there are, and their minutes


@pytest.mark.once
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_candles_of_years_need_no_end(serving, sort):
    serving.commit(session())

    (year,) = serving.read("/v2/stocks/bars", symbols="005930", timeframe="12Month", sort=sort)["bars"]["005930"]
    assert year["n"] == len(session())


def test_the_newest_candle_of_each_symbol(serving):
    serving.commit(session())

    shown = serving.read("/v2/stocks/bars/latest", symbols="005930,000660,NOBODY")["bars"]
    assert list(shown) == ["005930"]
    assert shown["005930"] == serving.read("/v2/stocks/005930/bars/latest")["bar"] == bars(serving)[-1]
    assert serving.get("/v2/stocks/000660/bars/latest").status_code == 404
    assert serving.get("/v2/stocks/NOBODY/bars/latest").status_code == 404


def test_pages_over_both_tables_are_the_whole_while_a_day_is_moved(serving):
    for day in range(3):
        serving.commit([row for symbol in ("005930", "000660") for row in session(day, symbol=symbol)])
    rollover.run_one(MONDAY)
    asked = {"symbols": "005930,000660", **ALL}
    trades = serving.pages("/v2/stocks/trades", "trades", limit=10_000, **asked)
    minutes = serving.pages("/v2/stocks/bars", "bars", limit=10_000, **asked)
    assert (len(trades), len(minutes)) == (42, 42)

    with ThreadPoolExecutor(1) as aside:
        moving = aside.submit(and_leave, lambda: rollover.run_one(TUESDAY))
        looked = 0
        while not moving.done() or not looked:
            assert serving.pages("/v2/stocks/trades", "trades", limit=17, **asked) == trades
            assert serving.pages("/v2/stocks/bars", "bars", limit=17, **asked) == minutes
            looked += 1
        moving.result()
    assert serving.pages("/v2/stocks/trades", "trades", limit=17, **asked) == trades


@pytest.mark.once
@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"session": "night"}, 400, "session"),
        ({"adjustment": "spin"}, 400, "adjustment"),
        ({"asof": "yesterday"}, 400, "asof"),
        ({"currency": "USD"}, 422, "prices of 005930 are in KRW"),
        ({"currency": "won"}, 400, "currency"),
        ({"timeframe": "1Sec"}, 400, "unknown timeframe"),
        ({"limit": 10_001}, 400, "limit"),
        ({"page_token": "MDA1OTMwfDFNaW58MXwx"}, 400, "page_token belongs to another request"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_words(serving, query, status, words):
    answer = serving.get("/v2/stocks/bars", symbols="005930", **{"timeframe": "5Min", **query})

    assert answer.status_code == status
    assert words in answer.json()["message"]


@pytest.mark.once
def test_on_the_day_of_a_split_movers_and_charts_compare_with_the_close_as_it_would_have_been(serving, monkeypatch):
    codes = "000660", "005930", "035420"
    serving.commit([{"symbol": code, "time": at("10:00:00"), "price": "50000"} for code in codes])
    serving.commit(
        [{"symbol": code, "time": at("10:00:00", 1), "price": price} for code, price in zip(
            codes, ("11000", "10500", "40000"), strict=True
        )]
    )  # fmt: skip
    AdjustmentFactor.objects.create(symbol="000660", ex_date=TUESDAY, kind="split", old_rate=1, new_rate=5)

    def told():
        monkeypatch.setattr(screener, "_kept", None)
        moved = serving.read("/v1beta1/screener/stocks/movers")
        rows = [*moved["gainers"], *moved["losers"]]
        return {one["symbol"]: (int(one["change"]), int(one["percent_change"])) for one in rows}

    assert told() == {"000660": (1000, 10), "035420": (-10_000, -20)}, "of 005930 nobody entered what happened"
    (quote,) = serving.read("/udf/quotes", symbols="000660")["d"]
    assert [int(quote["v"][name]) for name in ("prev_close_price", "ch", "chp")] == [10_000, 1000, 10]

    price = market.price
    Symbol.objects.filter(code="005930").update(
        limits_on=TUESDAY, lower_limit=price("7000"), upper_limit=price("13000")
    )
    Symbol.objects.filter(code="035420").update(
        limits_on=TUESDAY, lower_limit=price("35000"), upper_limit=price("65000")
    )
    assert told() == {"000660": (1000, 10), "035420": (-10_000, -20)}
    AdjustmentFactor.objects.create(symbol="005930", ex_date=TUESDAY, kind="rights", old_rate=1, new_rate=5)
    Symbol.objects.filter(code="035420").update(
        limits_on=TUESDAY, lower_limit=price("28000"), upper_limit=price("52000")
    )
    assert told() == {"000660": (1000, 10), "005930": (500, 5)}, (
        "the exchange began 035420 from 40000, we do not know why"
    )
