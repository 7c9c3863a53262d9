from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import validation
from marketdata.reference.symbols import Rules
from marketdata.types import decoding, reject_reasons, tick_arrays
from marketdata.types.day_figures import DAY_SCALES
from marketdata.types.decoded_batches import Decoded
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT
from terminals import wire
from tests import market
from tests.market import NINE_US

RULES = {
    "005930": Rules(is_active=True, timezone="Asia/Seoul", trade_date_shift_s=0),
    "000660": Rules(is_active=False, timezone="Asia/Seoul", trade_date_shift_s=0),
    "ESH6": Rules(is_active=True, timezone="America/Chicago", trade_date_shift_s=7 * 3600),
    "CLK6": Rules(is_active=True, timezone="America/Chicago", trade_date_shift_s=7 * 3600, nonpositive_prices=True),
}
WEEK_US = 7 * 86_400_000_000
LIVE = validation.Recency(max_future_us=5_000_000, max_age_us=WEEK_US)
REPLAY = validation.Recency(max_future_us=5_000_000, max_age_us=None)
GOOD = {"symbol": "005930", "time": NINE_US, "price": "70000", "size": 1}


def judge(*rows: Any, recency: validation.Recency = LIVE, received_us: int = NINE_US) -> list[list[str]]:
    """The reasons against each JSON row."""
    decoded = decoding.from_wire(wire.encode_rows(1, "krx", 1, rows), source_id=3, batch=1 << 32 | 1)
    return judged(decoded, recency, received_us)


def judged(decoded: Decoded, recency: validation.Recency = LIVE, received_us: int = NINE_US) -> list[list[str]]:
    captured = np.full(len(decoded.ticks), received_us, np.int64)
    good = validation.judge(decoded.ticks, decoded.faults, rules=RULES, captured_us=captured, recency=recency)
    assert good.tolist() == [not fault for fault in decoded.faults.tolist()]
    return [reject_reasons.names(fault) for fault in decoded.faults.tolist()]


def but(**other: Any) -> dict[str, Any]:
    return {name: value for name, value in {**GOOD, **other}.items() if value is not None}


def polled(**day: Any) -> dict[str, Any]:
    """A snapshot that tells of its day."""
    return but(kind="snapshot", size=None, **day)


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
    Fault.CHANGE_RATE_MALFORMED: [
        polled(change_rate="up"),
        polled(change_rate="NaN"),
        polled(change_rate=True),
        polled(change_rate="0.123456789"),
        polled(change_rate=[]),
    ],
    Fault.CHANGE_RATE_OUT_OF_RANGE: [polled(change_rate=one) for one in (-100, "-100.01", "1000000000.1", "1e30")],
    Fault.VALUE_MALFORMED: [polled(cum_value=one) for one in ("much", "inf", False, "0.001")],
    Fault.VALUE_OUT_OF_RANGE: [polled(cum_value=one) for one in (-1, "1e16", 10**30)],
    Fault.RANGE_INVERTED: [polled(low=101, high=100), polled(lower_limit="1.5", upper_limit=1)],
}
# Of a day's prices the mistakes are called as those of any price.
OF_DAYS = {
    Fault.PRICE_NOT_A_NUMBER: [polled(open="x"), polled(upper_limit=False)],
    Fault.PRICE_NOT_FINITE: [polled(high="NaN")],
    Fault.PRICE_NOT_POSITIVE: [polled(low=-1), polled(prev_close="-0.5")],
    Fault.PRICE_OUT_OF_RANGE: [polled(high=10**9 + 1), polled(lower_limit="1e12")],
    Fault.PRICE_TOO_PRECISE: [polled(open="0.000000001")],
}


def test_every_fault_there_is_has_a_row_that_has_it():
    of_records = {Fault.LEVEL_INCOMPLETE, Fault.BOOK_UNORDERED, Fault.EVENT_MALFORMED, Fault.BODY_MALFORMED}
    # What a sum is, only stored candles tell; of order books and events: test_record_validation.py.
    assert set(MISTAKES) == set(Fault) - OF_RIGHTS - {Fault.SUM_OUT_OF_RANGE} - of_records


