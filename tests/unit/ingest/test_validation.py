from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import validation
from marketdata.reference.symbols import Rules
from marketdata.types import reject_reasons as faults_module
from marketdata.types import ticks as ticks_module
from marketdata.types.reject_reasons import Fault
from terminals import wire
from tests import market
from tests.market import NINE_US

RULES = {
    "005930": Rules(is_active=True, timezone="Asia/Seoul", trade_date_shift_s=0),
    "000660": Rules(is_active=False, timezone="Asia/Seoul", trade_date_shift_s=0),
    "ESH6": Rules(is_active=True, timezone="America/Chicago", trade_date_shift_s=7 * 3600),
}
WEEK_US = 7 * 86_400_000_000
LIVE = validation.Recency(max_future_us=5_000_000, max_age_us=WEEK_US)
REPLAY = validation.Recency(max_future_us=5_000_000, max_age_us=None)
GOOD = {"symbol": "005930", "time": NINE_US, "price": "70000", "size": 1}


def judge(*rows: Any, recency: validation.Recency = LIVE, received_us: int = NINE_US) -> list[list[str]]:
    """The reasons against each JSON row."""
    decoded = ticks_module.from_wire(wire.encode_rows(1, "krx", 1, rows), source_id=3, batch=1 << 32 | 1)
    return judged(decoded, recency, received_us)


def judged(
    decoded: ticks_module.Decoded, recency: validation.Recency = LIVE, received_us: int = NINE_US
) -> list[list[str]]:
    captured = np.full(len(decoded.ticks), received_us, np.int64)
    good = validation.judge(decoded.ticks, decoded.faults, rules=RULES, captured_us=captured, recency=recency)
    assert good.tolist() == [not fault for fault in decoded.faults.tolist()]
    return [faults_module.names(fault) for fault in decoded.faults.tolist()]


def but(**other: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **other}.items() if value is not None}


# One mistake each, and the one name it has.
# Judged by ingest/rights.py and ingest/repeats.py, for they depend on who sends and what is stored.
OF_RIGHTS = {Fault.QUOTA_REACHED, Fault.FEED_REFUSED, Fault.MARKET_REFUSED, Fault.KIND_REFUSED, Fault.REPEATED_RECORD}

MISTAKES: dict[Fault, list[Any]] = {
    Fault.NOT_AN_OBJECT: [5, "text", None, []],
    Fault.SYMBOL_MISSING: [but(symbol=None), but(symbol="")],
    Fault.SYMBOL_UNKNOWN: [
        but(symbol="999999"),
        but(symbol=5930),
        but(symbol="삼성"),
        but(symbol="x" * 25),
        but(symbol=[]),
    ],
    Fault.SYMBOL_INACTIVE: [but(symbol="000660")],
    Fault.TIME_MISSING: [but(time=None), but(time="")],
    Fault.TIME_MALFORMED: [but(time="nine"), but(time="2026-03-16T09:00:00"), but(time=1.5), but(time=2**70)],
    Fault.TIME_FUTURE: [but(time=NINE_US + 5_000_001), but(time="9999-12-31T23:59:59Z"), but(time=2**62)],
    Fault.TIME_PAST: [
        but(time=NINE_US - WEEK_US - 1),
        but(time=0),
        but(time=-(2**62)),
        but(time="0001-01-01T00:00:00Z"),
    ],
    Fault.KIND_UNKNOWN: [but(kind="rumour"), but(kind=1), but(kind="Trade")],
    Fault.SIDE_UNKNOWN: [but(side="left"), but(side=2), but(side=True)],
    Fault.PRICE_MISSING: [
        but(price=None),
        but(price=""),
        but(kind="snapshot", price=None),
        but(kind="expected", price=None),
    ],
    Fault.PRICE_NOT_A_NUMBER: [but(price="abc"), but(price=True), but(price=[1]), but(bid="x"), but(ask={})],
    Fault.PRICE_NOT_FINITE: [but(price="NaN"), but(price=float("inf")), but(bid="-inf")],
    Fault.PRICE_NOT_POSITIVE: [but(price=0), but(price="-0.01"), but(bid=-1), but(ask=-1)],
    Fault.PRICE_OUT_OF_RANGE: [but(price="1e10"), but(price=10**9 + 1), but(ask="1000000000.00000001")],
    Fault.PRICE_TOO_PRECISE: [but(price="0.000000001"), but(ask="1.123456789")],
    Fault.SIZE_MISSING: [but(size=None), but(size="")],
    Fault.SIZE_NOT_A_NUMBER: [but(size="ten"), but(bid_size=False), but(cum_volume="many")],
    Fault.SIZE_NOT_FINITE: [but(size="inf"), but(ask_size=float("nan"))],
    Fault.SIZE_NEGATIVE: [but(size=-1), but(bid_size="-0.000001"), but(cum_volume=-5)],
    Fault.SIZE_OUT_OF_RANGE: [but(size="1e14"), but(size=10**10 + 1), but(price=10**9, size=10**7)],
    Fault.SIZE_TOO_PRECISE: [but(size="0.0000001")],
    Fault.SEQ_MALFORMED: [but(seq="first"), but(seq=2**63), but(seq=True), but(seq=1.5)],
    Fault.TRADE_DATE_MALFORMED: [but(trade_date="Monday"), but(trade_date=20_528), but(trade_date="2026-03-25")],
    Fault.QUOTE_EMPTY: [but(kind="quote", price=None, size=None), but(kind="quote")],
}


