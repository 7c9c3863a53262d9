"""Pages concatenated are the whole: any limit, both orders, several symbols, any width."""

import itertools
from decimal import Decimal

import pytest

from tests.integration.serving import CODES, hub, minute, serving
from tests.market import MINUTE_US, NINE_US

__all__ = ["hub", "serving"]

ONCE = pytest.mark.once
# Runs and holes, many trades in one microsecond, and a day's end within.
MINUTES = (0, 1, 2, 3, 7, 8, 20, 59, 60, 61, 125, 600, 899, 900, 901, 1500, 3000)


@pytest.fixture
def market(serving):
    """A little of three symbols' trading, in several batches out of order."""
    for symbol in CODES:
        rows = [minute(number, symbol=symbol) for number in MINUTES]
        rows += [minute(7, symbol=symbol, price=f"70000.{digit}") for digit in range(1, 6)]
        serving.commit(rows[::2])
        serving.commit(rows[1::2])
    return serving


@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_of_trades_are_the_whole(market, sort, subtests):
    asked = {"symbols": ",".join(CODES), "sort": sort}
    whole = market.pages("/v2/stocks/trades", "trades", limit=10_000, **asked)

    assert len(whole) == len(CODES) * (len(MINUTES) + 5)
    for _, trades in itertools.groupby(whole, key=lambda pair: pair[0]):
        keys = [(trade["t"], trade["i"]) for _, trade in trades]
        assert keys == sorted(keys, reverse=sort == "desc")
    for limit in (1, 5, 21, 22, 23, 65, 66, 67):
        with subtests.test(limit=limit):
            assert market.pages("/v2/stocks/trades", "trades", limit=limit, **asked) == whole


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize(
    "timeframe", ["1Min", pytest.param("5Min", marks=ONCE), "7Min", pytest.param("1Hour", marks=ONCE), "1Day"]
)
def test_pages_of_candles_are_the_whole_and_no_candle_is_split(market, timeframe, sort, subtests):
    asked = {"symbols": ",".join(CODES), "timeframe": timeframe, "sort": sort}
    whole = market.pages("/v2/stocks/bars", "bars", limit=10_000, **asked)

    assert sum(bar["n"] for _, bar in whole) == len(CODES) * (len(MINUTES) + 5)
    for symbol in CODES:
        times = [bar["t"] for code, bar in whole if code == symbol]
        assert times == sorted(set(times), reverse=sort == "desc")
    for limit in (1, 7, 17, 18):
        with subtests.test(limit=limit):
            assert market.pages("/v2/stocks/bars", "bars", limit=limit, **asked) == whole


def test_many_minutes_read_in_small_pieces_make_the_same_candles(market, monkeypatch):
    asked = {"symbols": ",".join(CODES), "timeframe": "1Hour", "limit": 3}
    whole = market.pages("/v2/stocks/bars", "bars", **asked)

    monkeypatch.setattr("api.rest.paging.CHUNK", 3)
    assert market.pages("/v2/stocks/bars", "bars", **asked) == whole
    monkeypatch.setattr("api.rest.paging.MOST_MINUTES", 1)
    assert market.pages("/v2/stocks/bars", "bars", **asked) == whole


@pytest.mark.once
def test_the_single_form_has_a_list(market):
    page = market.read("/v2/stocks/005930/bars", timeframe="1Min", limit=2)

    assert [bar["t"] for bar in page["bars"]] == ["2026-03-16T00:00:00Z", "2026-03-16T00:01:00Z"]
    rest = market.read("/v2/stocks/005930/bars", timeframe="1Min", page_token=page["next_page_token"])
    assert len(rest["bars"]) == len(MINUTES) - 2
    assert rest["next_page_token"] is None


def test_a_symbol_code_may_hold_a_slash(serving):
    from marketdata.models import Market, Symbol

    Symbol.objects.create(code="BTC/USD", market=Market.objects.get(code="KRX"), primary_feed="krx")
    serving.commit([{"symbol": "BTC/USD"}])

    assert len(serving.read("/v2/stocks/BTC/USD/trades")["trades"]) == 1


def test_start_and_end_are_both_included(market):
    trades = market.read(
        "/v2/stocks/005930/trades", start="2026-03-16T00:01:00Z", end="2026-03-16T00:03:00.000000999Z"
    )["trades"]  # fmt: skip

    assert [trade["t"][14:16] for trade in trades] == ["01", "02", "03"]