@pytest.mark.parametrize(
    ("fault", "row"),
    [(fault, row) for told in (MISTAKES, OF_DAYS) for fault, rows in told.items() for row in rows],
    ids=lambda one: str(one)[:40],
)
def test_a_mistake_is_told_once_by_its_name_and_its_neighbours_are_good(fault, row):
    assert judge(GOOD, row, GOOD) == [[], reject_reasons.names(fault), []]


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
    decoded = decoding.from_wire(
        wire.encode_rows(
            1, "krx", 1, [but(symbol=code, time=time) for code in ("005930", "ESH6") for time in (evening_us, night_us)]
        ),
        source_id=3,
        batch=1 << 32 | 1,
    )

    assert judged(decoded, received_us=night_us) == [[]] * 4
    assert [day - NINE_US // market.DAY_US for day in decoded.ticks.trade_date.tolist()] == [0, 1, 0, 1]


def test_a_trading_date_that_was_given_stays():
    decoded = decoding.from_wire(
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

    found = judged(decoding.from_wire(columns.encode(1, "krx", 1), source_id=3, batch=1 << 32 | 1))

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
        found = decoding.from_wire(columns.encode(1, "krx", 1), source_id=3, batch=1 << 32 | 1)
        captured = np.full(len(some), NINE_US, np.int64)
        good = validation.judge(found.ticks, found.faults, rules=_NIL, captured_us=captured, recency=LIVE)
        return found.faults.tolist(), [{**row, "tick_id": 0} for row in market.rows_of(found.ticks.take(good))]

    faults, ticks = verdict(*rows)

    alone = [verdict(row) for row in rows]
    assert faults == [fault for one, _ in alone for fault in one]
    assert ticks == [tick for _, one in alone for tick in one]


def test_no_rows_are_no_trouble():
    assert judge() == []


# --- what snapshots tell of a day -------------------------------------------------------------------------------------


def day_of(row: dict[str, Any]) -> dict[str, int]:
    """The day's figures of a row that is good, as they are stored."""
    decoded = decoding.from_wire(wire.encode_rows(1, "krx", 1, [row]), source_id=3, batch=1 << 32 | 1)
    assert judged(decoded) == [[]]
    ticks = tick_arrays.with_day(decoded.ticks)
    return {} if ticks is None else {name: int(getattr(ticks.day, name)[0]) for name in DAY_SCALES}


def test_a_price_of_zero_before_the_first_trade_is_absent_and_spoils_nothing():
    day = day_of(polled(open=0, high="0", low=0, prev_close="69800", upper_limit=0, change_rate=0, cum_value=0))

    assert day == {
        **dict.fromkeys(DAY_SCALES, ABSENT), "prev_close": market.price("69800"), "change_rate": 0, "cum_value": 0,
    }  # fmt: skip


def test_where_prices_may_be_zero_and_below_a_day_may_have_them():
    day = day_of(polled(symbol="CLK6", price=-37, open=0, low="-40.32", change_rate="-305.97", cum_value=-1))

    assert (day["open"], day["low"]) == (0, market.price("-40.32"))
    assert (day["change_rate"], day["cum_value"]) == (market.price("-305.97"), -100)


@pytest.mark.parametrize("kind", ["trade", "quote", "expected"])
def test_of_another_kind_of_tick_a_day_is_neither_judged_nor_stored(kind):
    assert day_of(but(kind=kind, bid=1, open=-5, low=2, high=1, change_rate=-500, cum_value=-1)) == {}


def test_a_snapshot_that_tells_nothing_of_its_day_has_none():
    assert day_of(polled(cum_volume=5)) == {}
    assert day_of(polled(open=None, high="")) == {}


def test_the_neighbours_of_a_snapshot_without_a_day_keep_theirs():
    rows = [polled(open=5), but(), polled(low=7, high=9)]
    decoded = decoding.from_wire(wire.encode_rows(1, "krx", 1, rows), source_id=3, batch=1 << 32 | 1)
    assert judged(decoded) == [[], [], []]

    found = tick_arrays.with_day(decoded.ticks)

    assert found is not None
    assert found.day is not None
    assert (found.tick_id & 8191).tolist() == [0, 2]
    assert found.day.open.tolist() == [5 * 10**8, ABSENT]
    assert found.day.high.tolist() == [ABSENT, 9 * 10**8]


# --- whatever lies beside it ------------------------------------------------------------------------------------------

PRICES = [None, -1, 0, 1, 7 * 10**12, validation.GREATEST_PRICE, validation.GREATEST_PRICE + 1, 10**18]
SIZES = [None, -1, 0, 1, 10**6, validation.GREATEST_SIZE, validation.GREATEST_SIZE + 1, 10**18 - 1]
FIELDS: dict[str, list[Any]] = {
    "symbol": ["005930", "000660", "ESH6", "CLK6", "999999", None],
    "time_us": [NINE_US + at for at in (0, 5_000_000, 5_000_001, -WEEK_US, -WEEK_US - 1, -NINE_US)] + [None],
    "kind": [1, 2, 3, 9],
    "side": [0, 1, 2, 3],
    "trade_date": [None, 20_528, 20_535, 20_536, 20_521, 20_520],
    **dict.fromkeys(("price", "bid", "ask"), PRICES),
    **dict.fromkeys(("size", "bid_size", "ask_size", "cum_volume"), SIZES),
}
PLAIN = {"symbol": "005930", "time_us": NINE_US, "kind": 1, "price": 7 * 10**12, "size": 10**6}
WRONG = {"kind": 9, "side": 9, "bid": 0, "ask": -1, "bid_size": 0, "ask_size": -1, "cum_volume": -1, "trade_date": 0}


def packed(*rows: dict[str, Any]) -> Decoded:
    columns = wire.Columns()
    for row in rows:
        columns.append(**{"symbol": None, "time_us": None, "kind": None, **row})
    return decoding.from_wire(columns.encode(1, "krx", 1), source_id=3, batch=1 << 32 | 1)


@pytest.mark.parametrize("symbol", ["005930", "CLK6"])
def test_a_row_is_judged_and_kept_alike_whether_it_comes_alone_or_beside_a_wrong_one(symbol):
    rows = [{name: value} for name, values in FIELDS.items() for value in values]
    rows += [{"price": price, "size": size} for price in PRICES for size in SIZES]
    rows += [{"bid": price, "bid_size": size} for price in PRICES for size in SIZES]
    for fields in rows:
        row = PLAIN | {"symbol": symbol} | fields
        alone, beside = packed(row), packed(row, WRONG)

        assert judged(alone)[0] == judged(beside)[0], row
        assert alone.ticks.record(0) == beside.ticks.record(0), row
        assert alone.ticks.trade_date[0] == beside.ticks.trade_date[0], row
