"""Where a share stands that had another code before: the newest of everything, snapshots, and what a chart shows."""

import datetime
import json
from decimal import Decimal

import pytest

from api.stream import stored
from marketdata.models import SymbolChange, SymbolRename, VendorMinute, VoidedTick, VoidOrder
from marketdata.storage import storage
from marketdata.types.minute_bars import COLUMNS
from marketdata.types.order_books import MarketEvent
from marketdata.types.units import day_of
from tests.integration.serving import SEOUL_DAY, serving
from tests.integration.test_api_records import event, pages
from tests.integration.test_api_resources import book, keep
from tests.integration.test_days import MONDAY, at
from tests.market import DAY_US, NINE_US
from tests.vendor import lose

__all__ = ["serving"]

TUESDAY = MONDAY + datetime.timedelta(days=1)
OLD, NEW = "000660", "005930"
NINE_S = NINE_US // 1_000_000


def day(serving, code, number, price):
    """A trade, a quote, an order book and what a snapshot told, of one code and date."""
    moment = {"symbol": code, "time": at("09:00:00", number)}
    quote = {"kind": "quote", "price": None, "size": None, "bid": str(price - 1), "ask": str(price + 1)}
    told = {"kind": "snapshot", "size": None, "price": str(price), "open": str(price)}
    serving.commit([{**moment, "price": str(price)}, {**moment, **quote}, {**moment, **told}])
    date = MONDAY + datetime.timedelta(days=number)
    storage().ensure_partitions([date], ("order_books",))
    at_us = NINE_US + number * DAY_US
    trade_date = day_of(date)
    keep(book(price, symbol=code, time_us=at_us, trade_date=trade_date, bids=((str(price - 1), "1"),)))


def newest(serving, code, **query):
    """The price of the newest trade, quote, candle and book of a code; None where there is none."""
    found = []
    for what, name, price in (
        ("trades", "trade", "p"), ("quotes", "quote", "bp"), ("bars", "bar", "c"), ("orderbooks", "orderbook", "b"),
    ):  # fmt: skip
        root = "/v2" if what == "orderbooks" else "/v2/stocks"
        many = serving.read(f"{root}/{what}/latest", symbols=code, **query)[what].get(code)
        alone = serving.get(
            f"{root}/{what[:-1]}s/{code}/latest" if root == "/v2" else f"{root}/{code}/{what}/latest", **query
        )
        assert alone.status_code == (404 if many is None else 200)
        if many is not None:
            assert json.loads(alone.content, parse_float=Decimal)[name] == many
            many = int(many[price][0]["p"] if what == "orderbooks" else many[price])
        found.append(many)
    return found


def snapshot(serving, code, **query):
    """The prices that a snapshot tells."""
    shown = serving.read("/v2/stocks/snapshots", symbols=code, **query)[code]
    assert serving.read(f"/v2/stocks/{code}/snapshot", **query) == {"symbol": code, **shown}
    names = {"latestTrade": "p", "latestQuote": "bp", "minuteBar": "c", "dailyBar": "c", "prevDailyBar": "c"}
    return {name: int(shown[name][of]) for name, of in {**names, "dayFigures": "p"}.items() if name in shown}


def stands(price, before):
    """What `snapshot` tells of a share whose last price is this and whose last one of the day before is that."""
    told = {"latestTrade": price, "latestQuote": price - 1, "minuteBar": price, "dailyBar": price, "dayFigures": price}
    return told | ({"prevDailyBar": before} if before else {})


def chart(serving, path, **query):
    asked = {"symbol": NEW, "resolution": "1D", "from": NINE_S - 86_400, "to": NINE_S + 9 * 86_400, **query}
    return serving.read(f"/udf/{path}", **asked)


