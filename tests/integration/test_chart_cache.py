"""The candles of the trading day that a reader in SQL finds in cache_chart_data: those of REST, of no older state."""

import datetime
import json
import time
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from analytics import voids
from analytics.charts import bodies
from analytics.charts import due as charts
from analytics.statistics import due
from analytics.voids import Selection
from marketdata.maintenance import rollover
from marketdata.models import Symbol
from marketdata.realtime import live_state, stats
from marketdata.storage import storage
from marketdata.storage.base import CachedChart
from tests.integration.serving import SEOUL_DAY, beside, hub, serving
from tests.integration.test_client_examples import examples
from tests.integration.test_days import DAY_US, MONDAY, at, session
from tests.market import MINUTE_US

__all__ = ["beside", "hub", "serving"]

FRAMES = ("1Min", "5Min", "1Hour", "1Day")
ALL = {"start": "2026-01-01", "end": "2026-12-31", "limit": 10_000}
EXAMPLES = ("mysql", "postgresql", "sqlite")  # in the order of the page


@pytest.fixture(autouse=True)
def _widths(settings):
    settings.CHART_CACHE_TIMEFRAMES = FRAMES


def rows():
    """What is stored: candles by (symbol, feed, timeframe)."""
    body = "body::text" if connection.vendor == "postgresql" else "body"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT symbol, feed, timeframe, {body} FROM cache_chart_data")
        return {tuple(key): json.loads(body, parse_float=Decimal) for *key, body in cursor.fetchall()}


def cached(frame="5Min", symbol="005930"):
    return rows().get((symbol, "krx", frame))


def told(serving, frame="5Min", symbol="005930", **query):
    """What REST says of the same date, but for gaps."""
    bars = serving.read("/v2/stocks/bars", symbols=symbol, timeframe=frame, **{**ALL, **query})["bars"].get(symbol, [])
    return [{name: value for name, value in bar.items() if name != "gap"} for bar in bars]


def write():
    """What the bells do, with what is due when the candle that goes on is over being due already."""
    due.compute()
    redis = live_state.connection()
    marked: Any = redis.zrange(charts.DUE.due, 0, -1)
    charts.DUE.mark(redis, [tuple(one.decode().split(" ")) for one in marked], 1)
    return charts.compute()


def test_a_reader_in_sql_finds_the_candles_of_the_day_as_rest_has_them(serving):
    serving.commit([*session(), *session(symbol="000660", add=900)])
    assert write() == 3 * len(FRAMES)  # one of the three that are collected did not trade

    for symbol in ("005930", "000660"):
        for frame in FRAMES:
            found = cached(frame, symbol)
            assert found == told(serving, frame, symbol)
            assert found
    assert cached(symbol="035420") == []
    (day,) = cached("1Day")
    assert (day["td"], day["x"]) == (SEOUL_DAY, True)
    with connection.cursor() as cursor:
        text = examples("SQL, and Excel by ODBC")[EXAMPLES.index(connection.vendor)]
        cursor.execute(text.replace("S00001", "005930").replace("'sim'", "'krx'"))
        lines = cursor.fetchall()
    assert [line[1] for line in lines] == [bar["t"] for bar in cached()]
    names = "ohlcv"
    assert [[Decimal(str(value)) for value in line[2:]] for line in lines] == [
        [Decimal(bar[name]) for name in names] for bar in cached()
    ]


def test_a_late_trade_rewrites_the_candle_that_it_belongs_to_and_one_taken_back_again(serving):
    serving.commit(session())
    write()
    before = cached()

    serving.commit([{"time": at("15:19:58"), "price": "99000", "size": "4"}])
    write()
    after = cached()
    changed = [bar for bar in after if bar not in before]
    assert [(bar["t"], bar["h"], bar["v"]) for bar in changed] == [("2026-03-16T06:15:00Z", 99000, 14)]
    assert (after, cached("1Day")) == (told(serving), told(serving, "1Day"))

    voids.void(Selection(symbols=("005930",), start_us=at("15:00:00"), end_us=at("15:29:00")), reason="wrong", by="me")
    voids.announce()
    write()
    assert cached() == told(serving)
    assert "2026-03-16T06:15:00Z" not in {bar["t"] for bar in cached()}


def test_the_newest_date_alone_is_there_and_nothing_once_it_was_rolled_over(serving):
    serving.commit(session())
    write()
    serving.commit(session(1, add=700))
    write()
    for frame in FRAMES:
        assert {bar["td"] for bar in cached(frame)} == {"2026-03-17"}
        assert cached(frame) == told(serving, frame, start="2026-03-17T00:00:00+09:00")

    rollover.run_one(MONDAY)
    assert cached() is None  # caches of before are cleaned
    write()
    assert {bar["td"] for bar in cached()} == {"2026-03-17"}
    rollover.run_one(MONDAY + datetime.timedelta(days=1))
    write()
    assert {tuple(found) for found in rows().values()} == {()}


