"""A day is a trading date: REST, snapshots and market_data show the same daily row, before and after the rollover, and
when retention has dropped the minutes."""

import datetime
import itertools
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from analytics.series import trading_days
from marketdata.maintenance import retention, rollover
from marketdata.models import Market, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.types.units import day_of
from tests.integration.serving import CODES, SEOUL_DAY, and_leave, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["serving"]

MONDAY = datetime.date.fromisoformat(SEOUL_DAY)
DAY_US = 86_400_000_000
ALL = {"start": "2026-01-01", "end": "2026-12-31"}


def at(clock, day=0):
    """A time of day in Seoul, on Monday or so many days after it."""
    hour, minute, second = map(int, clock.split(":"))
    return NINE_US + day * DAY_US + ((hour - 9) * 3600 + minute * 60 + second) * 1_000_000


def session(day=0, add=0, **other):
    """A day of a Korean share: before the market, the session with its closing auction, after the market."""
    told = [
        ("08:35:00", 69900, 11), ("09:00:12", 70000, 100), ("15:19:59", 70500, 10), ("15:30:12", 70300, 1000),
        ("15:45:00", 70300, 7), ("17:59:59", 69000, 5), ("19:59:59", 71900, 3),
    ]  # fmt: skip
    return [
        {"time": at(clock, day), "price": str(price + add), "size": str(size), **other} for clock, price, size in told
    ]


def days(serving, symbol="005930", **query):
    return serving.read("/v2/stocks/bars", symbols=symbol, **{"timeframe": "1Day", **ALL, **query})["bars"].get(
        symbol, []
    )


def ohlc(bar):
    return tuple(int(bar[name]) for name in "ohlcvn")


def roll(*dates):
    for date in dates:
        rollover.run_one(date)


def drop_minutes():
    """Let three years pass."""
    RolloverRun.objects.update(done_at=datetime.datetime(2026, 3, 20, tzinfo=datetime.UTC))
    retention.apply(datetime.datetime(2029, 6, 1, 1, 0, tzinfo=datetime.UTC), progress=lambda words: None)
    assert storage().count("market_data_minute") == 0


def test_a_day_has_the_regular_close_and_the_session_s_prices_at_every_stage_of_its_life(serving):
    serving.commit(session())
    wanted = (70000, 70500, 70000, 70300, 1136, 7)

    (going_on,) = days(serving)
    assert ohlc(going_on) == wanted
    assert (going_on["t"], going_on["td"]) == ("2026-03-15T15:00:00Z", SEOUL_DAY)

    roll(MONDAY)
    row = storage().read_daily("005930", "krx", MONDAY, MONDAY + datetime.timedelta(days=1))
    assert [
        int(getattr(row, name)[0]) // 10**8 for name in ("regular_open", "regular_high", "regular_low", "close")
    ] == (list(wanted[:4]))
    assert days(serving) == [going_on]
    assert serving.read("/v2/stocks/snapshots", symbols="005930")["005930"]["dailyBar"] == going_on

    drop_minutes()
    assert days(serving) == [going_on]
    shown = serving.read("/v2/stocks/snapshots", symbols="005930")["005930"]
    assert (shown["dailyBar"], "minuteBar" in shown) == (going_on, False)


def test_a_day_without_a_regular_trade_has_the_prices_of_all_trades(serving):
    serving.commit([row for row in session() if row["time"] > at("16:00:00")])

    assert ohlc(days(serving)[0]) == (69000, 71900, 69000, 71900, 8, 2)
    (before,) = days(serving)
    roll(MONDAY)
    assert days(serving) == [before]


def test_a_futures_day_begins_the_evening_before_and_sunday_evening_is_monday(serving):
    Symbol.objects.create(code="ESM6", market=Market.objects.get(code="CME"), primary_feed="cme")
    chicago = datetime.timezone(datetime.timedelta(hours=-5))

    def trade(day, hour, price):
        moment = datetime.datetime(2026, 3, day, hour, 30, tzinfo=chicago)
        return {"symbol": "ESM6", "time": int(moment.timestamp()) * 1_000_000, "price": price}

    # Sunday evening to Monday afternoon, Monday evening to Tuesday morning
    serving.commit([trade(15, 17, "100"), trade(16, 14, "101"), trade(16, 18, "102"), trade(17, 9, "103")], name="cme")
    shown = days(serving, "ESM6", feed="cme")

    assert [(bar["td"], bar["t"], ohlc(bar)[:4], bar["n"]) for bar in shown] == [
        ("2026-03-16", "2026-03-16T05:00:00Z", (100, 101, 100, 101), 2),
        ("2026-03-17", "2026-03-17T05:00:00Z", (102, 103, 102, 103), 2),
    ]
    roll(MONDAY, MONDAY + datetime.timedelta(days=1))
    assert days(serving, "ESM6", feed="cme") == shown
    stored = storage().read_daily("ESM6", "cme", MONDAY, MONDAY + datetime.timedelta(days=9))
    assert stored.trade_date.tolist() == [day_of(MONDAY), day_of(MONDAY) + 1]
    snapshot = serving.read("/v2/stocks/snapshots", symbols="ESM6")["ESM6"]
    assert [snapshot[name] for name in ("dailyBar", "prevDailyBar")] == shown[::-1]
    only = days(serving, "ESM6", feed="cme", start="2026-03-17", end="2026-03-17")
    assert only == shown[1:]


