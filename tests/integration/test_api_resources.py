"""Quotes, newest trades and quotes, snapshots, order books and what else the dialect's clients ask for by REST."""

import datetime
import json
from decimal import Decimal

import pytest

from marketdata.models import Gap, Symbol, SymbolRename
from marketdata.storage import storage
from marketdata.types.order_books import OrderBook
from marketdata.types.tick_arrays import TICK_BITS
from marketdata.types.units import day_of
from tests import order_books
from tests.integration.serving import CODES, minute, serving
from tests.market import DAY_US, MINUTE_US, NINE_US, price, size

__all__ = ["serving"]

DAY = datetime.date(2026, 3, 16)
NINE = "2026-03-16T00:00:00.000000Z"


def quote(number: int, **other):
    """A quote in the given minute after nine, of 69,900 against 70,000."""
    given = {"bid": "69900", "bid_size": "3", "ask": "70000", "ask_size": "5.5"}
    return {"kind": "quote", "time": NINE_US + number * MINUTE_US, "price": None, "size": None, **given, **other}


def book(number: int, **other) -> OrderBook:
    """An order book `number` microseconds after nine."""
    given = {
        "symbol": "005930", "feed": "krx", "source_id": 4, "time_us": NINE_US + number,
        "tick_id": (9 << TICK_BITS) + number, "trade_date": day_of(DAY),
        "bids": (("70000", "5"), ("69900.5", "7.5")),
        "asks": (("70100", "3"),),
    }  # fmt: skip
    return OrderBook(**{**given, **other})


def keep(*books: OrderBook) -> None:
    storage().ensure_partitions([DAY], ("order_books",))
    order_books.store(storage(), list(books))


def test_quotes_are_told_page_by_page_and_trades_are_none_of_them(serving):
    for symbol in CODES[:2]:
        serving.commit([quote(at, symbol=symbol) for at in range(5)] + [minute(at, symbol=symbol) for at in range(5)])
    whole = serving.pages("/v2/stocks/quotes", "quotes", symbols=",".join(CODES))

    assert [symbol for symbol, _ in whole] == [CODES[0]] * 5 + [CODES[1]] * 5
    assert whole[0][1] == {
        "t": NINE, "bx": "krx", "bp": 69900, "bs": 3, "ax": "krx", "ap": 70000, "as": Decimal("5.5"), "c": [], "z": "",
    }  # fmt: skip
    assert serving.pages("/v2/stocks/quotes", "quotes", symbols=",".join(CODES), limit=3) == whole
    one = serving.read("/v2/stocks/005930/quotes", sort="desc", limit=2)
    assert one["quotes"] == [item for _, item in whole if _ == "005930"][:-3:-1]
    wrong = serving.get("/v2/stocks/quotes", symbols="005930", page_token=one["next_page_token"])
    assert wrong.status_code == 200
    assert serving.get("/v2/stocks/trades", symbols="005930", page_token=one["next_page_token"]).status_code == 400


def test_the_newest_trade_and_quote_of_symbols_and_of_one(serving):
    serving.commit([minute(1), quote(2, bid="1"), quote(3, bid="2"), quote(3, bid="3"), minute(4, price="70004")])
    serving.commit([minute(0, symbol="000660")])

    trades = serving.read("/v2/stocks/trades/latest", symbols=",".join(CODES))["trades"]
    quotes = serving.read("/v2/stocks/quotes/latest", symbols=",".join(CODES))["quotes"]

    assert {symbol: (one["t"][14:16], one["p"], one["c"]) for symbol, one in trades.items()} == {
        "005930": ("04", 70004, []), "000660": ("00", 70000, []),
    }  # fmt: skip
    assert {symbol: (one["t"][14:16], one["bp"]) for symbol, one in quotes.items()} == {"005930": ("03", 3)}
    assert serving.read("/v2/stocks/005930/trades/latest") == {"symbol": "005930", "trade": trades["005930"]}
    assert serving.read("/v2/stocks/005930/quotes/latest") == {"symbol": "005930", "quote": quotes["005930"]}
    nothing = serving.get("/v2/stocks/000660/quotes/latest")
    assert (nothing.status_code, json.loads(nothing.content)["code"]) == (404, 40410004)


def test_a_feed_without_quotes_has_the_best_level_of_its_newest_order_book(serving):
    serving.commit([minute(0)])
    keep(book(0), book(2, bids=(), asks=(("70300", "1"), ("70400", "1"))), book(1))

    assert serving.read("/v2/stocks/005930/quotes/latest")["quote"] == {
        "t": "2026-03-16T00:00:00.000002Z", "bx": "krx", "bp": 0, "bs": 0, "ax": "krx", "ap": 70300, "as": 1,
        "c": ["book"], "z": "",
    }  # fmt: skip


