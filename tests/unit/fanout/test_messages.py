"""What the topics say, in JSON and in Arrow."""

import json
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from analytics.series import candles
from fanout import messages
from fanout.messages import CHART, PROCESSED, RAW, STATISTICS, Page
from marketdata.realtime.feed import CANCELLED
from marketdata.realtime.stats import Statistics
from marketdata.types import daily_bars
from marketdata.types.units import date_of
from tests import market
from tests.market import NINE_US

ROWS = [
    {"symbol": "005930", "time_us": NINE_US, "price": 7_000_050_000_000, "size": 3_000_000},
    {"symbol": "000660", "time_us": NINE_US + 1, "price": 12_000_000_000_000, "size": 1_500_000},
    {"symbol": "005930", "time_us": NINE_US + 2, "price": 7_010_000_000_000, "size": 0},
]


def page():
    return Page(market.ticks(ROWS), "abc", 11, 99)


def of(topic, found):
    return [(one.key, one.value) for one in found if one.topic == topic]


def test_a_trade_is_a_message_of_its_own_exact_to_the_digit():
    found = [
        (key, json.loads(value, parse_float=Decimal)) for key, value in of(PROCESSED, messages.of_page(page(), "json"))
    ]

    assert [key for key, _ in found] == ["005930", "000660"]  # the print of size 0 counts for nothing
    (_, first), (_, second) = found
    assert (first["price"], first["size"], first["offset"], first["epoch"]) == (Decimal("70000.5"), 3, 11, "abc")
    assert (second["price"], second["size"], second["offset"]) == (120000, Decimal("1.5"), 12)
    assert first["batch"] == first["id"] >> 13


def test_what_was_stored_is_one_message_of_a_batch_and_symbol_with_every_row():
    found = [json.loads(value) for _, value in of(RAW, messages.of_page(page(), "json"))]

    assert [(one["symbol"], [row["time_us"] - NINE_US for row in one["rows"]]) for one in found] == [
        ("005930", [0, 2]), ("000660", [1]),
    ]  # fmt: skip
    assert (found[0]["offset"], found[0]["last_offset"], found[0]["committed_us"]) == (11, 13, 99)


def test_a_trade_that_was_taken_back_is_a_cancel_and_no_stored_row():
    ticks = market.ticks(ROWS[:1])
    ticks.kind[:] = CANCELLED

    found = list(messages.of_page(Page(ticks, "", 0, 0), "json"))

    assert [(one.topic, json.loads(one.value)["type"], json.loads(one.value)["offset"]) for one in found] == [
        (PROCESSED, "cancel", 0)
    ]
    assert messages.touched(ticks) == {("005930", NINE_US)}


def documented():
    """Of each row of the table in docs/kafka.md: the names of its fields. What stands in brackets are values."""
    text = (Path(__file__).parents[3] / "docs/kafka.md").read_text(encoding="utf-8")
    _, _, table = text.partition("| topic | a message | |\n|---|---|---|\n")
    rows = [line.strip("|").split("|") for line in table.partition("\n\n")[0].splitlines()]
    found = []
    for _, _, fields in rows:
        rest, count = fields, 1
        while count:
            rest, count = re.subn(r"\([^()]*\)", "", rest)
        found.append(re.findall(r"`([a-z_]+)`", rest))
    return found


def test_the_table_of_messages_has_their_fields_and_no_others():
    whole = dict.fromkeys(("price", "size", "bid", "ask", "bid_size", "ask_size", "cum_volume", "seq"), 10**8)
    given = [*ROWS, {"symbol": "005930", "time_us": NINE_US, "kind": 2, "side": 1, **whole}]
    pages = list(messages.of_page(Page(market.ticks(given), "abc", 11, 99), "json"))
    bars = candles.build(market.ticks(ROWS))
    date = date_of(int(market.ticks(ROWS).trade_date[0]))
    day = daily_bars.from_rows("005930", "krx", [tuple(range(20528, 20542))])
    names = [
        [json.loads(value) for _, value in of(RAW, pages)],
        [json.loads(value) for _, value in of(PROCESSED, pages)],
        [json.loads(one.value) for one in messages.of_bars(bars, "json")],
        [json.loads(one.value) for one in messages.of_days(date, "krx", {"005930": NINE_US}, {"005930": day}, "json")],
        [json.loads(one.value) for one in messages.of_statistics("krx", [Statistics("005930", 7, b"{}")], "json")],
    ]
    fields = [set().union(*found) for found in names]
    fields[0] |= set().union(*(row for found in names[0] for row in found["rows"]))
    raw, processed, chart, daily, statistics = documented()

    assert [set(raw), set(processed), set(chart), set(statistics)] == [fields[0], fields[1], fields[2], fields[4]]
    assert set(chart) - {"rev"} | set(daily) - {"timeframe", "rev", "close", "time_us", "trade_date"} == fields[3]


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_a_candle_is_told_as_it_is_and_one_that_is_no_more_as_removed(form):
    bars = candles.build(market.ticks(ROWS[:1]))

    (told,) = messages.of_bars(bars, form)
    (gone,) = messages.removed("krx", [("005930", NINE_US)], form)

    assert (told.topic, told.key, gone.topic, gone.key) == (CHART, "005930", CHART, "005930")
    if form == "json":
        one = json.loads(told.value, parse_float=Decimal)
        assert (one["open"], one["volume"], one["value"], one["trades"]) == (
            Decimal("70000.5"),
            3,
            Decimal("210001.5"),
            1,
        )
        assert (one["removed"], json.loads(gone.value)["removed"]) == (False, True)
    else:
        one = pa.ipc.open_stream(told.value).read_all()
        assert one.column("open").to_pylist() == bars.open.tolist()
        assert one.column("value").to_pylist() == ["210001.5"]
        assert one.schema.metadata[b"symbol"] == b"005930"
        assert pa.ipc.open_stream(gone.value).read_all().column("removed").to_pylist() == [True]


