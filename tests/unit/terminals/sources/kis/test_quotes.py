"""Answers of KIS as rows: exact numbers, never a trade, no value where KIS has none. Over sockets."""

import datetime
from decimal import Decimal

import pytest

from terminals.sources.kis import decimals, quotes
from terminals.sources.kis.answers import BusinessError
from terminals.sources.kis.quotes import NoPictureError
from terminals.wire import Books, Columns, Events, Kind
from tests.simulators.kis import pages
from tests.simulators.kis.market import KST
from tests.unit.terminals.sources.kis.conftest import NOON, client_of

PRICE, SIZE = 10**8, 10**6


@pytest.fixture
async def client(account, tmp_path):
    async with client_of(account, tmp_path) as opened:
        yield opened


@pytest.fixture
def stock(simulator):
    """A stock that has traded today and stands below its base price."""
    market, found = simulator.market, simulator.market.stocks["000040"]
    begin = datetime.datetime.combine(NOON.date(), datetime.time(9), KST)
    for number in range(50):
        market.trade(found, begin + datetime.timedelta(seconds=number))
    while found.price >= found.base:
        found.price -= 1000
    return found


def fits(row):
    """Whether the wire takes it."""
    content = {Kind.BOOK: Books, Kind.STATUS: Events}.get(row["kind"], Columns)()
    content.append(**row)
    return bool(content.encode(1, "krx", row["time_us"]))


def day_figures(stock):
    day = stock.day("krx", NOON.date())
    return {
        "symbol": stock.code, "kind": Kind.SNAPSHOT, "price": stock.price * PRICE, "open": day.open * PRICE,
        "high": day.high * PRICE, "low": day.low * PRICE, "prev_close": stock.base * PRICE,
        "upper_limit": stock.upper * PRICE, "lower_limit": stock.lower * PRICE, "cum_volume": day.volume * SIZE,
        "cum_value": day.value * 100,
    }  # fmt: skip


async def test_thirty_codes_in_one_call_each_by_its_own_name(client, simulator, stock):
    codes = list(simulator.market.stocks)[:30]
    assert stock.code in codes

    found = await quotes.multi_quote(client, codes)

    assert list(found.rows) == codes
    assert client.calls.made == 1
    row = found.rows[stock.code]
    assert {name: row[name] for name in day_figures(stock)} == day_figures(stock)
    assert row["change_rate"] == -abs(row["change_rate"]) != 0  # the answer has no minus, its sign says falling
    assert row["bid"] < row["ask"]
    assert row["bid_size"] > 0
    assert "trade_date" not in row
    assert fits(row)


async def test_codes_with_letters_and_of_etns_are_codes(client):
    found = await quotes.multi_quote(client, ["0126Z0", "0007C0", "Q500001"])

    assert list(found.rows) == ["0126Z0", "0007C0", "Q500001"]


async def test_an_unknown_code_costs_itself_alone(client, stock):
    found = await quotes.multi_quote(client, ["999999", stock.code])

    assert list(found.rows) == [stock.code]
    assert list(found.refused) == ["999999"]


async def test_empty_texts_are_no_values(client, simulator, stock):
    simulator.faults.plan("empty", "empty")

    found = await quotes.multi_quote(client, [stock.code])

    assert found.rows == {}
    assert "not in the answer" in found.refused[stock.code]
    with pytest.raises(NoPictureError, match="no price of any of 2 codes"):
        await quotes.multi_quote(client, [stock.code, "0126Z0"])


@pytest.mark.parametrize("codes", [[], ["000040"] * 31])
async def test_a_multi_quote_takes_one_to_thirty_codes(client, codes):
    with pytest.raises(ValueError, match="takes 1 to 30"):
        await quotes.multi_quote(client, codes)


async def test_a_single_quote_has_the_figures_of_the_day(client, stock):
    row = await quotes.quote(client, stock.code)

    assert {name: row[name] for name in day_figures(stock)} == day_figures(stock)
    assert row["change_rate"] < 0
    assert fits(row)


async def test_a_quote_of_nothing_says_so(client, simulator, stock):
    simulator.faults.plan("empty")

    with pytest.raises(NoPictureError, match="no price of"):
        await quotes.quote(client, stock.code)
    with pytest.raises(BusinessError, match="OPSQ2001"):
        await quotes.quote(client, "999999")