@pytest.mark.once
def test_order_books_are_read_under_the_new_code_with_those_under_the_old(serving):
    SymbolRename.objects.create(old="000660", new="005930", since=DAY)
    before_us = NINE_US - DAY_US
    storage().ensure_partitions([DAY - datetime.timedelta(days=1)], ("order_books",))
    for at in range(2):
        keep(book(at, symbol="000660", time_us=before_us + at, trade_date=day_of(DAY) - 1))
    keep(book(2), book(3), book(4, symbol="000660"))

    for sort, order in (("asc", [0, 1, 2, 3]), ("desc", [3, 2, 1, 0])):
        page = serving.read("/v2/orderbooks/005930", limit=3, sort=sort)
        rest = serving.read("/v2/orderbooks/005930", limit=3, sort=sort, page_token=page["next_page_token"])
        found = page["orderbooks"] + rest["orderbooks"]
        assert ([one["i"] - (9 << TICK_BITS) for one in found], rest["next_page_token"]) == (order, None)
    assert len(serving.read("/v2/orderbooks/005930", asof="-")["orderbooks"]) == 2
    exported = b"".join(serving.get("/v2/export/orderbooks", symbols="005930")).decode().splitlines()
    assert [line.split(",")[0] for line in exported] == ["symbol", *["005930"] * 4, "# 4 rows"]


def test_order_books_come_in_pages_with_levels_and_totals(serving):
    serving.commit([minute(0)])
    keep(
        *(book(at) for at in range(5)),
        book(4, tick_id=1, bid_total=size("900"), expected_price=price("70050.5")),
        book(1, feed="nxt", tick_id=2),
    )
    found, token = [], dict[str, str]()
    while True:
        page = serving.read("/v2/orderbooks/005930", limit=2, **token)
        found += page["orderbooks"]
        if page["next_page_token"] is None:
            break
        token = {"page_token": page["next_page_token"]}

    assert [(one["t"][20:26], one["i"] & 8191) for one in found] == [
        ("000000", 0), ("000001", 1), ("000002", 2), ("000003", 3), ("000004", 1), ("000004", 4),
    ]  # fmt: skip
    assert found[0]["b"] == [{"p": 70000, "s": 5}, {"p": Decimal("69900.5"), "s": Decimal("7.5")}]
    assert {name: found[4][name] for name in ("bt", "at", "ep", "es")} == {
        "bt": 900, "at": None, "ep": Decimal("70050.5"), "es": None,
    }  # fmt: skip
    backwards = serving.read("/v2/orderbooks/005930", limit=2, sort="desc")
    assert backwards["orderbooks"] == found[:-3:-1]
    rest = serving.read("/v2/orderbooks/005930", sort="desc", page_token=backwards["next_page_token"])
    assert rest["orderbooks"] == found[-3::-1]
    newest = serving.read("/v2/orderbooks/latest", symbols="005930,000660")["orderbooks"]
    assert newest == {"005930": found[-1]}
    assert serving.read("/v2/orderbooks/005930/latest")["orderbook"] == found[-1]


def test_a_snapshot_has_what_each_resource_tells(serving):
    figures = {
        "open": "69900", "high": "70500.5", "low": "69000", "prev_close": "69800", "upper_limit": "90700",
        "lower_limit": "48900", "change_rate": "0.29", "cum_value": "1234567890123.45", "cum_volume": "98765.5",
    }  # fmt: skip
    serving.commit([minute(at, symbol=symbol) for symbol in CODES[:2] for at in range(3)] + [quote(1)])
    serving.commit([{"kind": "snapshot", "size": None, **figures}])

    shown = serving.read("/v2/stocks/snapshots", symbols=",".join(CODES))

    mine = shown["005930"]
    assert mine["latestTrade"] == serving.read("/v2/stocks/005930/trades/latest")["trade"]
    assert mine["latestQuote"] == serving.read("/v2/stocks/005930/quotes/latest")["quote"]
    assert mine["minuteBar"] == serving.read("/v2/stocks/005930/bars", timeframe="1Min", sort="desc")["bars"][0]
    assert mine["dailyBar"] == serving.read("/v2/stocks/005930/bars", timeframe="1Day")["bars"][0]
    assert {name: str(value) for name, value in mine["dayFigures"].items()} == {
        "t": NINE, "td": "2026-03-16", "p": "70000", "o": "69900", "h": "70500.5", "l": "69000", "prevClose": "69800",
        "upperLimit": "90700", "lowerLimit": "48900", "changeRate": "0.29", "v": "98765.5", "value": "1234567890123.45",
    }  # fmt: skip
    assert set(shown["000660"]) == {"latestTrade", "minuteBar", "dailyBar"}
    assert shown["035420"] == {}
    assert serving.read("/v2/stocks/005930/snapshot") == {"symbol": "005930", **mine}


@pytest.mark.once
def test_a_share_that_did_not_trade_for_weeks_stands_where_it_stood(serving):
    weeks = 24 * 60 * 21
    serving.commit([minute(0, price="100"), minute(weeks, price="110")])
    Gap.objects.create(batch=1, feed="krx", symbol="", from_us=NINE_US, to_us=NINE_US, rows=1, reason="disk full")

    shown = serving.read("/v2/stocks/005930/snapshot")

    assert [(shown[name]["c"], shown[name]["gap"]) for name in ("dailyBar", "prevDailyBar")] == [(110, 0), (100, 1)]