def test_every_fault_there_is_has_a_row_that_has_it():
    assert set(MISTAKES) == set(Fault) - OF_RIGHTS - {Fault.SUM_OUT_OF_RANGE}  # which only stored candles tell


@pytest.mark.parametrize(
    ("fault", "row"), [(fault, row) for fault, rows in MISTAKES.items() for row in rows], ids=lambda one: str(one)[:40]
)
def test_a_mistake_is_told_once_by_its_name_and_its_neighbours_are_good(fault, row):
    assert judge(GOOD, row, GOOD) == [[], faults_module.names(fault), []]


def test_several_mistakes_of_a_row_are_all_told():
    assert judge(but(symbol="999999", time="nine", price=-1, size="ten", side="left")) == [
        ["symbol_unknown", "time_malformed", "side_unknown", "price_not_positive", "size_not_a_number"]
    ]


@pytest.mark.parametrize(
    "row",
    [
        but(time=NINE_US + 5_000_000),
        but(time=NINE_US - WEEK_US),
        but(price="0.00000001"),
        but(price=10**9),
        but(size=0),
        but(size=10**10, price="0.01"),
        but(price=10**8, size=10**7),
        but(kind="snapshot", size=None),
        but(kind="quote", price=None, size=None, bid=1),
        but(kind="quote", price=None, size=None, ask=1, ask_size=0),
        but(side=""),
        but(seq=-(2**63) + 1),
        but(trade_date="2026-03-17"),
        but(trade_date="2026-03-20"),
        but(cum_volume=10**12 - 1),
    ],
)
def test_what_lies_just_within_the_bounds_is_believed(row):
    assert judge(row) == [[]]


def test_a_replay_may_be_of_any_year_since_1990_but_not_of_tomorrow():
    rows = [but(time="1990-01-01T00:00:00Z"), but(time="1989-12-31T23:59:59Z"), but(time=NINE_US + WEEK_US)]

    assert judge(*rows, recency=REPLAY) == [[], ["time_past"], ["time_future"]]


def test_the_age_of_a_tick_counts_from_its_receipt():
    assert judge(but(), received_us=NINE_US + WEEK_US) == [[]]
    assert judge(but(), received_us=NINE_US + WEEK_US + 1) == [["time_past"]]
    assert judge(but(), received_us=NINE_US - 5_000_001) == [["time_future"]]


