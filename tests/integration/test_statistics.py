"""Statistics from a committed batch to Redis, cache_stats_data, REST and the stream; and what makes them due."""

import csv
import datetime
import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
import redis as redis_client
from django.core.management import call_command

from analytics import voids
from analytics.integrity import repair
from analytics.statistics import due, series
from analytics.voids import Selection
from marketdata.calendar import trading_dates
from marketdata.maintenance import rollover
from marketdata.models import AdjustmentFactor, Symbol, SymbolRename, VoidOrder
from marketdata.realtime import feed, live_state, stats
from marketdata.storage import storage
from marketdata.storage.base import CachedStats
from marketdata.types.units import date_of
from tests.integration.serving import Socket, beside, commit, hub, serving
from tests.integration.test_api_resources import book, keep
from tests.integration.test_days import MONDAY, session
from tests.market import MINUTE_US, NINE_US

__all__ = ["hub", "serving"]

DAY_US = 86_400_000_000


def trades(*prices, size="1", minute=0, **other):
    """A trade each second."""
    return [
        {"time": NINE_US + minute * MINUTE_US + at * 1_000_000, "price": str(price), "size": size, **other}
        for at, price in enumerate(prices)
    ]


def told(serving, symbol="005930"):
    return serving.read("/v2/stats", symbols=symbol)["stats"][symbol]


def stored(symbol="005930", name=stats.ROWS):
    (row,) = storage().read_stats("krx", name, [symbol])
    return json.loads(row.body, parse_float=Decimal)


def taken():
    found = stats.take(live_state.connection(), most=stats.MOST)
    assert found is not None
    return found


def without_time(content):
    return {name: value for name, value in content.items() if name != "t"}


def test_what_was_committed_is_due_and_shown_alike_by_rest_and_sql(serving):
    serving.commit(trades(70000, 70100, 70000, size="30"))
    due.compute()

    one = told(serving)
    assert one["open"] == 70000
    assert (one["last"], one["volume"], one["turnover"], one["trades"]) == (70000, 90, 30 * 210100, 3)
    assert one["vwap"] == Decimal("70033.33333333")
    assert (one["upVolume"], one["downVolume"], one["flow"]) == (30, 30, 0)  # the first has none before it
    assert one["tradeSizes"] == [0, 3, 0, 0, 0, 0]
    assert (one["prevClose"], one["return1d"], one["volatilityClose"], one["beta"]) == (None,) * 4
    assert without_time(one) == stored()
    assert without_time(serving.read("/v2/stats/005930")["newest"]) == stored()
    *lines, _ = serving.get("/v2/stats", symbols="005930", format="csv").content.decode().splitlines()
    (row,) = csv.DictReader(lines)
    assert (row["trading_date"], row["vwap"], row["trades_below_100"]) == (one["td"], "70033.33333333", "3")


def test_the_newest_order_book_tells_liquidity_and_the_closes_of_minutes_how_a_day_moved(serving):
    def traded(minute, price):
        serving.commit(trades(price, minute=minute))

    for minute, price in enumerate((70000, 70700, 70000)):
        traded(minute, price)
    keep(book(0, bids=(("70000", "1"),)), book(1))  # bids of 5 and 7.5 shares from 70,000 on, asks of 3 at 70,100
    due.compute()
    one = told(serving)
    assert (one["spread"], one["bidDepth"], one["askDepth"]) == (100, Decimal("12.5"), 3)
    assert float(one["spreadShare"]) == pytest.approx(100 / 70_050, abs=1e-8)
    assert float(one["imbalance"]) == pytest.approx((12.5 - 3) / 15.5, abs=1e-8)
    assert float(one["volatilityIntraday"]) == pytest.approx(2**0.5 * np.log(1.01), abs=1e-8)

    keep(book(2, asks=()))  # at the upper limit nobody asks
    traded(3, 70000)
    due.compute()
    one = told(serving)
    assert (one["spread"], one["spreadShare"], one["askDepth"], one["imbalance"]) == (None, None, 0, 1)


@pytest.mark.once
def test_what_redis_has_of_statistics_ends_by_itself(serving):
    connection = live_state.connection()
    serving.commit(trades(70000))
    due.compute()

    kept_s = {stats.RESULTS: stats.KEEP_S, stats.ORDER: stats.KEEP_S}
    for name, longest_s in (kept_s | {stats.FLOWS: stats.WORKING_S, stats.PROFILES: stats.WORKING_S}).items():
        assert 0 < connection.ttl(name + "krx") <= longest_s, name
    connection.flushdb()
    due.mark_all_if_changed(connection)
    for name, longest_s in kept_s.items():  # also what came from the database
        assert 0 < connection.ttl(name + "krx") <= longest_s, name


