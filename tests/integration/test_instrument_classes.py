"""Prices below zero, sides at which nobody is, prints of size 0 and sums beyond 64 bits: stored, counted, served and
verified alike on each database."""

import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.core.exceptions import ValidationError

from analytics.integrity import consistency, repair
from marketdata.maintenance import rollover
from marketdata.models import Feed, IngestBatch, IngestReject, Market, Symbol
from marketdata.storage import storage
from marketdata.types.minute_bars import MOST
from marketdata.types.tick_arrays import ABSENT
from marketdata.types.units import day_of
from tests import market
from tests.integration.serving import Serving, beside, commit, hub, serving
from tests.market import NINE_US, price, size

__all__ = ["hub", "serving"]

WTI = "CLK0"
EVER = (-(2**62), 2**62)
# 2020-04-20 13:30 in Chicago, when the May contract settled at -37.63.
HALF_PAST_ONE = int(datetime.datetime(2020, 4, 20, 18, 30, tzinfo=datetime.UTC).timestamp()) * 1_000_000
THAT_DAY = datetime.date(2020, 4, 20)


@pytest.fixture(autouse=True)
def _symbols(serving: Serving) -> None:
    Feed.objects.get_or_create(name="cme")
    Symbol.objects.create(code=WTI, market=Market.objects.get(code="CME"), primary_feed="cme")


def below_zero(serving: Serving) -> None:
    prices = ["10.01", "-37.63", "0", "-0.05", "-13.10"]
    serving.commit(
        [{"symbol": WTI, "time": HALF_PAST_ONE + at, "price": one, "size": "2.5"} for at, one in enumerate(prices)],
        name="cme",
    )


def reasons() -> list[str]:
    return list(IngestReject.objects.order_by("id").values_list("reasons", flat=True))


def test_prices_of_zero_and_below_are_stored_where_the_market_has_them(serving):
    below_zero(serving)

    assert reasons() == []
    stored = storage().read_ticks(WTI, "cme", *EVER)
    assert stored.price.tolist() == [price(one) for one in ("10.01", "-37.63", "0", "-0.05", "-13.10")]
    bars = storage().read_minutes(WTI, "cme", *EVER)
    assert market.candles(bars) == market.candles_by_hand([stored])
    (candle,) = market.candles(bars)
    assert (candle.open, candle.high, candle.low, candle.close) == tuple(
        Decimal(one) for one in ("10.01", "10.01", "-37.63", "-13.10")
    )
    assert candle.value == Decimal("-40.77") * Decimal("2.5")


def test_they_are_refused_where_it_has_not_and_beyond_belief_everywhere(serving):
    serving.commit([{"price": "0"}, {"price": "-1"}, {"price": "1"}])
    serving.commit([{"symbol": WTI, "time": HALF_PAST_ONE, "price": "-2146826246"}], name="cme")

    assert reasons() == ["price_not_positive", "price_not_positive", "price_out_of_range"]


def test_an_administrator_says_where(serving):
    Market.objects.filter(code="KRX").update(nonpositive_prices=True)

    try:
        serving.commit([{"price": "-1"}])
        assert reasons() == []
    finally:
        Market.objects.filter(code="KRX").update(nonpositive_prices=False)


def test_a_candle_below_zero_is_merged_from_many_batches_to_the_digit(serving):
    for at in range(9):
        serving.commit(
            [
                {"symbol": WTI, "time": HALF_PAST_ONE + at * 7 % 5, "price": f"-{at}.00000001", "size": f"{at}.000001"},
                {"symbol": WTI, "time": HALF_PAST_ONE + at, "price": f"{9 - at}.5", "size": "0.333333"},
            ],
            name="cme",
        )

    stored = storage().read_ticks(WTI, "cme", *EVER)
    assert len(stored) == 18
    assert market.candles(storage().read_minutes(WTI, "cme", *EVER)) == market.candles_by_hand([stored])


