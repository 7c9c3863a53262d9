"""Every difference between what is stored and what it should be is found and named; nothing else is."""

import datetime
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.integrity import differences
from analytics.integrity.differences import BatchSums, Finding, Findings, sums
from analytics.series import candles, daily_candles
from marketdata.storage.base import Window
from marketdata.types import checksums, daily_bars, minute_bars
from marketdata.types.checksums import Figure
from marketdata.types.minute_bars import VALUE_UNIT
from marketdata.types.tick_arrays import ABSENT, TICK_BITS
from tests import market
from tests.market import MINUTE_US, NINE_US, price, size, tick_id

DAY = datetime.date(2026, 3, 16)
BATCH = tick_id(1, 0) >> TICK_BITS
REGULAR = Window(market="KRX", start_us=NINE_US, end_us=NINE_US + 393 * MINUTE_US)


# --- ledger and ticks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ledger", "found", "named"),
    [
        ([(1, 5, 7)], [(1, 5, 7)], []),
        ([(1, 5, 7)], [], [("batch_missing", "batch 0/1", "5 ticks, checksum 7", "")]),
        ([], [(2, 1, 9)], [("batch_unknown", "batch 0/2", "", "1 ticks, checksum 9")]),
        ([(1, 5, 7)], [(1, 4, 6)], [("rows_missing", "batch 0/1", "5 ticks, checksum 7", "4 ticks, checksum 6")]),
        ([(1, 5, 7)], [(1, 6, 8)], [("rows_too_many", "batch 0/1", "5 ticks, checksum 7", "6 ticks, checksum 8")]),
        ([(1, 5, 7)], [(1, 5, 8)], [("content_changed", "batch 0/1", "5 ticks, checksum 7", "5 ticks, checksum 8")]),
        ([(3, 1, 1), (1, 1, 1)], [(2, 1, 1)], [("batch_missing", "batch 0/1", "1 ticks, checksum 1", ""),
                                               ("batch_unknown", "batch 0/2", "", "1 ticks, checksum 1"),
                                               ("batch_missing", "batch 0/3", "1 ticks, checksum 1", "")]),
    ],
)  # fmt: skip
def test_each_batch_that_differs_is_named_in_order(ledger, found, named):
    findings = differences.batches(sums(ledger), sums(found))

    assert [(one.code, one.subject, one.expected, one.found) for one in findings] == named


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=30), st.booleans())
def test_sums_by_batch_are_the_figures_the_ledger_has(rows, compact):
    ticks = market.ticks(
        [
            {"tick_id": tick_id(seq, at), "time_us": NINE_US + late * 1000 + at, "price": at + 1, "trade_date": 20528}
            for at, (seq, late) in enumerate(rows)
        ]
    )
    ledger = checksums.by_batch(ticks, ticks.tick_id >> TICK_BITS)

    added = BatchSums()
    limit = differences.COMPACT_AT
    differences.COMPACT_AT = 3 if compact else limit
    for at in range(len(ticks)):
        added.add(ticks.take(np.array([at])))
    differences.COMPACT_AT = limit

    total = added.total()
    assert {(batch, 20528): total.at(batch) for batch in total.batch.tolist()} == ledger
    assert list(differences.batches(sums((b, f.rows, f.checksum) for (b, _), f in ledger.items()), total)) == []


def test_a_batch_is_called_by_its_stream_and_number():
    assert differences.batch_text(BATCH) == "batch 1/1"
    assert sums([]).at(5) is None
    assert BatchSums().total().at(5) is None


def test_of_a_kind_so_many_are_named_and_all_are_counted():
    findings = Findings(2)

    findings.add(Finding(code=code, subject=str(at)) for at in range(4) for code in ("a", "b"))

    assert [(one.code, one.subject) for one in findings.named] == [("a", "0"), ("b", "0"), ("a", "1"), ("b", "1")]
    assert findings.counts == {"a": 4, "b": 4}
    assert str(Finding(code="a", subject="x", expected="1")) == "a  x  expected 1, found nothing"


# --- minute candles ---------------------------------------------------------------------------------------------------


def minutes(number: int = 3):
    return candles.build(
        market.ticks(
            [
                {
                    "time_us": NINE_US + at * MINUTE_US + k,
                    "tick_id": tick_id(1, at * 2 + k),
                    "price": price("70000") + k,
                }
                for at in range(number)
                for k in range(2)
            ]
        )
    )


def test_equal_candles_are_no_finding_whatever_their_revision():
    stored = minutes()
    stored.rev += 7

    assert differences.minutes(minutes(), stored, "005930") == []
    assert differences.minutes(minute_bars.empty("krx"), minute_bars.empty("krx"), "005930") == []