def test_a_late_trade_and_one_taken_back_change_only_what_they_must_and_a_recomputation_nothing(serving):
    serving.commit(trades(70000, 70100, size="5"))
    serving.commit(trades(70100, 70000, size="7", minute=3))
    due.compute()
    before = told(serving)

    serving.commit(trades(70200, size="1000", minute=1))
    due.compute()
    after = told(serving)
    assert (before["upVolume"], before["downVolume"]) == (
        12,
        7,
    )  # 70,100 again is no change of price: it went on upwards
    assert (after["upVolume"], after["downVolume"]) == (1005, 14)
    assert after["t"] > before["t"]

    call_command("recompute", "--symbol", "005930", "--day", "2026-03-16")
    again = told(serving)
    assert again["t"] > after["t"]
    assert without_time(again) == without_time(after)


def void(**given):
    outcome = voids.void(Selection(**given), reason="wrong", by="boss")
    voids.announce()
    return outcome.order


def test_voided_ticks_count_in_no_statistics_and_count_again_when_they_are_put_back(serving):
    quote = {
        "time": NINE_US + 9 * MINUTE_US, "kind": "quote", "price": None, "size": None, "bid": "70000", "ask": "70100",
        "bid_size": "1", "ask_size": "1",
    }  # fmt: skip
    serving.commit([*trades(70000, 70200, 70300, size="5"), *trades(70100, size="7", minute=3), quote])
    serving.commit(trades(80000, symbol="000660"))
    due.compute()
    before = told(serving)
    assert (before["last"], before["volume"], before["spread"], before["tradeSizes"][0]) == (70100, 22, 100, 4)

    orders = [void(symbols=("005930",), start_us=NINE_US + MINUTE_US), void(symbols=("000660",))]
    due.compute()
    one = told(serving)
    assert (one["last"], one["volume"], one["upVolume"], one["downVolume"]) == (70300, 15, 10, 0)
    assert (one["spread"], one["tradeSizes"][0], one["turnover"]) == (None, 3, 5 * 210500)
    assert list(serving.read("/v2/stats", symbols="005930,000660")["stats"]) == ["005930"]
    assert serving.read("/v2/stats/000660")["newest"] is None
    assert stored("000660") is None
    live_state.connection().zadd(stats.MARKETS, {"krx": 0}, xx=True)
    due.compute()
    assert serving.read("/v2/stats/market")["symbols"] == 1

    for order in orders:
        voids.restore(VoidOrder.objects.get(pk=order), by="boss")
    voids.announce()
    due.compute()
    assert without_time(told(serving)) == without_time(before)
    assert told(serving, "000660")["last"] == 80000


@pytest.mark.once
def test_a_result_of_before_its_last_trade_was_voided_does_not_come_back(serving):
    connection = live_state.connection()
    serving.commit(trades(80000, symbol="000660"))
    slow = taken()
    void(symbols=("000660",))
    due.compute()
    due._put(connection, "krx", slow, ["000660"], {"000660": b'{"last": 80000}'})

    assert stats.results(connection, "krx", ["000660"]) == {}
    assert stored("000660") is None


@pytest.mark.once
def test_everything_is_due_after_what_no_commit_tells_of_and_only_then(serving, redis_server, monkeypatch):
    connection = live_state.connection()
    serving.commit(session())
    rollover.run_one(MONDAY)

    def is_marked():
        found = due.mark_all_if_changed(connection)
        assert not due.mark_all_if_changed(connection)
        return found

    assert is_marked()
    repair.rebuild_candles(MONDAY)
    assert is_marked()
    rename = SymbolRename.objects.create(old="000660", new="005930", since="2026-03-10")
    assert is_marked()
    SymbolRename.objects.filter(pk=rename.pk).update(since="2026-03-11")
    assert is_marked()
    now = rollover.utc_now()
    monkeypatch.setattr(rollover, "current_date", lambda _now: MONDAY)
    monkeypatch.setattr(rollover, "utc_now", lambda: now)
    assert is_marked()
    monkeypatch.setattr(rollover, "utc_now", lambda: now + datetime.timedelta(days=1))
    assert is_marked()  # of a market with hours of its own
    connection.delete(feed.GENERATION)
    assert is_marked()  # another Redis, which has what an older state of this one had