def test_a_day_below_zero_is_verified_rolled_over_and_rebuilt(serving):
    below_zero(serving)
    rollover.run_one(THAT_DAY)

    report = consistency.verify_day(THAT_DAY)

    assert report.counts == {}
    daily = storage().read_daily(WTI, "cme", THAT_DAY, THAT_DAY + datetime.timedelta(days=1))
    assert (daily.low.tolist(), daily.last.tolist()) == ([price("-37.63")], [price("-13.10")])
    assert (daily.value.tolist(), daily.value_frac.tolist()) == ([-102], [75 * 10**11])  # -101.925
    assert repair.rebuild_candles(THAT_DAY).changed == 0


def test_rest_shows_them_exactly(serving):
    below_zero(serving)

    bars = serving.read(f"/v2/stocks/{WTI}/bars", timeframe="1Hour", start="2020-04-20", end="2020-04-20")["bars"]
    trades = serving.read(f"/v2/stocks/{WTI}/trades", start="2020-04-20", end="2020-04-20")["trades"]

    assert [(bar["o"], bar["h"], bar["l"], bar["c"], bar["vw"]) for bar in bars] == [
        (Decimal("10.01"), Decimal("10.01"), Decimal("-37.63"), Decimal("-13.1"), Decimal("-8.154"))
    ]
    assert [trade["p"] for trade in trades] == [Decimal(one) for one in ("10.01", "-37.63", "0", "-0.05", "-13.1")]
    latest = serving.read("/v2/stocks/snapshots", symbols=WTI)[WTI]["latestTrade"]
    assert latest["p"] == Decimal("-13.1")


async def test_the_stream_says_them_exactly(serving, hub):
    async with serving.socket("cme") as socket:
        await socket.enter(serving)
        await socket.subscribe(trades=["*"])

        await beside(lambda: below_zero(serving))

        heard = [(await socket.next())["p"] for _ in range(5)]
    assert heard == [Decimal(one) for one in ("10.01", "-37.63", "0", "-0.05", "-13.1")]


# --- nobody there -----------------------------------------------------------------------------------------------------

KOREA, CHICAGO = {"symbol": "005930", "time": NINE_US}, {"symbol": WTI, "time": HALF_PAST_ONE}
QUOTE = {"kind": "quote", "price": None, "size": None}
SIDES: dict[str, tuple[dict[str, Any], dict[str, str | None]]] = {
    "a bid of 0": ({**KOREA, **QUOTE, "bid": 0, "ask": 7, "ask_size": 3}, {"bid": None, "ask": "7", "ask_size": "3"}),
    "an ask of 0 and its size": (
        {**KOREA, **QUOTE, "bid": 7, "bid_size": 3, "ask": 0, "ask_size": 0},
        {"bid": "7", "bid_size": "3", "ask": None, "ask_size": None},
    ),
    "a bid of size 0": (
        {**KOREA, **QUOTE, "bid": 7, "bid_size": 0, "ask": 8, "ask_size": 1},
        {"bid": None, "bid_size": None, "ask": "8", "ask_size": "1"},
    ),
    "nobody on either side": ({**KOREA, **QUOTE, "bid": 0, "ask": 0}, {"bid": None, "ask": None}),
    "a trade beside it": ({**KOREA, "price": 7, "bid": 0, "ask": 8}, {"price": "7", "bid": None, "ask": "8"}),
    "a bid of 0 that is a price": (
        {**CHICAGO, **QUOTE, "bid": 0, "bid_size": 5, "ask": "0.01", "ask_size": 10},
        {"bid": "0", "bid_size": "5", "ask": "0.01"},
    ),
    "a bid below zero": ({**CHICAGO, **QUOTE, "bid": "-0.5", "ask": "-0.25"}, {"bid": "-0.5", "ask": "-0.25"}),
    "a bid of 0 of nobody where 0 is a price": (
        {**CHICAGO, **QUOTE, "bid": 0, "bid_size": 0, "ask": "0.01", "ask_size": 10},
        {"bid": None, "bid_size": None, "ask": "0.01"},
    ),
    "a bid of 0 of unknown size where 0 is a price": (
        {**CHICAGO, **QUOTE, "bid": 0, "ask": "0.01"},
        {"bid": None, "ask": "0.01"},
    ),
}