def test_one_that_is_not_newer_is_left_out(serving):
    def put(body, at_us):
        storage().put_charts([
            CachedChart(symbol=symbol, feed="krx", timeframe="5Min", body=body, at_us=at_us)
            for symbol in ("005930", "000660")
        ])  # fmt: skip

    now_us = storage().clock_us()
    for body, at_us in (('[{"n":1}]', now_us), ('[{"n":2}]', now_us), ('[{"n":3}]', now_us - 1)):
        put(body, at_us)
        assert cached() == cached(symbol="000660") == [{"n": 1}]
    put('[{"n":4}]', now_us + 1)
    assert cached() == [{"n": 4}]
    assert storage().purge_caches({"cache_chart_data": now_us + 1}) == {"cache_chart_data": 0}
    assert storage().purge_caches({"cache_chart_data": now_us + 2}) == {"cache_chart_data": 2}


def test_a_symbol_that_is_removed_and_one_whose_trades_are_all_taken_back_have_nothing(serving):
    serving.commit([*session(), *session(symbol="000660")])
    write()
    Symbol.objects.filter(code="000660").delete()
    voids.void(Selection(symbols=("005930",)), reason="wrong", by="me")
    voids.announce()
    stats.mark(live_state.connection(), "krx", ["000660"])
    write()
    assert [cached(), cached(symbol="000660")] == [[], []]


@pytest.mark.once
def test_a_candle_that_goes_on_is_left_out_and_written_when_it_is_over(serving):
    now_us = time.time_ns() // 1000
    given = {at_us: at_us // MINUTE_US * MINUTE_US for at_us in (now_us - MINUTE_US, now_us)}
    serving.commit([{"time": at_us, "price": "70000"} for at_us in given])
    before_us = time.time_ns() // 1000
    write()
    after_us = time.time_ns() // 1000

    found = [bar["t"] for bar in cached("1Min")]
    assert all(bar["x"] for bar in cached("1Min"))
    assert found in [  # the minute may have ended meanwhile
        [
            datetime.datetime.fromtimestamp(start_us / 1e6, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for start_us in given.values()
            if start_us + MINUTE_US <= at_us
        ]
        for at_us in (before_us, after_us)
    ]


@pytest.mark.once
def test_a_series_is_due_once_when_the_narrowest_candle_is_over(serving, settings):
    told = live_state.connection()
    for frames, step_us in ((("5Min", "1Day"), 5 * MINUTE_US), (("1Hour",), charts.SELDOM_US), (("1Day",), MINUTE_US)):
        told.delete(charts.DUE.due)
        settings.CHART_CACHE_TIMEFRAMES = frames
        before_us = time.time_ns() // 1000
        charts.changed(told, [("krx", "005930"), ("krx", "")])
        charts.changed(told, [("krx", "005930")])
        marked: Any = told.zrange(charts.DUE.due, 0, -1, withscores=True)
        ((member, score),) = marked
        assert member == b"krx 005930"
        assert (score - charts.GRACE_US) % step_us == 0
        assert before_us < score - charts.GRACE_US <= time.time_ns() // 1000 + step_us
    told.delete(charts.DUE.due)
    settings.CHART_CACHE_TIMEFRAMES = ()
    charts.changed(told, [("krx", "005930")])
    assert (told.exists(charts.DUE.due), charts.write(told, [("krx", "005930")]), rows()) == (0, 0, {})


@pytest.mark.once
def test_what_an_emptied_redis_forgot_is_due_again(serving):
    serving.commit(session())
    write()
    serving.commit([{"time": at("10:00:00"), "price": "70200"}])

    live_state.connection().flushdb()
    write()

    assert cached() == told(serving)
    assert "2026-03-16T01:00:00Z" in {bar["t"] for bar in cached()}


@pytest.mark.once
def test_they_are_made_anew_by_hand_and_one_that_cannot_be_made_stops_no_other(serving, monkeypatch):
    serving.commit([*session(), *session(symbol="000660")])
    call_command("recompute", "--symbol", "005930")
    assert (cached(), cached(symbol="000660")) == (told(serving), None)

    real = bodies.of_minutes

    def rotten(minutes, *given):
        if minutes.symbols and minutes.symbols[int(minutes.symbol[0])] == "005930":
            raise ValueError("rot")
        return real(minutes, *given)

    monkeypatch.setattr(bodies, "of_minutes", rotten)
    assert charts.write(live_state.connection(), [("krx", code) for code in ("005930", "000660")]) == len(FRAMES)
    assert cached(symbol="000660") == told(serving, symbol="000660")


@pytest.mark.once
def test_revisions_go_on_after_the_clock_of_redis_was_set_back(serving):
    told = live_state.connection()
    first = stats.revision(told)
    told.set(stats.CLOCK, first + DAY_US)
    assert stats.revision(told) == first + DAY_US + 1