@pytest.mark.once
def test_a_feed_that_always_has_more_keeps_no_other_waiting(serving):
    connection = live_state.connection()
    for name in ("a", "b", "c"):
        stats.mark(connection, name, (f"{number:06}" for number in range(3 * stats.MOST)))

    assert {name for _ in range(3) for name, _ in taken().series} == {"a", "b", "c"}


def test_a_split_and_the_rollover_make_everything_due_again(serving):
    for day in range(3):
        serving.commit(session(day, add=700 * day))
    due.compute()
    assert told(serving)["prevClose"] == 71000

    AdjustmentFactor.objects.create(symbol="005930", ex_date="2026-03-18", kind="split", old_rate=1, new_rate=2)
    due.compute()
    one = told(serving)
    assert one["prevClose"] == 35500

    rollover.run_one(MONDAY)
    assert due.compute() > 0
    assert without_time(told(serving)) == without_time(one)


def test_an_older_result_never_takes_the_place_of_a_newer_one_and_what_a_dead_worker_took_is_due_again(
    serving, monkeypatch
):
    connection = live_state.connection()
    stats.mark(connection, "krx", ["005930"])
    slow = taken()
    assert stats.take(connection, most=stats.MOST) is None
    stats.mark(connection, "krx", ["005930"])
    quick = taken()
    assert quick.series == slow.series == [("krx", "005930")]

    for one, body in ((quick, b'{"a": 2}'), (slow, b'{"a": 1}')):
        storage().put_stats([CachedStats(
            symbol="005930", feed="krx", name=stats.ROWS, body=body.decode(), at_us=one.revision,
        )])  # fmt: skip
        stats.settle(connection, "krx", one, ["005930"], {"005930": body})
    assert stats.results(connection, "krx")["005930"].body == b'{"a": 2}'
    assert stored() == {"a": 2}

    monkeypatch.setattr(stats, "LEASE_US", -1)  # over before it began
    stats.mark(connection, "krx", ["000660"])
    dead, again = taken(), taken()
    assert (again.series, again.revision > dead.revision) == (dead.series, True)