@pytest.mark.parametrize("case", SIDES)
def test_a_side_at_which_nobody_is_is_absent_and_takes_nothing_along(serving, case):
    row, expected = SIDES[case]
    name = "cme" if row["symbol"] == WTI else "krx"

    serving.commit([row], name=name)

    assert reasons() == []
    stored = storage().read_ticks(row["symbol"], name, *EVER)
    for column, text in expected.items():
        unit = size if column.endswith("size") else price
        assert getattr(stored, column).tolist() == [ABSENT if text is None else unit(text)], column


def test_a_quote_that_says_nothing_is_still_refused(serving):
    serving.commit([{**KOREA, **QUOTE}])

    assert reasons() == ["quote_empty"]


# --- prints of size 0 -------------------------------------------------------------------------------------------------


def with_a_print_of_size_0(serving: Serving) -> None:
    for at, (one, how_many) in enumerate([("150", 0), ("100", 10), ("50", 0), ("101", 5), ("160", 0)]):
        serving.commit([{"time": NINE_US + at, "price": one, "size": how_many}])
    serving.commit([{"time": NINE_US + 60_000_000, "price": "99", "size": 0}])


def test_a_print_of_size_0_is_kept_and_moves_no_candle(serving):
    with_a_print_of_size_0(serving)

    assert (len(storage().read_ticks("005930", "krx", *EVER)), reasons()) == (6, [])
    (candle,) = market.candles(storage().read_minutes("005930", "krx", *EVER))
    assert [int(one) for one in (candle.open, candle.high, candle.low, candle.close)] == [100, 101, 100, 101]
    assert candle.n == 2
    trades = serving.read("/v2/stocks/005930/trades", start="2026-03-16", end="2026-03-16")["trades"]
    assert [(trade["p"], trade["s"], trade["c"]) for trade in trades][:2] == [(150, 0, ["zero_size"]), (100, 10, [])]
    assert serving.read("/v2/stocks/snapshots", symbols="005930")["005930"]["latestTrade"]["p"] == 101


def test_whoever_counts_again_finds_the_same(serving):
    day = datetime.date(2026, 3, 16)
    with_a_print_of_size_0(serving)
    assert consistency.verify_day(day).counts == {}

    rollover.run_one(day)

    assert consistency.verify_day(day).counts == {}
    assert repair.rebuild_candles(day).changed == 0
    daily = storage().read_daily("005930", "krx", day, day + datetime.timedelta(days=1))
    assert (daily.high.tolist(), daily.n.tolist()) == ([price("101")], [2])


async def test_a_candle_on_the_stream_has_no_print_of_size_0(serving, hub):
    async with serving.socket() as socket:
        await socket.enter(serving)
        await socket.subscribe(trades=["*"], bars=["*"], forming=True)

        await commit(serving, [{"price": "100", "size": 3}, {"price": "150", "size": 0, "time": NINE_US + 1}])

        heard = [await socket.next() for _ in range(2)]
        candle = (await socket.until("b"))[-1]
    assert [(one["p"], one["s"], one["c"]) for one in heard] == [(100, 3, []), (150, 0, ["zero_size"])]
    assert (candle["h"], candle["n"], candle["v"]) == (100, 1, 3)


# --- sums -------------------------------------------------------------------------------------------------------------

GREAT = {"price": str(10**9), "size": "1000000"}  # a trade worth 10^15, the most that is believed


def test_what_a_candle_cannot_hold_is_refused_by_name_and_the_rest_is_exact(serving):
    for _ in range(3):
        serving.commit([{**GREAT, "time": NINE_US + at} for at in range(4_400)] + [{"symbol": "000660"}])

    bars = storage().read_minutes("005930", "krx", *EVER)
    assert (bars.n.tolist(), bars.value.tolist(), bars.volume.tolist()) == ([8_800], [8_800 * 10**15], [8_800 * 10**12])
    assert set(reasons()) == {"sum_out_of_range"}
    assert len(reasons()) == 4_400
    batches = IngestBatch.objects.order_by("batch")
    assert [(one.state, one.stored, one.rejected) for one in batches] == [
        ("stored", 4_401, 0), ("stored", 4_401, 0), ("stored", 1, 4_400),
    ]  # fmt: skip
    assert storage().read_minutes("000660", "krx", *EVER).n.tolist() == [3]
    assert consistency.verify_day(datetime.date(2026, 3, 16)).counts == {}