def test_the_newest_candles_of_several_symbols_are_the_last_of_each(serving):
    for at, symbol in enumerate(CODES[:2]):
        serving.commit([minute(number, symbol=symbol) for number in range(2 + at)])
    lost_us = NINE_US + 2 * MINUTE_US
    Gap.objects.create(batch=1, feed="krx", symbol=CODES[1], from_us=lost_us, to_us=lost_us, rows=1, reason="disk full")

    newest = serving.read("/v2/stocks/bars/latest", symbols=",".join(CODES))["bars"]

    last = {symbol: serving.read(f"/v2/stocks/{symbol}/bars", sort="desc", limit=1)["bars"] for symbol in CODES}
    assert newest == {symbol: bars[0] for symbol, bars in last.items() if bars}
    assert [(symbol, one["t"], one["gap"]) for symbol, one in newest.items()] == [
        (CODES[0], "2026-03-16T00:01:00Z", 0),
        (CODES[1], "2026-03-16T00:02:00Z", 1),
    ]


def test_the_screener_ranks_the_newest_trading_date_of_the_primary_feeds(serving):
    day = 24 * 60
    serving.commit([minute(0, symbol=code, price="100", size="1") for code in CODES])
    serving.commit(
        [minute(day, symbol="000660", price="110", size="5"), minute(day, symbol="005930", price="95.5", size="2")]
        + [minute(day + at, symbol="035420", price="100", size="1") for at in range(3)]
    )

    most = serving.read("/v1beta1/screener/stocks/most-actives", top=2)["most_actives"]
    by_trades = serving.read("/v1beta1/screener/stocks/most-actives", by="trades", top=1)["most_actives"]
    moved = serving.read("/v1beta1/screener/stocks/movers")

    assert [(one["symbol"], one["volume"]) for one in most] == [("000660", 5), ("035420", 3)]
    assert by_trades == [{"symbol": "035420", "volume": 3, "trade_count": 3}]
    assert [(one["symbol"], one["percent_change"], one["change"]) for one in moved["gainers"]] == [("000660", 10, 10)]
    assert [(one["symbol"], one["percent_change"]) for one in moved["losers"]] == [("005930", Decimal("-4.5"))]
    other = serving.get("/v1beta1/screener/crypto/movers")
    assert (other.status_code, json.loads(other.content)["code"]) == (404, 40410005)


@pytest.mark.once
def test_clock_and_calendar_have_the_dialect_s_shape(serving):
    days = serving.read("/v2/calendar", start="2026-11-18", end="2026-11-20")
    clock = serving.read("/v2/clock")

    assert [(day["date"], day["open"], day["close"]) for day in days] == [
        ("2026-11-18", "09:00", "15:30"), ("2026-11-19", "10:00", "16:30"), ("2026-11-20", "09:00", "15:30"),
    ]  # fmt: skip
    assert days[0]["open_at"] == "2026-11-18T00:00:00.000000Z"
    assert (days[0]["session_open"], days[0]["session_close"]) == ("0800", "2000")
    assert clock["timestamp"] < clock["next_close"]
    assert (clock["next_open"] > clock["next_close"]) == clock["is_open"]
    assert clock["timestamp"] < clock["next_phase_at"]
    assert clock["phase"] != clock["next_phase"]
    assert serving.read("/v2/clock", market="CME")["next_phase_at"] is None  # of which no phases are known
    assert serving.get("/v2/clock", market="NOWHERE").status_code == 404
    assert serving.get("/v2/clock", feed="nowhere").status_code == 404
    assert serving.get("/v2/calendar", start="2026-11-18", end="2026-11-17").status_code == 422
    assert serving.get("/v2/calendar", start="1990-01-01", end="2026-11-17").status_code == 422


@pytest.mark.once
def test_assets_are_the_registered_symbols_and_the_letters_of_ticks_are_explained(serving):
    Symbol.objects.filter(code="035420").update(is_active=False)

    active = serving.read("/v2/assets", status="active", asset_class="us_equity")
    assert [one["symbol"] for one in active] == list(CODES[:2])
    assert serving.read("/v2/assets/035420")["status"] == "inactive"
    assert serving.read("/v2/assets", asset_class="crypto") == []
    assert serving.get("/v2/assets/NOBODY").status_code == 404
    assert set(serving.read("/v2/stocks/meta/conditions/trade", tape="A")) == {"no_size", "zero_size"}
    assert set(serving.read("/v2/stocks/meta/exchanges")) >= {"krx"}


@pytest.mark.once
@pytest.mark.parametrize(
    "path",
    ["/v1beta1/options/bars", "/v1beta3/crypto/us/latest/bars", "/v1beta1/news", "/v1beta2/crypto/us/bars"],
)
def test_what_this_product_has_not_is_said_so(serving, path):
    answer = serving.get(path, symbols="X")

    assert (answer.status_code, json.loads(answer.content)["code"]) == (404, 40410005)
    assert serving.get(path, headers={"X": "y"}).status_code == 401