def test_arrow_has_the_numbers_of_json():
    as_json = [json.loads(value, parse_float=Decimal) for _, value in of(PROCESSED, messages.of_page(page(), "json"))]

    tables = [pa.ipc.open_stream(value).read_all() for _, value in of(PROCESSED, messages.of_page(page(), "arrow"))]

    rows = [row for table in tables for row in table.to_pylist()]
    assert [(row["id"], Decimal(row["price"]).scaleb(-8), Decimal(row["size"]).scaleb(-6)) for row in rows] == [
        (one["id"], one["price"], one["size"]) for one in as_json
    ]
    assert [row["offset"] for row in rows] == [11, 12]
    raw = [pa.ipc.open_stream(value).read_all() for _, value in of(RAW, messages.of_page(page(), "arrow"))]
    assert sum(table.num_rows for table in raw) == 3
    assert raw[0].column("bid").null_count == raw[0].num_rows


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_a_daily_candle_has_both_its_closes_and_one_without_a_regular_trade_says_nothing_of_the_session(form):
    date = date_of(int(market.ticks(ROWS).trade_date[0]))
    numbers = [20528, 7, 9, 5, 8, 6, 3_000_000, 210_001, 5 * 10**13, 4, 7, 9, 7, 2_000_000]
    whole = daily_bars.from_rows("005930", "krx", [tuple(numbers)])
    outside = daily_bars.from_rows("000660", "krx", [(*numbers[:10], None, None, None, None)])
    bars = {"005930": whole, "000660": outside}

    begins_us = dict.fromkeys(("005930", "000660", "GONE"), NINE_US)
    found = list(messages.of_days(date, "krx", begins_us, bars, form))

    assert [(one.topic, one.key) for one in found] == [(CHART, "005930"), (CHART, "000660"), (CHART, "GONE")]
    if form == "json":
        first, second, gone = (json.loads(one.value, parse_float=Decimal) for one in found)
        assert (first["timeframe"], first["time_us"], first["trade_date"]) == ("1Day", NINE_US, str(date))
        assert [first[name] for name in ("open", "close", "last")] == [Decimal(at).scaleb(-8) for at in (7, 8, 6)]
        assert (first["value"], first["trades"], first["regular_volume"]) == (Decimal("210001.5"), 4, 2)
        assert "regular_open" in first
        assert not any(name.startswith("regular") for name in second)
        assert [one["removed"] for one in (first, second, gone)] == [False, False, True]
    else:
        first, second, gone = (pa.ipc.open_stream(one.value).read_all() for one in found)
        assert first.column("trade_date").to_pylist() == [date]
        assert (first.column("close").to_pylist(), first.column("value").to_pylist()) == ([8], ["210001.5"])
        assert (first.column("regular_open").to_pylist(), second.column("regular_open").null_count) == ([7], 1)
        assert [one.column("removed").to_pylist() for one in (first, second, gone)] == [[False], [False], [True]]


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_a_result_of_statistics_keeps_its_body(form):
    (told,) = messages.of_statistics("krx", [Statistics("005930", 7, b'{"n":1}')], form)

    assert (told.topic, told.key) == (STATISTICS, "005930")
    if form == "json":
        assert json.loads(told.value)["statistics"] == {"n": 1}
    else:
        assert pa.ipc.open_stream(told.value).read_all().column("statistics").to_pylist() == ['{"n":1}']


def test_a_symbol_with_a_quotation_mark_is_json_all_the_same():
    ticks = market.ticks([{**ROWS[0], "symbol": 'A"B'}])

    found = list(messages.of_page(Page(ticks, "e", 1, 1), "json"))

    assert {json.loads(one.value)["symbol"] for one in found} == {'A"B'}
    assert np.all([one.key == 'A"B' for one in found])


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_a_batch_of_one_symbol_as_large_as_may_be_fits_into_messages_that_brokers_take(form):
    most = 5_000
    row = {"price": 10**17 + 1, "size": 10**17 + 1, "bid": 10**17 + 1, "ask": 10**17 + 1, "bid_size": 10**17 + 1,
           "ask_size": 10**17 + 1, "cum_volume": 10**17 + 1, "seq": 10**17 + 1, "side": 1}  # fmt: skip
    ticks = market.ticks([row] * most)

    found = list(messages.of_page(Page(ticks, "abc", 1, 99), form))

    assert max(len(one.value) for one in found) < 1_000_000  # message.max.bytes of librdkafka
    if form == "json":
        raw = [json.loads(value) for _, value in of(RAW, found)]
        assert [number["row"] for one in raw for number in one["rows"]] == list(range(most))
        assert [one["offset"] for one in raw[1:]] == [one["last_offset"] + 1 for one in raw[:-1]]
    else:
        for topic in (RAW, PROCESSED):
            tables = [pa.ipc.open_stream(value).read_all() for _, value in of(topic, found)]
            assert [offset for table in tables for offset in table.column("offset").to_pylist()] == [
                *range(1, most + 1)
            ]