def test_one_message_may_be_too_much_by_itself(serving):
    serving.commit([{"price": "0.01", "size": str(10**10), "time": NINE_US + at} for at in range(950)] + [{"price": 5}])

    assert (len(reasons()), set(reasons())) == (951, {"sum_out_of_range"})
    assert storage().count("temp_market_data") == 0


def test_a_day_whose_sums_leave_64_bits_is_rolled_over_and_stays_at_the_bound(serving):
    day = datetime.date(2026, 3, 16)
    for minute in range(3):
        rows = [{"price": "0.01", "size": str(10**10), "time": NINE_US + minute * 60_000_000 + at} for at in range(800)]
        serving.commit(rows)

    rollover.run_one(day)

    daily = storage().read_daily("005930", "krx", day, day + datetime.timedelta(days=1))
    assert (daily.n.tolist(), daily.volume.tolist(), daily.value.tolist()) == ([2_400], [MOST], [2_400 * 10**8])
    assert consistency.verify_day(day).counts == {}
    hour = serving.read("/v2/stocks/005930/bars", timeframe="1Hour", start="2026-03-16", end="2026-03-16")["bars"]
    assert [bar["v"] for bar in hour] == [MOST // 10**6]
    assert day_of(day) in storage().read_minutes("005930", "krx", *EVER).trade_date.tolist()


# --- codes of other vendors -------------------------------------------------------------------------------------------

CODES = ["ESM6 Index", "KRW=", "BRK/A", "^SPX", "0#ES:", 'A"B', "O'X", "A\\B", "50%", "<b>&", "A|B", "/ES", "#1"]


def test_a_code_of_printable_characters_goes_all_the_way(serving):
    for code in CODES:
        Symbol.objects.create(code=code, market=Market.objects.get(code="CME"), primary_feed="cme")
    serving.commit([{"symbol": code, "price": str(at + 1)} for at, code in enumerate(CODES)], name="cme")

    assert reasons() == []
    for at, code in enumerate(CODES):
        address = f"/v2/stocks/{quote(code, safe='')}"
        for what, key, field in (("trades", "trades", "p"), ("bars", "bars", "c")):
            answer = serving.read(f"{address}/{what}", start="2026-03-15", end="2026-03-17")
            assert [item[field] for item in answer[key]] == [at + 1], (code, what)
        assert serving.read(f"/v2/symbols/{quote(code, safe='')}")["symbol"] == code
    asked = ",".join(CODES)
    found = serving.pages("/v2/stocks/trades", "trades", symbols=asked, start="2026-03-15", end="2026-03-17", limit=2)
    assert sorted(symbol for symbol, _ in found) == sorted(CODES)
    assert consistency.verify_day(datetime.date(2026, 3, 16)).counts == {}


async def test_the_stream_says_any_code(serving, hub):
    def register() -> None:
        for code in CODES:
            Symbol.objects.create(code=code, market=Market.objects.get(code="CME"), primary_feed="cme")

    await beside(register)
    async with serving.socket("cme") as socket:
        await socket.enter(serving)
        await socket.subscribe(trades=CODES)

        await commit(serving, [{"symbol": code} for code in CODES], name="cme")

        assert sorted([(await socket.next())["S"] for _ in CODES]) == sorted(CODES)


@pytest.mark.parametrize("code", ["", " A", "A ", "A,B", "*", "A\n", "삼성", "x" * 25, "A\tB"])
def test_what_is_no_code_is_refused(code):
    with pytest.raises(ValidationError):
        Symbol(code=code, name="x", market_id="KRX", primary_feed="krx").clean_fields()


def test_a_line_break_behind_a_code_or_feed_is_no_part_of_it(serving):
    for path in ("/v2/stocks/005930/bars%0A", "/v2/symbols/005930%0A"):
        assert serving.get(path).status_code == 404