def test_the_market_is_told_from_its_symbols(serving, monkeypatch):
    for symbol, prices in (("005930", (70000, 70700)), ("000660", (70000, 69300))):
        for day, price in enumerate(prices):
            serving.commit(trades(price, minute=day * DAY_US // MINUTE_US, symbol=symbol))
    monkeypatch.setattr(stats, "MOST", 1)
    rings: list[str] = []
    due.compute(lambda: rings.append("for one more worker"))
    assert rings == ["for one more worker"]
    connection = live_state.connection()
    connection.zadd(stats.MARKETS, {"krx": 0}, xx=True)  # its second is over
    due.compute()

    market = serving.read("/v2/stats/market")
    assert (market["symbols"], market["advancing"], market["declining"], market["breadth"]) == (2, 1, 1, 0)
    assert [one["symbol"] for one in market["gainers"] + market["losers"]] == ["005930", "000660"]
    assert market["turnover"] == sum(told(serving, code)["turnover"] for code in ("005930", "000660"))
    assert without_time(market) == stored("", stats.MARKET_ROW)
    assert serving.get("/v2/stats/market", feed="nobody").status_code == 404


@pytest.mark.once
def test_figures_of_many_days_are_those_of_their_closes(serving, settings):
    settings.STATS_INDEX = "000660"
    calendar = trading_dates.calendar("KRX")
    days = [back for back in range(120) if calendar.is_session(MONDAY - datetime.timedelta(days=back))][:61][::-1]
    mine, its = (70_000 + np.random.default_rng(seed).integers(-900, 900, 61) for seed in (1, 2))
    serving.commit([
        {"symbol": symbol, "time": NINE_US - back * DAY_US + at * 1_000_000, "price": str(price + away), "size": "3"}
        for symbol, prices in (("005930", mine), ("000660", its))
        for back, price in zip(days, prices.tolist(), strict=True)
        for at, away in enumerate((100, 200, -300, 0))  # of each day: open, high, low and close
    ])  # fmt: skip
    due.compute()
    live_state.connection().zadd(stats.MARKETS, {"krx": 0}, xx=True)
    due.compute()

    returns, index = np.diff(np.log(mine)), np.diff(np.log(its))
    one = told(serving)
    assert float(one["return60d"]) == pytest.approx(np.log(mine[-1] / mine[0]), abs=1e-8)
    assert float(one["volatilityClose"]) == pytest.approx(np.std(returns[-20:], ddof=1) * 252**0.5, abs=1e-8)
    ranges, moves = np.log((mine + 200) / (mine - 300))[-20:], np.log(mine / (mine + 100))[-20:]
    parkinson = np.sqrt(252 * (ranges**2).mean() / (4 * np.log(2)))
    garman_klass = np.sqrt(252 * (ranges**2 / 2 - (2 * np.log(2) - 1) * moves**2).mean())
    assert float(one["volatilityParkinson"]) == pytest.approx(parkinson, abs=1e-8)
    assert float(one["volatilityGarmanKlass"]) == pytest.approx(garman_klass, abs=1e-8)
    assert one["volumeRatio"] == 1
    assert float(one["beta"]) == pytest.approx(np.polyfit(index, returns, 1)[0], abs=1e-8)
    assert one["betaIndex"] == "000660"
    day, recent = stats.recent(live_state.connection(), "krx", ["005930", "NOBODY"])["005930"]
    assert (date_of(day).isoformat(), recent) == (one["td"], [10_000] * series.RECENT_MINUTES)
    (_, other) = serving.read("/v2/stats/market")["correlation"]["matrix"][0]
    assert float(other) == pytest.approx(np.corrcoef(returns, index)[0, 1], abs=1e-8)

    asked = serving.read("/v2/stats/market/correlation", symbols="000660,005930,035420")
    assert (asked["symbols"], asked["days"]) == (["000660", "005930"], 60)
    assert asked["matrix"] == [[1, other], [other, 1]]

    settings.STATS_INDEX = ""
    due.compute()
    assert (told(serving)["beta"], told(serving)["betaIndex"]) == (None, None)
    Symbol.objects.filter(code="000660").update(category="index", name="코스피 지수")
    assert due.compute() > 0  # all are due when another symbol became an index
    again = told(serving)
    assert (again["beta"], again["betaIndex"]) == (one["beta"], "000660")
    assert told(serving, "000660")["beta"] is None
    *lines, _ = serving.get("/v2/stats", symbols="005930", format="csv").content.decode().splitlines()
    assert next(csv.DictReader(lines))["beta_index"] == "000660"


@pytest.mark.once
def test_correlations_are_asked_for_of_a_few_registered_symbols(serving):
    serving.commit([*trades(70000), *trades(80000, symbol="000660")])
    path = "/v2/stats/market/correlation"

    found = serving.get(path, symbols="005930,000660,NOBODY")
    assert found.json() == {"symbols": ["005930", "000660"], "days": 60, "matrix": [[None, None], [None, None]]}
    assert "NOBODY" in found.headers["X-Naru-Warning"]
    assert serving.read(path, symbols="005930,000660", feed="krx") == found.json()
    for wrong in ({}, {"symbols": ",".join(f"A{number:05}" for number in range(51))}):
        answer = serving.get(path, **wrong)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, ["symbols"])
    assert serving.read(path, symbols="NOBODY") == {"symbols": [], "days": 60, "matrix": []}
    assert serving.get(path, symbols="005930,000660", feed="nobody").status_code == 404
    assert serving.get(path, symbols="005930,000660", days="5").status_code == 400


@pytest.mark.once
def test_an_index_that_is_not_on_the_feed_is_read_on_its_primary_one(serving):
    calendar = trading_dates.calendar("KRX")
    days = [back for back in range(120) if calendar.is_session(MONDAY - datetime.timedelta(days=back))][:61][::-1]
    mine, its = (70_000 + np.random.default_rng(seed).integers(-900, 900, 61) for seed in (1, 2))
    Symbol.objects.filter(code="000660").update(category="index", name="코스피")
    for feed_name, symbol, prices in (("nxt", "005930", mine), ("krx", "000660", its)):
        rows = [
            {"symbol": symbol, "time": NINE_US - back * DAY_US, "price": str(price), "size": "3"}
            for back, price in zip(days, prices.tolist(), strict=True)
        ]
        serving.commit(rows, name=feed_name)
    due.compute()

    one = serving.read("/v2/stats", symbols="005930", feed="nxt")["stats"]["005930"]
    assert one["betaIndex"] == "000660"
    slope = np.polyfit(np.diff(np.log(its)), np.diff(np.log(mine)), 1)[0]
    assert float(one["beta"]) == pytest.approx(slope, abs=1e-8)


@pytest.mark.once
def test_a_series_that_cannot_be_computed_stops_no_other_and_costs_little(serving, monkeypatch):
    serving.commit([*trades(70000), *trades(80000, symbol="000660")])
    connection = live_state.connection()
    connection.hset(stats.FLOWS + "krx", "005930", b"rot")
    stats.mark(connection, "krx", (f"A{number:05}" for number in range(61)))
    asked, real = list[int](), series.bodies

    def counted(name, symbols, *given, **more):
        asked.append(len(symbols))
        return real(name, symbols, *given, **more)

    monkeypatch.setattr(series, "bodies", counted)
    due.compute()

    assert asked[0] == 64  # with the three that are collected
    assert len(asked) == 13  # two for each halving
    assert list(serving.read("/v2/stats", symbols="005930,000660")["stats"]) == ["000660"]
    call_command("recompute")
    assert told(serving)["last"] == 70000


@pytest.mark.once
def test_while_redis_is_away_the_cache_table_is_served(serving, monkeypatch):
    serving.commit(trades(70000))
    due.compute()
    before = told(serving)

    def away(*_args):
        raise redis_client.ConnectionError

    monkeypatch.setattr(stats, "results", away)
    assert told(serving) == before


def market_is_due():
    live_state.connection().zadd(stats.MARKETS, {"krx": 0}, xx=True)


def test_an_emptied_redis_shows_what_the_cache_table_has_as_old_as_it_is_and_all_of_it_is_due(serving):
    serving.commit([*trades(70000), *trades(80000, symbol="000660")])
    due.compute()
    market_is_due()
    due.compute()
    before, whole = told(serving), serving.read("/v2/stats/market")
    board = serving.read("/v2/stats/market/symbols")
    serving.commit(trades(70100, minute=1))

    live_state.connection().flushdb()

    assert (told(serving), serving.read("/v2/stats/market")) == (before, whole)
    shown = serving.read("/v2/stats/market/symbols")
    assert (shown["symbols"], shown["all"]) == (board["symbols"], board["all"])
    connection = live_state.connection()
    assert due.mark_all_if_changed(connection)
    assert (told(serving), serving.read("/v2/stats/market")) == (before, whole)
    assert connection.smembers(stats.MARKED + "krx") >= {b"005930", b"000660", b""}
    due.compute()
    after = told(serving)
    assert (after["last"], after["t"] > before["t"]) == (70100, True)
    assert not due.mark_all_if_changed(connection)


@pytest.mark.once
def test_results_go_on_after_the_clock_of_redis_was_set_back_and_dead_workers_hold_nothing_up(serving):
    hour_us = 3_600_000_000
    serving.commit(trades(70000))
    due.compute()
    connection = live_state.connection()
    (row,) = storage().read_stats("krx", stats.ROWS, ["005930"])
    ahead = replace(row, at_us=row.at_us + hour_us)
    storage().put_stats([ahead])
    connection.flushdb()
    due.mark_all_if_changed(connection)
    assert stats.results(connection, "krx", ["005930"])["005930"].revision == ahead.at_us

    serving.commit(trades(70100, minute=1))
    dead = taken()
    connection.zadd(stats.TAKEN, {f"{feed} {symbol}": dead.ends_us + hour_us for feed, symbol in dead.series})
    due.compute()

    assert told(serving)["last"] == 70100
    assert stats.results(connection, "krx", ["005930"])["005930"].revision > dead.revision > ahead.at_us
    assert stored()["last"] == 70100


def test_the_rollover_leaves_statistics_until_newer_ones_take_their_place(serving):
    serving.commit(session())
    due.compute()
    before = told(serving)

    rollover.run_one(MONDAY)

    assert told(serving) == before
    assert without_time(before) == stored()
    old = replace(storage().read_stats("krx", stats.ROWS, ["005930"])[0], symbol="999999", at_us=NINE_US)
    storage().put_stats([old])
    serving.commit(session(1))
    rollover.run_one(MONDAY + datetime.timedelta(days=1))
    assert storage().read_stats("krx", stats.ROWS, ["999999"]) == []  # nothing newer ever came


@pytest.mark.once
async def test_subscribers_are_told_the_statistics_that_changed(serving, hub):
    async with Socket("krx", {}) as socket:
        await socket.enter(serving)
        assert (await socket.subscribe(stats=["005930"]))["stats"] == ["005930"]
        await commit(serving, trades(70000, size="2"))
        await beside(due.compute)

        one = (await socket.until("stats"))[-1]
        assert (one["S"], one["last"], one["volume"]) == ("005930", 70000, 2)
        assert {name: value for name, value in one.items() if name not in ("T", "S")} == await beside(
            lambda: told(serving)
        )