def test_each_row_gets_the_trading_date_of_its_own_market():
    evening_us = NINE_US + 14 * 3_600_000_000 + 30 * 60_000_000  # 23:30 in Seoul, 09:30 in Chicago
    night_us = evening_us + 9 * 3_600_000_000  # 08:30 on the 17th in Seoul, 18:30 on the 16th in Chicago
    decoded = ticks_module.from_wire(
        wire.encode_rows(
            1, "krx", 1, [but(symbol=code, time=time) for code in ("005930", "ESH6") for time in (evening_us, night_us)]
        ),
        source_id=3,
        batch=1 << 32 | 1,
    )

    assert judged(decoded, received_us=night_us) == [[]] * 4
    assert [day - NINE_US // market.DAY_US for day in decoded.ticks.trade_date.tolist()] == [0, 1, 0, 1]


def test_a_trading_date_that_was_given_stays():
    decoded = ticks_module.from_wire(
        wire.encode_rows(1, "krx", 1, [but(trade_date="2026-03-17"), but()]), source_id=3, batch=1 << 32 | 1
    )

    judged(decoded)

    assert [day - NINE_US // market.DAY_US for day in decoded.ticks.trade_date.tolist()] == [1, 0]


def test_columns_are_judged_like_rows():
    columns = wire.Columns()
    columns.append(symbol="005930", time_us=NINE_US, price=market.price("70000"), size=market.size("1"))
    columns.append(symbol="999999", time_us=None, price=-1, size=-1, kind=wire.Kind.BOOK, side=3)
    columns.append(symbol=None, time_us=2**62, price=None, size=10**17, kind=wire.Kind.TRADE)
    columns.append(symbol="000660", time_us=NINE_US, kind=wire.Kind.QUOTE)
    columns.append(symbol="005930", time_us=NINE_US, price=10**18, size=10**18, trade_date=0)

    found = judged(ticks_module.from_wire(columns.encode(1, "krx", 1), source_id=3, batch=1 << 32 | 1))

    assert found == [
        [],
        ["symbol_unknown", "time_missing", "kind_unknown", "side_unknown", "price_not_positive", "size_negative"],
        ["symbol_missing", "time_future", "price_missing", "size_out_of_range"],
        ["symbol_inactive", "quote_empty"],
        ["price_out_of_range", "size_out_of_range", "trade_date_malformed"],
    ]


_NIL = RULES | {"CL": Rules(is_active=True, timezone="America/Chicago", trade_date_shift_s=0, nonpositive_prices=True)}
_value = st.one_of(st.none(), st.integers(-(10**18), 10**18), st.sampled_from([0, 0, 1, -1, 10**8, -(10**8)]))
_any_row = st.fixed_dictionaries(
    {
        "symbol": st.one_of(st.none(), st.sampled_from([*_NIL, "999999"])),
        "time_us": st.one_of(
            st.none(), st.sampled_from([0, 2**62, -(2**62)]), st.integers(NINE_US - 10**12, NINE_US + 10**7)
        ),
        "kind": st.integers(0, 6),
        "side": st.integers(0, 3),
        **dict.fromkeys(("price", "size", "bid", "ask", "bid_size", "ask_size", "cum_volume"), _value),
        "trade_date": st.one_of(st.none(), st.none(), st.integers(20_520, 20_540)),
    }
)


@given(st.lists(_any_row, min_size=1, max_size=12))
def test_rows_together_are_judged_as_each_would_be_alone(rows):
    def verdict(*some: dict[str, Any]) -> tuple[list[int], list[dict[str, Any]]]:
        columns = wire.Columns()
        for row in some:
            columns.append(**row)
        found = ticks_module.from_wire(columns.encode(1, "krx", 1), source_id=3, batch=1 << 32 | 1)
        captured = np.full(len(some), NINE_US, np.int64)
        good = validation.judge(found.ticks, found.faults, rules=_NIL, captured_us=captured, recency=LIVE)
        return found.faults.tolist(), [{**row, "tick_id": 0} for row in market.rows_of(found.ticks.take(good))]

    faults, ticks = verdict(*rows)

    alone = [verdict(row) for row in rows]
    assert faults == [fault for one, _ in alone for fault in one]
    assert ticks == [tick for _, one in alone for tick in one]


def test_no_rows_are_no_trouble():
    assert judge() == []