def test_a_late_trade_of_a_finished_day_is_in_its_candle_at_the_latest_when_it_was_moved(serving):
    serving.commit(session())
    roll(MONDAY)
    serving.commit([{"time": at("10:00:00"), "price": "80000"}, {"symbol": "000660", "time": at("10:00:00")}])

    assert [bar["n"] for bar in days(serving, "000660")] == [1]  # which had no row before
    roll(MONDAY)
    (bar,) = days(serving)
    assert ohlc(bar) == (70000, 80000, 70000, 70300, 1137, 8)


def test_a_day_that_is_being_moved_again_is_the_whole_of_its_minutes(serving):
    serving.commit(session())
    roll(MONDAY)
    serving.commit([{"time": at("10:00:00"), "price": "80000"}])
    RolloverRun.objects.filter(trade_date=MONDAY).update(state=RolloverRun.State.SEALED)

    assert ohlc(days(serving)[0]) == (70000, 80000, 70000, 70300, 1137, 8)


def test_what_came_after_retention_is_not_taken_for_the_day(serving):
    serving.commit(session())
    roll(MONDAY)
    before = days(serving)
    drop_minutes()
    serving.commit([{"time": at("10:00:00"), "price": "80000"}])
    RolloverRun.objects.filter(trade_date=MONDAY).update(state=RolloverRun.State.SEALED)

    assert days(serving) == before


def test_the_current_trading_day_goes_on_after_an_early_rollover(serving, monkeypatch):
    serving.commit(session()[:2])
    roll(MONDAY)
    serving.commit(session()[2:])
    monkeypatch.setattr(rollover, "current_date", lambda now: MONDAY)

    assert ohlc(days(serving)[0]) == (70000, 70500, 70000, 70300, 1136, 7)


def test_a_day_is_there_once_at_every_moment_of_its_rollover(serving):
    dates = [MONDAY + datetime.timedelta(days=day) for day in range(4)]
    for day in range(4):
        serving.commit(session(day, add=day))
    whole = days(serving)
    assert [bar["n"] for bar in whole] == [7, 7, 7, 7]

    looked = 0
    with ThreadPoolExecutor(1) as aside:
        moving = aside.submit(and_leave, lambda: roll(*dates))
        while not moving.done():
            assert days(serving) == whole
            looked += 1
        moving.result()
        assert looked
        serving.commit([{"time": at("10:00:00", day), "price": "70100"} for day in range(4)])
        moving = aside.submit(and_leave, lambda: roll(*dates))
        while not moving.done():  # the late trade counts as soon as the day is being moved again
            assert all(bar["n"] in (7, 8) for bar in days(serving))
            assert len(days(serving)) == 4
        moving.result()
    assert [bar["n"] for bar in days(serving)] == [8, 8, 8, 8]


@pytest.fixture
def spring(serving):
    """Five weeks of three symbols, one of which trades on Wednesdays only; some days are rolled over, of some of those
    the minutes are gone, others only have minutes."""
    weeks = 5
    numbers = [day for day in range(7 * weeks) if day % 7 < 5]
    for day in numbers:
        rows = session(day, add=day) + session(day, add=day, symbol="000660")
        if day % 7 == 2:
            rows += session(day, add=day, symbol="035420")
        serving.commit(rows)
    roll(*(MONDAY + datetime.timedelta(days=day) for day in numbers if day < 3.5 * weeks and day % 3))
    return serving, numbers


