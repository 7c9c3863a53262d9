import datetime

import pytest

from terminals.sources.kis.encryption import CannotDecrypt, decrypt
from terminals.sources.kis.frames import Reader
from terminals.sources.kis.records import Converter
from terminals.wire import Kind, Side
from tests.simulators.kis import wire_records
from tests.unit.terminals.sources.kis import frames_of_kis as samples
from tests.unit.terminals.sources.kis.conftest import NOON
from tests.unit.terminals.sources.kis.frames_of_kis import book, trade

KST = datetime.timezone(datetime.timedelta(hours=9))
DAY = (datetime.date(2026, 11, 20) - datetime.date(1970, 1, 1)).days


def at(text, date="2026-11-20"):
    """A time of that day in Seoul as UTC microseconds."""
    return int(datetime.datetime.fromisoformat(f"{date}T{text}+09:00").timestamp()) * 1_000_000


def convert(tr_id, *records, now="09:00:05", date="2026-11-20", converter=None):
    frame = Reader().read(tr_id, f"{len(records):03d}", "^".join(records))
    return (converter or Converter()).convert(frame, at(now, date))


def test_a_trade_is_a_row_to_the_digit():
    made = convert("H0STCNT0", samples.TRADE)

    assert made.feed == "krx"
    assert made.rows == [
        {
            "symbol": "005930",
            "time_us": at("09:00:02"),
            "kind": Kind.TRADE,
            "price": 100_500 * 10**8,
            "size": 15 * 10**6,
            "side": Side.BUY,
            "seq": 1,
            "bid": 100_400 * 10**8,
            "ask": 100_500 * 10**8,
            "bid_size": 8120 * 10**6,
            "ask_size": 5230 * 10**6,
            "cum_volume": 120_345 * 10**6,
            "trade_date": DAY,
        }
    ]