def test_a_date_is_the_day_of_the_market(market):
    bars = market.read("/v2/stocks/005930/bars", timeframe="1Day", start="2026-03-17", end="2026-03-17")["bars"]

    assert [bar["t"] for bar in bars] == ["2026-03-16T15:00:00Z"]
    assert bars[0]["n"] == sum(900 <= number < 900 + 1440 for number in MINUTES)


def test_a_candle_does_not_depend_on_what_was_asked_for(market):
    (bar,) = market.read(
        "/v2/stocks/005930/bars", timeframe="1Hour", start="2026-03-16T00:00:00Z", end="2026-03-16T00:05:00Z"
    )["bars"]

    assert bar["n"] == 13
    none = market.read(
        "/v2/stocks/005930/bars", timeframe="1Hour", start="2026-03-16T00:05:00Z", end="2026-03-16T00:50:00Z"
    )
    assert none["bars"] == []


def test_numbers_come_out_to_the_digit(serving):
    serving.commit(
        [{"price": "4800.25000001", "size": "0.000001"}, {"price": "0.1", "size": "3"}, {"price": "123456789.12345678"}]
    )

    trades = serving.read("/v2/stocks/005930/trades")["trades"]

    assert [trade["p"] for trade in trades] == [
        Decimal("4800.25000001"),
        Decimal("0.1"),
        Decimal("123456789.12345678"),
    ]
    assert b'"p":123456789.12345678,' in serving.get("/v2/stocks/005930/trades").content
    assert trades[0]["s"] == Decimal("0.000001")


def test_the_primary_feed_of_each_symbol_is_the_default(serving):
    serving.commit([{"price": "1"}])
    serving.commit([{"price": "2"}], name="nxt")

    assert [trade["p"] for trade in serving.read("/v2/stocks/005930/trades")["trades"]] == [1]
    assert [trade["x"] for trade in serving.read("/v2/stocks/005930/trades", feed="nxt")["trades"]] == ["nxt"]


@pytest.mark.parametrize(
    ("path", "of", "more"),
    [
        ("/v2/stocks/bars", "bars", {"timeframe": "1Min"}),
        ("/v2/stocks/bars", "bars", {"timeframe": "1Day"}),
        ("/v2/stocks/trades", "trades", {}),
        ("/v2/stocks/snapshots", None, {}),
    ],
)
def test_of_several_symbols_one_that_is_not_registered_is_left_out_and_named(serving, path, of, more):
    serving.commit([{}])

    for asked, there in (("NOBODY,005930,X Y", ["005930"]), ("NOBODY,X Y", [])):
        answer = serving.get(path, symbols=asked, **more)

        assert answer.status_code == 200
        content = answer.json()
        assert list(content[of] if of else content) == there
        assert answer["X-Naru-Warning"] == "not registered, left out: NOBODY,X Y"
    assert "X-Naru-Warning" not in serving.get(path, symbols="005930", **more)


@pytest.mark.once
def test_feed_names_of_other_clients_stand_for_ours(serving, settings):
    from api.rest import feeds
    from marketdata.models import Feed, Symbol

    Symbol.objects.filter(code="000660").update(primary_feed="nxt")
    serving.commit([{"price": "1"}, {"symbol": "000660", "price": "2"}], name="krx")
    serving.commit([{"price": "3"}, {"symbol": "000660", "price": "4"}], name="nxt")

    def prices(feed):
        pairs = serving.pages("/v2/stocks/trades", "trades", symbols="000660,005930", feed=feed)
        return [trade["p"] for _, trade in pairs]

    assert prices("sip") == prices("otc") == [4, 1]
    assert prices("iex") == [2, 1]
    assert prices("boats") == [4, 3]
    assert [feeds.of_stream(name) for name in ("sip", "iex", "nxt", "nobody")] == ["krx", "krx", "nxt", None]
    settings.FEED_ALIASES = {"sip": "nowhere"}
    refused = serving.get("/v2/stocks/trades", symbols="005930", feed="sip")
    assert (refused.status_code, refused.json()["code"]) == (404, 40410002)
    assert refused.json()["message"].startswith("no such feed: sip (stands for nowhere)")
    Feed.objects.create(name="sip")
    assert prices("sip") == []