def test_a_share_stands_where_it_stood_under_its_old_code_until_it_trades_under_the_new(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    day(serving, OLD, 0, 100)
    assert newest(serving, NEW) == [100, 99, 100, 99]
    assert snapshot(serving, NEW) == stands(100, None)

    day(serving, NEW, 1, 110)

    assert newest(serving, NEW) == newest(serving, OLD, asof=SEOUL_DAY) == [110, 109, 110, 109]
    assert snapshot(serving, NEW) == snapshot(serving, OLD, asof=SEOUL_DAY) == stands(110, 100)
    assert snapshot(serving, NEW, asof="-") == stands(110, None)
    assert chart(serving, "history")["c"] == [100, 110]
    (moved,) = serving.read("/v1beta1/screener/stocks/movers")["gainers"]
    assert (moved["symbol"], moved["percent_change"], moved["price"]) == (NEW, 10, 110)
    (told,) = serving.read("/udf/quotes", symbols=NEW)["d"]
    assert [int(told["v"][name]) for name in ("lp", "prev_close_price", "ch", "bid", "ask")] == [110, 100, 10, 109, 111]


def test_who_has_the_old_code_now_stands_by_himself(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    day(serving, OLD, 0, 100)
    assert (newest(serving, OLD), snapshot(serving, OLD)) == ([None] * 4, {})
    assert newest(serving, OLD, asof="-") == [100, 99, 100, 99]

    day(serving, OLD, 1, 7)

    assert newest(serving, OLD) == [7, 6, 7, 6]
    assert snapshot(serving, OLD) == stands(7, None)
    assert chart(serving, "history", symbol=OLD)["c"] == [7]
    assert newest(serving, NEW) == newest(serving, OLD, asof=SEOUL_DAY) == [100, 99, 100, 99]
    figures = stands(100, None)
    del figures["dayFigures"]  # the newest ones under the old code are somebody else's
    assert snapshot(serving, NEW) == figures
    assert serving.read("/v1beta1/screener/stocks/movers")["losers"] == []
    most = serving.read("/v1beta1/screener/stocks/most-actives")["most_actives"]
    assert most == [{"symbol": OLD, "volume": 1, "trade_count": 1}]
    days = stored.newest_days("krx", [OLD, NEW])
    told = {code: (row[0], row[COLUMNS.index("close")] // 10**8) for code, (row, _) in days.items()}
    assert told == {OLD: (OLD, 7), NEW: (NEW, 100)}
    books = stored.newest_books("krx", [OLD, NEW])
    assert {code: (one.symbol, one.bids[0][0]) for code, one in books.items()} == {OLD: (OLD, "6"), NEW: (NEW, "99")}


@pytest.mark.once
def test_before_a_code_was_given_to_a_share_there_is_nothing_of_it(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    day(serving, OLD, 0, 100)

    for resource in ("trades", "quotes", "bars"):
        assert serving.read(f"/v2/stocks/{OLD}/{resource}", end=SEOUL_DAY)[resource] == []
        lines = serving.get(f"/v2/stocks/{OLD}/{resource}", end=SEOUL_DAY, format="csv").content.splitlines()
        assert lines[1:] == [b"# 0 rows"]


@pytest.mark.once
def test_two_shares_that_change_codes_on_one_date_keep_their_own(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    SymbolRename.objects.create(old=NEW, new=OLD, since=TUESDAY)
    for number, prices in enumerate(((100, 7), (8, 110))):
        for code, price in zip((OLD, NEW), prices, strict=True):
            day(serving, code, number, price)

    assert snapshot(serving, NEW) == stands(110, 100)
    assert snapshot(serving, OLD) == stands(8, 7)
    both = serving.read("/v2/stocks/trades/latest", symbols=f"{OLD},{NEW}")["trades"]
    assert {symbol: int(trade["p"]) for symbol, trade in both.items()} == {OLD: 8, NEW: 110}
    assert chart(serving, "history")["c"] == [100, 110]


@pytest.mark.once
def test_marks_are_those_of_the_share_whatever_its_code_was(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    tuesday_us = NINE_US + DAY_US
    day(serving, NEW, 1, 110)
    told = [(OLD, NINE_US, "ours"), (OLD, tuesday_us, "theirs"), (NEW, tuesday_us, "ours"), (None, NINE_US, "of all")]
    for batch, (code, time_us, reason) in enumerate(told, 90):
        lose(batch, time_us, time_us, None, symbol=code, reason=reason)
    for code, number, name in ((OLD, 0, "ours"), (OLD, 2, "theirs"), (NEW, 2, "ours")):
        moment = datetime.datetime(2026, 3, 16 + number, 1, tzinfo=datetime.UTC)
        SymbolChange.objects.create(symbol=code, what="renamed", after=name, found_at=moment)

    marks = chart(serving, "marks")
    assert sorted(text.rsplit(" · ", 1)[-1] for text in marks["text"]) == ["of all", "ours", "ours"]
    times = chart(serving, "timescale_marks")
    assert [(mark["label"], mark["tooltip"][1]) for mark in times] == [
        ("R", "ours"), ("C", f"{OLD} → {NEW}"), ("R", "ours"),
    ]  # fmt: skip


def test_events_gaps_corrections_and_quality_are_those_of_the_share_whatever_its_code_was(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    storage().ensure_partitions([MONDAY, TUESDAY], ("market_events",))
    order = VoidOrder.objects.create(selection="{}", reason="a typing error", ordered_by="kim")
    events: list[MarketEvent] = []
    for days in range(2):
        for code in (OLD, NEW, "035420"):
            number, at_us, date = len(events) + 1, NINE_US + days * DAY_US, MONDAY + datetime.timedelta(days=days)
            trade_date = day_of(date)
            events.append(event(0, event_id=number, symbol=code, time_us=at_us, trade_date=trade_date))
            lose(number, at_us, at_us + 1, None, symbol=code, trade_date=date)
            VoidedTick.objects.create(
                tick_id=number, order=order, symbol=code, feed="krx", source_id=4, trade_date=date, time_us=at_us,
                record="{}",
            )  # fmt: skip
            VendorMinute.objects.create(
                vendor="kis", symbol=code, feed="krx", trade_date=date, minute_us=at_us, rev=1, open=1, high=1, low=1,
                close=1, volume=number * 10**6, value=1, fetched_at=datetime.datetime.now(datetime.UTC),
            )  # fmt: skip
    storage().store_events(events)
    lose(9, NINE_US, NINE_US + DAY_US, None, symbol=OLD)

    def told(symbols, **query):
        """(its number, the symbol that is told) of each row; the same whatever the rows are."""
        asked = {"symbols": symbols, "limit": 1, **query}
        found = [(one["i"], one["S"]) for one in pages(serving, "/v2/events", "events", **asked)]
        voids = pages(serving, "/v2/corrections", "corrections", **asked)
        assert [(one["i"], one["S"]) for one in voids] == found
        theirs = pages(serving, "/v2/corrections", "corrections", type="vendor", **asked)
        assert [(one["bar"]["v"], one["S"]) for one in theirs] == found
        gaps = pages(serving, "/v2/gaps", "gaps", **asked)
        assert [one["S"] for one in gaps if one["td"]] == [symbol for _, symbol in found]
        return found

    assert told(NEW) == told(f"{NEW},999999") == [(1, NEW), (5, NEW)]
    assert told(OLD) == [(4, OLD)], "what lies under it before is another share's"
    assert told(f"{OLD},035420") == [(3, "035420"), (4, OLD), (6, "035420")]
    assert told(OLD, asof=SEOUL_DAY) == [(1, OLD), (5, OLD)]
    assert told(OLD, asof="-") == [(1, OLD), (4, OLD)]
    assert [one["S"] for one in serving.read("/v2/gaps", symbols=NEW, sort="desc")["gaps"]] == [NEW, NEW, NEW]
    assert serving.get("/v2/events", symbols=f"{NEW},999999").headers["X-Naru-Warning"].endswith("999999")
    assert serving.read("/v2/events", symbols="999999")["events"] == []


@pytest.mark.once
def test_the_quality_of_a_day_is_asked_of_the_share_under_the_code_that_it_bears_now(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY)
    serving.commit([{"symbol": OLD}])
    lose(1, NINE_US, NINE_US, None, symbol=OLD, trade_date=MONDAY)

    found = serving.read(f"/v2/quality/{SEOUL_DAY}/{NEW}")

    assert (found["symbol"], found["stored"], found["gaps"]) == (NEW, 1, 1)
    assert serving.read(f"/v2/quality/{SEOUL_DAY}/{OLD}", asof="-")["stored"] == 1
    assert serving.get(f"/v2/quality/{SEOUL_DAY}/{OLD}").status_code == 404


def test_days_go_on_under_the_other_code_where_one_had_just_as_many_as_were_asked_for(serving):
    SymbolRename.objects.create(old=OLD, new=NEW, since=TUESDAY + datetime.timedelta(days=1))
    for number, code in enumerate((OLD, OLD, NEW, NEW)):
        day(serving, code, number, 100 + number)
    assert snapshot(serving, NEW) == stands(103, 102)
    for sort, prices in (("asc", [100, 101, 102, 103]), ("desc", [103, 102, 101, 100])):
        for limit in (1, 2, 3):
            asked = {"symbols": NEW, "timeframe": "1Day", "sort": sort, "limit": limit}
            assert [int(bar["c"]) for _, bar in serving.pages("/v2/stocks/bars", "bars", **asked)] == prices