@pytest.mark.parametrize(
    ("name", "by", "expected", "found"),
    [
        ("open", 1, "70000", "70000.00000001"),
        ("high", -1, "70000.00000001", "70000"),
        ("low", 10**8, "70000", "70001"),
        ("close", 1, "70000.00000001", "70000.00000002"),
        ("volume", 1, "2", "2.000001"),
        ("value", 1, "140000.00000001", "140001.00000001"),
        ("value_frac", 1, "140000.00000001", "140000.01000001000001"),
        ("n", 1, "2", "3"),
        ("open_time", 1, "2026-03-16T09:01:00+09:00", "2026-03-16T09:01:00.000001+09:00"),
        ("open_id", 1, str(tick_id(1, 2)), str(tick_id(1, 3))),
        ("close_time", 1_000_000, "2026-03-16T09:01:00.000001+09:00", "2026-03-16T09:01:01.000001+09:00"),
        ("close_id", -1, str(tick_id(1, 3)), str(tick_id(1, 2))),
    ],
)
def test_a_field_of_a_candle_is_named_with_what_it_should_be(name, by, expected, found):
    stored = minutes()
    getattr(stored, name)[1] += by

    findings = differences.minutes(minutes(), stored, "005930")

    shown = "value" if name == "value_frac" else name
    assert [(one.code, one.subject) for one in findings] == [
        ("candle_differs", f"005930 krx 2026-03-16T09:01:00+09:00 {shown}")
    ]
    if name != "value_frac":
        assert (findings[0].expected, findings[0].found) == (expected, found)
    else:
        assert findings[0].expected != findings[0].found


def test_every_field_but_the_revision_is_compared():
    for name in minute_bars.COLUMNS:
        if name in ("rev", "symbol", "time_us", "trade_date"):
            continue
        stored = minutes()
        getattr(stored, name)[0] += 1

        assert len(differences.minutes(minutes(), stored, "005930")) == 1, name


def test_missing_and_superfluous_candles_are_named():
    whole = minutes(4)

    findings = differences.minutes(whole.take(np.array([0, 1, 3])), whole.take(np.array([1, 2, 3])), "005930")

    assert [(one.code, one.subject) for one in findings] == [
        ("candle_missing", "005930 krx 2026-03-16T09:00:00+09:00"),
        ("candle_superfluous", "005930 krx 2026-03-16T09:02:00+09:00"),
    ]
    assert findings[0].expected == "open 70000 high 70000.00000001 low 70000 close 70000.00000001 volume 2 n 2"
    assert differences.minutes(minute_bars.empty("krx"), whole, "005930")[0].code == "candle_superfluous"
    assert differences.minutes(whole, minute_bars.empty("krx"), "005930")[3].code == "candle_missing"


# --- daily candles ----------------------------------------------------------------------------------------------------


def day(*trades: tuple[int, str, str], window: Window | None = REGULAR):
    """The daily candle of trades (minute after nine, price, size)."""
    ticks = market.ticks(
        [
            {"time_us": NINE_US + at * MINUTE_US, "price": price(p), "size": size(s), "tick_id": tick_id(1, row)}
            for row, (at, p, s) in enumerate(trades)
        ]
    )
    return daily_candles.build(candles.build(ticks), DAY, window)


ALL = ((-30, "69000", "2"), (0, "70000", "10"), (60, "71000", "5"), (390, "70500", "100"), (600, "72000", "1.5"))


def values(bar) -> dict[str, int]:
    return {name: int(getattr(bar, name)[0]) for name in daily_bars.COLUMNS}


def test_a_daily_candle_closes_with_the_regular_session_and_remembers_the_last_price():
    found = values(day(*ALL))

    assert found == {
        "trade_date": 20528,
        "open": price("69000"),
        "high": price("72000"),
        "low": price("69000"),
        "close": price("70500"),
        "last": price("72000"),
        "volume": size("118.5"),
        "value": 138_000 + 700_000 + 355_000 + 7_050_000 + 108_000,
        "value_frac": 0,
        "n": 5,
        "regular_open": price("70000"),
        "regular_high": price("71000"),
        "regular_low": price("70000"),
        "regular_volume": size("115"),
    }


@pytest.mark.parametrize("window", [None, REGULAR])
def test_without_a_regular_trade_the_close_is_the_last_price(window):
    found = values(day((-30, "69000", "2"), (600, "72000", "1"), window=window))

    assert (found["close"], found["last"], found["regular_open"]) == (price("72000"), price("72000"), ABSENT)


def test_the_traded_value_of_a_day_is_exact_beyond_sixty_four_bits():
    huge = (0, "999999.99999999", "999999999.999999")
    found = values(day(huge, (1, *huge[1:]), (2, "0.00000001", "0.000001")))

    whole = 2 * price(huge[1]) * size(huge[2]) + 1
    assert found["value"] * VALUE_UNIT + found["value_frac"] == whole


def test_a_daily_candle_that_differs_is_named_by_field():
    expected, stored = day(*ALL), day(*ALL)
    stored.regular_high[0] = ABSENT
    stored.volume[0] += 1

    findings = differences.days(expected, stored)

    assert [(one.code, one.subject, one.expected, one.found) for one in findings] == [
        ("daily_differs", "005930 krx 2026-03-16 volume", "118.5", "118.500001"),
        ("daily_differs", "005930 krx 2026-03-16 regular_high", "71000", "none"),
    ]
    assert differences.days(expected, day(*ALL)) == []


def test_a_daily_candle_without_minutes_and_minutes_without_a_daily_candle_are_named():
    nothing = daily_bars.from_rows("005930", "krx", [])

    assert [one.code for one in differences.days(day(*ALL), nothing)] == ["daily_missing"]
    assert [(one.code, one.subject) for one in differences.days(nothing, day(*ALL))] == [
        ("daily_superfluous", "005930 krx 2026-03-16")
    ]
    assert differences.days(nothing, nothing) == []
    assert len(daily_candles.build(replace(minute_bars.empty("krx"), symbols=["005930"]), DAY, REGULAR)) == 0


def test_figures_are_shown_with_rows_and_checksum():
    assert differences.figure_text(Figure(1_234_567, 89)) == "1,234,567 ticks, checksum 89"