def test_a_candle_in_which_a_terminal_lost_rows_says_so(serving):
    from marketdata.models import Gap

    serving.commit([minute(0), minute(1), minute(2)])
    Gap.objects.create(
        batch=1, feed="krx", from_us=NINE_US + MINUTE_US, to_us=NINE_US + MINUTE_US, rows=3, reason="disk full"
    )

    assert [bar["gap"] for bar in serving.read("/v2/stocks/005930/bars")["bars"]] == [0, 1, 0]
    assert [bar["gap"] for bar in serving.read("/v2/stocks/005930/bars", timeframe="1Hour")["bars"]] == [1]


def test_no_gap_is_left_out_however_many_there_are(serving, monkeypatch):
    from api.rest import series
    from marketdata.models import Gap

    monkeypatch.setattr(series, "GAPS_AT_ONCE", 2)
    serving.commit([minute(at) for at in range(8)])
    lost = [(at, symbol) for at in (0, 1, 3) for symbol in ("005930", "")] + [(6, "005930"), (7, "000660")]
    Gap.objects.bulk_create(
        [
            Gap(
                batch=1, idx=idx, feed="krx", symbol=symbol, rows=0, reason="volume_hole",
                from_us=NINE_US + at * MINUTE_US, to_us=NINE_US + at * MINUTE_US + (idx < 4),
            )
            for idx, (at, symbol) in enumerate(lost)
        ]
    )  # fmt: skip

    assert [bar["gap"] for bar in serving.read("/v2/stocks/005930/bars")["bars"]] == [1, 1, 0, 1, 0, 0, 1, 0]


def test_a_snapshot_shows_where_a_symbol_stands(market):
    shown = market.read("/v2/stocks/snapshots", symbols="005930,035420")

    assert shown["005930"]["latestTrade"]["p"] == 73_000
    assert shown["005930"]["minuteBar"]["c"] == 73_000
    assert [shown["005930"][name]["t"] for name in ("dailyBar", "prevDailyBar")] == [
        "2026-03-17T15:00:00Z",
        "2026-03-16T15:00:00Z",
    ]
    assert sorted(shown) == ["005930", "035420"]


def test_symbols_are_listed_in_pages_and_found_by_name(serving):
    from marketdata.models import Symbol

    Symbol.objects.filter(code="005930").update(name="삼성전자", name_en="Samsung Electronics")

    assert serving.read("/v2/symbols/005930")["name"] == "삼성전자"
    assert [one["symbol"] for one in serving.read("/v2/symbols", search="삼성")["symbols"]] == ["005930"]
    assert [one["symbol"] for one in serving.read("/v2/symbols", search="electronics")["symbols"]] == ["005930"]
    for word, found in {"ㅅㅅㅈ": ["005930"], "삼ㅅ": ["005930"], "00ㅅ": [], ".ㅅ": []}.items():
        assert [one["symbol"] for one in serving.read("/v2/symbols", search=word)["symbols"]] == found, word
    page = serving.read("/v2/symbols", limit=2)
    rest = serving.read("/v2/symbols", limit=2, page_token=page["next_page_token"])
    assert [one["symbol"] for one in page["symbols"] + rest["symbols"]] == list(CODES)
    assert rest["next_page_token"] is None


def test_what_changes_shows_in_the_very_next_answer(serving):
    from marketdata.models import Gap, Symbol

    def candle():
        (found,) = serving.read("/v2/stocks/005930/bars")["bars"]
        return found["c"], found["n"], found["gap"]

    serving.commit([{"price": "1"}])
    serving.commit([{"price": "2"}], name="nxt")
    assert candle() == (1, 1, 0)
    Symbol.objects.filter(code="005930").update(primary_feed="nxt")
    assert candle() == (2, 1, 0)
    gap = Gap.objects.create(batch=1, feed="nxt", from_us=NINE_US, to_us=NINE_US, rows=3, reason="disk full")
    assert candle() == (2, 1, 1)
    serving.commit([{"price": "3", "time": NINE_US + 1}], name="nxt")
    assert candle() == (3, 2, 1)
    gap.delete()
    assert candle() == (3, 2, 0)
    of_symbols = {"batch": 1, "feed": "nxt", "from_us": NINE_US, "to_us": NINE_US, "rows": 0, "reason": "volume_hole"}
    Gap.objects.create(idx=0, symbol="000660", missing=1, **of_symbols)
    assert candle() == (3, 2, 0)
    Gap.objects.create(idx=1, symbol="005930", missing=1, **of_symbols)
    assert candle() == (3, 2, 1)
    Symbol.objects.filter(code="005930").delete()
    assert serving.get("/v2/stocks/005930/bars").status_code == 404
