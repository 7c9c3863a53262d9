"""`gaps=fill` shows the vendor's bar where something of ours was lost; without it nothing is different."""

import datetime
from decimal import Decimal

import pytest

from ingest import notifications, tasks
from marketdata.ledger import batch_ledger
from marketdata.maintenance import rollover
from marketdata.types.tick_arrays import batch_number
from marketdata.vendors import minutes, repair
from terminals import wire
from tests.integration.serving import KIS, SEOUL_DAY, serving
from tests.market import MINUTE_US, NINE_US, size
from tests.upkeep import Clock, seoul
from tests.vendor import Vendor, bar, lose, minute_us

__all__ = ["serving"]

MONDAY = datetime.date.fromisoformat(SEOUL_DAY)
PATH = "/v2/stocks/005930/bars"


@pytest.fixture
def holed(serving):
    """Trades at 09:00, 09:01 and 09:03. Of 09:01 something is lost, and all of 09:02; the vendor has both."""
    for at, trade in enumerate(("70000", "70100", None, "70300")):
        if trade is not None:
            serving.commit([{"time": NINE_US + at * MINUTE_US, "price": trade, "size": "2"}])
    lose(1, minute_us(1) + 30_000_000, minute_us(2) + 30_000_000, "8")
    keep(bar(1, "5", close="70110"), bar(2, "5", close="70500"))
    return serving


def keep(*bars):
    minutes.store("005930", "krx", MONDAY, bars, seoul("2026-03-16 20:15"))


def shown(bars, *names):
    return [tuple(one[name] for name in names) for one in bars]


def test_without_the_parameter_the_answer_is_what_it_was(holed):
    bars = holed.read(PATH)["bars"]

    assert shown(bars, "c", "v", "gap") == [(70000, 2, 0), (70100, 2, 1), (70300, 2, 0)]
    assert not any("src" in one for one in bars)


def test_a_candle_is_whole_where_only_books_were_lost(holed):
    lose(2, minute_us(3), minute_us(3) + 30_000_000, None, reason="book:disconnected")

    assert shown(holed.read(PATH)["bars"], "v", "gap") == [(2, 0), (2, 1), (2, 0)]


def test_a_minute_with_a_gap_is_the_vendors_and_one_that_is_missing_appears(holed):
    bars = holed.read(PATH, gaps="fill")["bars"]

    assert shown(bars, "t", "c", "v", "n", "vw", "gap", "src") == [
        ("2026-03-16T00:00:00Z", 70000, 2, 1, 70000, 0, "naru"),
        ("2026-03-16T00:01:00Z", 70110, 5, 0, 70110, 1, "kis"),
        ("2026-03-16T00:02:00Z", 70500, 5, 0, 70500, 1, "kis"),
        ("2026-03-16T00:03:00Z", 70300, 2, 1, 70300, 0, "naru"),
    ]


def test_a_wider_candle_has_the_vendors_minutes_and_the_rest_of_ours(holed):
    (hour,) = holed.read(PATH, gaps="fill", timeframe="1Hour")["bars"]
    narrow = holed.read(PATH, gaps="fill", timeframe="3Min")["bars"]

    assert shown([hour], "o", "h", "l", "c", "v", "src") == [(70000, 70500, 70000, 70300, 14, "kis")]
    assert hour["vw"] == Decimal("70260.71428571")  # (2 x 70,000 + 5 x 70,110 + 5 x 70,500 + 2 x 70,300) / 14
    assert shown(narrow, "t", "c", "v", "src") == [
        ("2026-03-16T00:00:00Z", 70500, 12, "kis"), ("2026-03-16T00:03:00Z", 70300, 2, "naru"),
    ]  # fmt: skip


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_of_filled_candles_are_the_whole_in_pieces(holed, sort, limit):
    whole = holed.pages("/v2/stocks/bars", "bars", symbols="005930", gaps="fill", sort=sort)

    paged = holed.pages("/v2/stocks/bars", "bars", symbols="005930", gaps="fill", sort=sort, limit=limit)

    assert len(whole) == 4
    assert paged == whole