def test_pages_of_days_weeks_and_months_are_the_whole(spring, subtests):
    serving, numbers = spring
    for timeframe, sort in itertools.product(("1Day", "1Week", "1Month", "2Month"), ("asc", "desc")):
        with subtests.test(timeframe=timeframe, sort=sort):
            asked = {"symbols": ",".join(CODES), "timeframe": timeframe, "sort": sort}
            whole = serving.pages("/v2/stocks/bars", "bars", limit=10_000, **asked)

            assert sum(bar["n"] for _, bar in whole) == 7 * (2 * len(numbers) + len(numbers) // 5)
            for symbol in CODES:
                times = [bar["t"] for code, bar in whole if code == symbol]
                assert times == sorted(set(times), reverse=sort == "desc")
            for limit in (7, 60) if timeframe == "1Day" else (1, 7):
                assert serving.pages("/v2/stocks/bars", "bars", limit=limit, **asked) == whole


def test_many_days_that_are_not_rolled_over_are_read_in_several_pages(spring, subtests, monkeypatch):
    serving, _ = spring
    for sort in ("asc", "desc"):
        with subtests.test(sort=sort), monkeypatch.context() as patched:
            asked = {"symbols": ",".join(CODES), "timeframe": "1Day", "sort": sort}
            whole = serving.pages("/v2/stocks/bars", "bars", limit=10_000, **asked)

            patched.setattr(trading_days, "MOST_MADE", 2)
            patched.setattr(trading_days, "MOST_DATES", 9)
            assert serving.pages("/v2/stocks/bars", "bars", limit=7, **asked) == whole


def test_weeks_begin_on_monday_and_months_on_the_first_and_are_made_of_days(spring):
    serving, _ = spring
    by_day = days(serving)

    for timeframe, name in (("1Week", "%G-%V"), ("1Month", "%Y-%m")):
        wide = days(serving, timeframe=timeframe)
        dates = [datetime.date.fromisoformat(bar["td"]).strftime(name) for bar in by_day]
        groups = [
            [bar for _, bar in group]
            for _, group in itertools.groupby(zip(dates, by_day, strict=True), key=lambda pair: pair[0])
        ]
        assert [ohlc(bar) for bar in wide] == [
            (
                int(group[0]["o"]), max(int(bar["h"]) for bar in group), min(int(bar["l"]) for bar in group),
                int(group[-1]["c"]), sum(int(bar["v"]) for bar in group), sum(bar["n"] for bar in group),
            )
            for group in groups
        ]  # fmt: skip
    assert days(serving, timeframe="1Week")[0]["t"] == "2026-03-15T15:00:00Z"
    assert [bar["t"] for bar in days(serving, timeframe="1Month")][:2] == [
        "2026-02-28T15:00:00Z",
        "2026-03-31T15:00:00Z",
    ]
    # a week is given whole or not at all, by its Monday
    assert len(days(serving, timeframe="1Week", start="2026-03-17", end="2026-03-23")) == 1
    assert days(serving, timeframe="1Week", start="2026-03-17", end="2026-03-22") == []


def test_the_rows_of_the_table_are_the_days_of_rest(spring):
    serving, numbers = spring
    before = {code: days(serving, code) for code in CODES}
    roll(*(MONDAY + datetime.timedelta(days=day) for day in numbers))

    for code in CODES:
        shown = days(serving, code)
        stored = storage().read_daily(code, "krx", MONDAY, MONDAY + datetime.timedelta(days=90))
        assert shown == before[code]
        assert [day_of(datetime.date.fromisoformat(bar["td"])) for bar in shown] == stored.trade_date.tolist()
        assert [bar["c"] for bar in shown] == [Decimal(close) / 10**8 for close in stored.close.tolist()]
        assert [bar["n"] for bar in shown] == stored.n.tolist()


def test_two_trading_dates_that_share_a_minute_are_one_candle_and_two_days(serving):
    tuesday = (MONDAY + datetime.timedelta(days=1)).isoformat()
    serving.commit([
        {"time": NINE_US + 1, "price": "100", "trade_date": SEOUL_DAY},
        {"time": NINE_US + 2, "price": "200", "trade_date": tuesday},
        {"time": NINE_US + 3, "price": "150", "trade_date": SEOUL_DAY},
        {"time": NINE_US + MINUTE_US, "price": "300", "trade_date": tuesday},
    ])  # fmt: skip
    minutes = serving.read("/v2/stocks/005930/bars")["bars"]

    assert [(ohlc(bar), bar["td"]) for bar in minutes] == [
        ((100, 200, 100, 200, 3, 3), tuesday), ((300, 300, 300, 300, 1, 1), tuesday),
    ]  # fmt: skip
    for limit, sort in itertools.product((1, 2), ("asc", "desc")):
        pages = [bar for _, bar in serving.pages("/v2/stocks/bars", "bars", symbols="005930", limit=limit, sort=sort)]
        assert pages == (minutes if sort == "asc" else minutes[::-1])
    by_day = days(serving)
    assert [(bar["td"], bar["n"], ohlc(bar)[3]) for bar in by_day] == [(SEOUL_DAY, 2, 150), (tuesday, 2, 300)]
    roll(MONDAY, MONDAY + datetime.timedelta(days=1))
    assert [(bar["td"], bar["n"]) for bar in days(serving)] == [(SEOUL_DAY, 2), (tuesday, 2)]


def test_a_page_of_stored_minutes_ends_with_a_whole_minute(serving):
    tuesday = (MONDAY + datetime.timedelta(days=1)).isoformat()
    for number in range(4):
        serving.commit([
            {"time": NINE_US + number * MINUTE_US, "trade_date": date} for date in (SEOUL_DAY, tuesday)
        ])  # fmt: skip

    for limit in (1, 2, 3):
        page = storage().read_minutes("005930", "krx", 0, NINE_US + DAY_US, limit=limit)
        assert len(page) == limit + limit % 2