async def test_an_order_book_has_ten_levels_and_the_expected_price(client, stock):
    row = await quotes.order_book(client, stock.code)

    assert row["kind"] is Kind.BOOK
    assert len(row["asks"]) == 10
    prices = [price for price, _ in row["asks"]]
    assert prices == sorted(prices)
    assert [price for price, _ in row["bids"]] == sorted((price for price, _ in row["bids"]), reverse=True)
    assert row["ask_total"] == sum(size for _, size in row["asks"])
    assert (row["expected_price"], row["expected_size"]) == (stock.price * PRICE, 1200 * SIZE)
    assert fits(row)


async def test_at_the_upper_limit_there_are_fewer_asks(client, stock):
    stock.price = stock.upper

    row = await quotes.order_book(client, stock.code)

    assert row["asks"] == ()
    assert len(row["bids"]) == 10
    assert fits(row)


async def test_an_index_is_an_event_with_its_texts(client):
    row = await quotes.index(client, pages.INDEX)

    assert (row["kind"], row["event"], "symbol" in row) == (Kind.STATUS, "index", False)
    assert row["body"]["index"] == "0001"
    assert row["body"]["prpr_nmix"] == "2615.37"
    assert row["body"]["prdy_ctrt"] == "-0.16"
    assert fits(row)
    with pytest.raises(BusinessError):
        await quotes.index(client, "7777")


async def test_a_future_has_exact_decimals_and_five_levels(client):
    row = await quotes.future_quote(client, pages.FUTURE)
    book = await quotes.future_book(client, pages.FUTURE)

    assert Decimal(row["price"]) / PRICE == Decimal("351.25")
    assert Decimal(row["upper_limit"]) / PRICE == Decimal("380.45")
    assert Decimal(row["change_rate"]) / PRICE == Decimal("-0.30")
    assert row["cum_value"] == 10_577_120_000_000 * 100
    assert [Decimal(price) / PRICE for price, _ in book["asks"]] == [
        Decimal(text) for text in ("351.30", "351.35", "351.40", "351.45", "351.50")
    ]
    assert fits(row)
    assert fits(book)


async def test_what_was_recorded_gives_the_same_rows_again(simulator, account, stock, tmp_path):
    notes = []

    class Recorder:
        def note(self, channel, data):
            notes.append((channel, data))

    async with client_of(account, tmp_path, recorder=Recorder()) as client:
        found = await quotes.multi_quote(client, [stock.code, "0126Z0", "999999"], division="UN")
        live = [
            *found.rows.values(),
            await quotes.quote(client, stock.code),
            await quotes.order_book(client, stock.code),
            await quotes.index(client, pages.INDEX),
            await quotes.future_quote(client, pages.FUTURE),
            await quotes.future_book(client, pages.FUTURE),
        ]
        await quotes.stock_info(client, stock.code)  # no picture

    again = [quotes.replay(channel, data, 1) for channel, data in notes]
    assert len(notes) == 7
    assert [row for one in again for rows in one.values() for row in rows] == [{**row, "time_us": 1} for row in live]
    assert [list(one) for one in again] == [["unified"], *[["krx"]] * 5, []]
    assert not any(account.appkey in f"{channel} {data}" for channel, data in notes)
    assert quotes.replay("ws H0STCNT0", b"0|H0STCNT0|001|", 1) == {}
    with pytest.raises(ValueError, match="JSON object"):
        quotes.replay(notes[0][0], b"[]", 1)


async def test_where_a_stock_is_traded(client, simulator, stock):
    info = await quotes.stock_info(client, stock.code)

    assert info == quotes.StockInfo(stock.code, stock.name, pages.isin(stock.code), stock.on_nxt, False, False)


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [("", 8, None), ("  ", 8, None), ("0", 8, 0), ("-37.63", 8, -3_763_000_000), ("70100", 8, 70_100 * PRICE)],
)
def test_texts_are_read_exactly(text, scale, value):
    assert decimals.read({"x": text}, "x", scale) == value
    assert decimals.read({}, "x", scale) is None


@pytest.mark.parametrize("text", ["(null)", "1,000", "1e5", "NaN", "-", "70100원"])
def test_what_is_no_number_is_no_value_either(text):
    with pytest.raises(ValueError, match="x: "):
        decimals.price({"x": text}, "x")


@pytest.mark.parametrize(
    ("text", "sign", "value"),
    [("0.50", "2", 50), ("0.50", "5", -50), ("-0.50", "5", -50), ("0", "3", 0), ("1", "", 100)],
)
def test_the_sign_of_a_change_comes_from_its_code(text, sign, value):
    assert decimals.change({"x": text, "prdy_vrss_sign": sign}, "x") == value * 10**6