def test_trades_of_one_second_keep_the_order_in_which_they_came():
    made = convert("H0STCNT0", *(trade(p2=str(price), p12="1") for price in (300, 100, 200)))

    assert [row["price"] // 10**8 for row in made.rows] == [300, 100, 200]
    assert [row["seq"] for row in made.rows] == [1, 2, 3]
    assert {row["time_us"] for row in made.rows} == {at("09:00:02")}


@pytest.mark.parametrize(("code", "side"), [("1", Side.BUY), ("5", Side.SELL), ("3", Side.UNKNOWN), ("", Side.UNKNOWN)])
@pytest.mark.parametrize("tr_id", ["H0STCNT0", "H0NXCNT0", "H0UNCNT0"])
def test_who_was_the_aggressor(tr_id, code, side):
    made = convert(tr_id, trade(p21=code))

    assert made.feed == {"H0ST": "krx", "H0NX": "nxt", "H0UN": "unified"}[tr_id[:4]]
    assert made.rows[0]["side"] == side


@pytest.mark.parametrize("hour_class", ["A", "B", "C", "D", "1"])
def test_an_expected_price_is_never_a_trade(hour_class):
    made = convert("H0STCNT0", trade(p43=hour_class))

    assert [(row["kind"], row["price"], row["size"]) for row in made.rows] == [
        (Kind.EXPECTED, 100_500 * 10**8, 15 * 10**6)
    ]
    assert "cum_volume" not in made.rows[0]


def test_a_trade_without_its_class_is_one_if_the_day_has_traded_it():
    made = convert("H0STCNT0", trade(p43=""), trade(p43="", p13="0"))

    assert [row["kind"] for row in made.rows] == [Kind.TRADE, Kind.EXPECTED]


@pytest.mark.parametrize(("tr_id", "width"), [("H0STANC0", 45), ("H0NXANC0", 47), ("H0UNANC0", 46)])
def test_the_records_of_the_expected_prices_are_none_either(tr_id, width):
    made = convert(tr_id, trade(width, p43="0"), trade(width, p2="0"))

    assert [row["kind"] for row in made.rows] == [Kind.EXPECTED]
    assert made.without_price == 1


@pytest.mark.parametrize(
    ("place", "text", "reason"),
    [
        ("p2", "", "bad_field"),
        ("p2", "(null)", "bad_field"),
        ("p2", "1_000", "bad_field"),
        ("p2", "0", "not_a_trade"),
        ("p2", "-100500", "not_a_trade"),
        ("p12", "", "bad_field"),
        ("p12", "0", "not_a_trade"),
        ("p13", "x", "bad_field"),
        ("p13", "14", "not_a_trade"),
        ("p1", "246000", "bad_field"),
        ("p1", "9000", "bad_field"),
        ("p33", "20261320", "bad_field"),
        ("p33", "", "bad_field"),
    ],
)
def test_a_record_that_cannot_be_right_costs_that_record_alone(place, text, reason):
    made = convert("H0STCNT0", trade(), trade(**{place: text}), trade())

    assert len(made.rows) == 2
    assert [(one.reason, one.values[int(place[1:])]) for one in made.wrong] == [(reason, text)]


@pytest.mark.parametrize("place", ["p5", "p6", "p10", "p11", "p36", "p37", "p44", "p45", "p46"])
@pytest.mark.parametrize("text", ["", "-100.00"])
def test_nonsense_beside_the_trade_leaves_the_trade(place, text):
    if place in ("p36", "p37") and text:
        text = "0"

    made = convert("H0STCNT0", trade(**{place: text}))

    assert made.wrong == []
    assert made.rows[0]["price"] == 100_500 * 10**8


def test_a_halt_is_told_when_it_begins_and_when_it_ends():
    converter = Converter()

    told = [
        [row for row in convert("H0STCNT0", trade(p35=flag), converter=converter).rows if row["kind"] == Kind.STATUS]
        for flag in ("N", "Y", "Y", "N", "N")
    ]

    assert [[row["body"] for row in rows] for rows in told] == [[], [{"halted": True}], [], [{"halted": False}], []]
    assert told[1][0]["event"] == "halt"
    assert told[1][0]["symbol"] == "005930"


def test_the_date_of_a_trade_is_its_business_date_whatever_the_clock_says():
    made = convert("H0STCNT0", samples.TRADE, now="00:00:30", date="2026-11-21")

    assert (made.rows[0]["time_us"], made.rows[0]["trade_date"]) == (at("09:00:02"), DAY)


def test_a_book_has_its_levels_and_totals_and_no_expected_price_where_there_is_none():
    made = convert("H0STASP0", samples.BOOK)

    row = made.rows[0]
    assert (row["kind"], row["symbol"], row["time_us"], row["trade_date"]) == (Kind.BOOK, "005930", at("09:00:03"), DAY)
    assert row["asks"] == [((100_500 + 100 * n) * 10**8, (1017 + 1000 * n) * 10**6) for n in range(10)]
    assert row["bids"] == [((100_400 - 100 * n) * 10**8, (931 + 900 * n) * 10**6) for n in range(10)]
    assert (row["ask_total"], row["bid_total"]) == (55_170 * 10**6, 49_810 * 10**6)
    assert (row["expected_price"], row["expected_size"]) == (None, None)
    assert (row["cum_volume"], row["mid_price"]) == (120_352 * 10**6, 100_450 * 10**8)


@pytest.mark.parametrize("width", [59, 62, 63, 64])
def test_a_book_of_any_width_is_the_same_book(width):
    made = convert("H0STASP0", book(width))

    assert made.rows[0]["asks"] == convert("H0STASP0", samples.BOOK).rows[0]["asks"]
    assert made.rows[0]["mid_price"] == (None if width == 59 else 100_450 * 10**8)


def test_empty_levels_are_left_out_and_the_expected_price_is_there_in_an_auction():
    made = convert("H0STASP0", book(p12="0", p32="0", p22="", p42="", p2="B", p47="100700", p48="250"))

    row = made.rows[0]
    assert (len(row["asks"]), len(row["bids"])) == (9, 9)
    assert (row["expected_price"], row["expected_size"]) == (100_700 * 10**8, 250 * 10**6)


@pytest.mark.parametrize(
    ("stamp", "now", "date", "expected"),
    [
        ("235959", "00:00:05", "2026-11-21", "2026-11-20T23:59:59"),
        ("000001", "23:59:58", "2026-11-20", "2026-11-21T00:00:01"),
        ("090130", "09:00:00", "2026-11-20", "2026-11-20T09:01:30"),
        ("085830", "09:00:00", "2026-11-20", "2026-11-20T08:58:30"),
    ],
)
def test_a_record_without_a_date_is_of_the_day_that_is_nearest(stamp, now, date, expected):
    made = convert("H0STASP0", book(p1=stamp), now=now, date=date)

    day, _, time = expected.partition("T")
    assert made.rows[0]["time_us"] == at(time, day)
    assert made.rows[0]["trade_date"] == (datetime.date.fromisoformat(day) - datetime.date(1970, 1, 1)).days


def test_a_futures_trade_and_its_book_of_five_levels():
    levels = [f"{501.30 + 0.05 * n:.2f}" for n in range(5)] + [f"{501.25 - 0.05 * n:.2f}" for n in range(5)]
    record = "^".join(
        ["A01612", "090003", *levels, *["1"] * 10, *map(str, range(1, 11)), "9", "8", "15", "40", "0", "0"]
    )

    trades, books = convert("H0IFCNT0", samples.FUTURES), convert("H0IFASP0", record)

    row = trades.rows[0]
    assert (row["symbol"], row["price"], row["size"], row["cum_volume"]) == (
        "A01612",
        501_25 * 10**6,
        3 * 10**6,
        1520 * 10**6,
    )
    assert (row["bid"], row["ask"]) == (501_25 * 10**6, 501_30 * 10**6)
    assert books.rows[0]["asks"][0] == (501_30 * 10**6, 10**6)
    assert books.rows[0]["bids"][4] == (501_05 * 10**6, 10 * 10**6)
    assert "cum_volume" not in books.rows[0] or books.rows[0]["cum_volume"] is None


@pytest.mark.parametrize(
    ("tr_id", "record", "price", "ask"),
    [
        ("H0IOCNT0", wire_records.option("B01612500", 12.5, 3, 1520, NOON), "12.50", "12.55"),
        ("H0ZFCNT0", wire_records.stock_future("A11612", 71_000, 3, 1520, NOON), "71000", "71100"),
        ("H0MFCNT0", wire_records.night_future("A01612", 501.25, 3, 1520, NOON), "501.25", "501.30"),
    ],
)
def test_trades_of_options_stock_futures_and_the_night_are_read_by_their_own_names(tr_id, record, price, ask):
    (row,) = convert(tr_id, "^".join(record)).rows

    assert (row["symbol"], row["size"], row["cum_volume"]) == (record[0], 3 * 10**6, 1520 * 10**6)
    assert (row["price"], row["bid"], row["ask"]) == tuple(int(float(one) * 10**8) for one in (price, price, ask))


@pytest.mark.parametrize(
    ("tr_id", "levels", "feed"),
    [("H0IOASP0", 5, "krx"), ("H0ZFASP0", 10, "krx"), ("H0MFASP0", 5, "kis_night")],
)
def test_books_of_options_stock_futures_and_the_night_have_their_levels(tr_id, levels, feed):
    made = convert(tr_id, "^".join(wire_records.derivative_book("A01612", 501.25, levels, NOON)))

    (row,) = made.rows
    assert (made.feed, len(row["asks"]), len(row["bids"])) == (feed, levels, levels)
    assert (row["asks"][0], row["bids"][-1]) == (
        (502_25 * 10**6, 10 * 10**6),
        ((502_25 - 100 * levels) * 10**6, (9 + 2 * levels) * 10**6),
    )
    assert (row["trade_date"] is None) == (feed == "kis_night")


def test_a_trade_of_the_night_leaves_its_trading_date_to_the_server():
    record = samples.FUTURES.split("^")
    del record[46]

    made = convert("H0MFCNT0", "^".join(record), now="23:00:00")

    assert (made.feed, made.rows[0]["trade_date"]) == ("kis_night", None)


def test_a_status_and_a_volatility_interruption_are_events():
    converter = Converter()

    first = convert("H0STMKO0", samples.STATUS, converter=converter)
    second = convert("H0STMKO0", samples.STATUS.replace("^55^N^", "^55^1^"), converter=converter)
    third = convert("H0STMKO0", samples.STATUS, converter=converter)

    assert first.rows[0]["event"] == "market_status"
    assert first.rows[0]["body"] == {
        "halted": False,
        "trht_yn": "N",
        "antc_mkop_cls_code": "311",
        "iscd_stat_cls_code": "55",
        "vi_cls_code": "N",
        "ovtm_vi_cls_code": "N",
    }
    assert [row["body"] for row in second.rows if row["event"] == "vi"] == [{"vi": "1", "before": ""}]
    assert [row["body"] for row in third.rows if row["event"] == "vi"] == [{"vi": "N", "before": "1"}]


def test_an_index_is_an_event_of_no_symbol():
    row = convert("H0UPCNT0", samples.INDEX).rows[0]

    assert (row["event"], row["symbol"], row["time_us"]) == ("index", None, at("09:00:10"))
    assert (row["body"]["index"], row["body"]["prpr_nmix"]) == ("2001", "500.83")


@pytest.mark.parametrize(
    ("local", "korean", "utc"),
    [
        # New York in winter and, a week before, in summer time: 2026-11-01 is the change.
        (("20261119", "100501"), ("20261120", "000501"), "2026-11-19T15:05:01+00:00"),
        (("20261030", "100501"), ("20261030", "230501"), "2026-10-30T14:05:01+00:00"),
        (("20261119", "100501"), ("", ""), "2026-11-19T15:05:01+00:00"),
        (("20261030", "100501"), ("(null)", "(null)"), "2026-10-30T14:05:01+00:00"),
    ],
)
def test_a_trade_overseas_has_its_own_clock_and_date(local, korean, utc):
    record = samples.OVERSEAS.split("^")
    record[0] = "RNASAAPL"
    record[3:8] = [local[0], *local, *korean]

    made = convert("HDFSCNT0", "^".join(record))

    row = made.rows[0]
    assert (made.feed, row["symbol"], row["price"]) == ("kis_overseas", "AAPL", 250_50 * 10**6)
    assert row["time_us"] == int(datetime.datetime.fromisoformat(utc).timestamp()) * 1_000_000
    assert row["trade_date"] == (datetime.date.fromisoformat(local[0]) - datetime.date(1970, 1, 1)).days


def test_delayed_trades_overseas_have_a_feed_of_their_own():
    made = convert("HDFSCNT0", samples.OVERSEAS, samples.OVERSEAS.replace("DNAS", "RNAS"))

    assert (len(made.delayed), len(made.rows)) == (1, 1)


def test_a_payload_that_is_encrypted_is_read_with_the_key_of_its_answer():
    assert decrypt(samples.NOTICE, key=samples.NOTICE_KEY, iv=samples.NOTICE_IV) == samples.NOTICE_PLAIN


@pytest.mark.parametrize("payload", ["", "x", samples.NOTICE[:-8], samples.NOTICE[4:]])
def test_a_payload_that_was_damaged_cannot_be_decrypted(payload):
    with pytest.raises(CannotDecrypt):
        decrypt(payload, key=samples.NOTICE_KEY, iv=samples.NOTICE_IV)