def test_the_bounds_of_a_request_hold_for_the_vendors_bars_too(holed):
    def times(**query):
        return [one["t"][11:16] for one in holed.read(PATH, gaps="fill", **query)["bars"]]

    assert times(start="2026-03-16T00:02:00Z") == ["00:02", "00:03"]
    assert times(end="2026-03-16T00:01:59Z") == ["00:00", "00:01"]
    assert times(feed="nxt") == []


@pytest.mark.parametrize("rolled_over", [False, True])
def test_a_day_is_made_of_the_vendors_minutes_and_ours_before_and_after_its_rollover(holed, rolled_over):
    if rolled_over:
        rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:06"))
    (plain,) = holed.read(PATH, timeframe="1Day")["bars"]

    (day,) = holed.read(PATH, timeframe="1Day", gaps="fill")["bars"]

    assert shown([plain], "h", "v", "n") == [(70300, 6, 3)]
    assert shown([day], "o", "h", "l", "c", "v", "n", "gap", "src") == [(70000, 70500, 70000, 70300, 14, 2, 1, "kis")]
    (week,) = holed.read(PATH, timeframe="1Week", gaps="fill")["bars"]
    assert (week["h"], week["v"], week["src"]) == (70500, 14, "kis")


def test_a_day_of_which_ours_are_no_longer_whole_stays_its_own_row(holed):
    from django.db import connection

    rollover.run_one(MONDAY, clock=Clock("2026-03-17 08:06"))
    with connection.cursor() as cursor:  # as retention leaves it
        cursor.execute("DELETE FROM market_data_minute")

    (day,) = holed.read(PATH, timeframe="1Day", gaps="fill")["bars"]

    assert (day["h"], day["v"]) == (70300, 6)


def test_a_symbol_of_which_everything_was_lost_is_shown_by_the_vendor_alone(holed):
    minutes.store("000660", "krx", MONDAY, [bar(1, "5")], seoul("2026-03-16 20:15"))

    assert holed.read("/v2/stocks/000660/bars")["bars"] == []
    assert shown(holed.read("/v2/stocks/000660/bars", gaps="fill")["bars"], "v", "src") == [(5, "kis")]
    found = holed.pages("/v2/stocks/bars", "bars", symbols="005930,000660", gaps="fill", limit=1)
    assert [symbol for symbol, _ in found] == ["000660"] + ["005930"] * 4
    (day,) = holed.read("/v2/stocks/000660/bars", gaps="fill", timeframe="1Day")["bars"]
    assert (day["v"], day["src"]) == (5, "kis")


def test_a_minute_in_which_the_vendor_had_no_trade_stays_ours(serving):
    serving.commit([{"size": "2"}])
    lose(1, NINE_US, NINE_US, None)
    keep(minutes.VendorBar(minute_us=NINE_US))

    assert shown(serving.read(PATH, gaps="fill")["bars"], "v", "gap", "src") == [(2, 1, "naru")]


def test_a_gap_that_a_terminal_reports_of_one_symbol_is_filled_for_that_symbol(serving):
    for code in ("005930", "000660"):
        serving.commit([{"symbol": code, "size": "2"}])
    gap = wire.Gap(NINE_US, NINE_US, symbol="005930", missing=size("3"), reason="volume_hole")
    payload = wire.encode_gaps(3, "krx", 1, [gap])
    message = notifications.batch_message(batch_number(1, 3), payload, batch_ledger.now_us(), KIS, None, None)
    tasks.process_batches(batches=[message], reply_to="test")
    vendor = Vendor({("005930", "krx"): [bar(0, "5")], ("000660", "krx"): [bar(0, "9")]})

    outcome = repair.run(MONDAY, vendor, seoul("2026-03-16 20:15"), progress=lambda _: None)

    assert (outcome.fetched, outcome.agreeing) == (1, 1)
    found = serving.read("/v2/stocks/bars", symbols="000660,005930", gaps="fill")["bars"]
    assert {code: shown(bars, "v", "gap", "src") for code, bars in found.items()} == {
        "000660": [(2, 0, "naru")], "005930": [(5, 1, "kis")]
    }  # fmt: skip


def test_another_word_than_fill_is_refused(serving):
    response = serving.get(PATH, gaps="hide")

    assert response.status_code == 400
    assert b"gaps" in response.content
