"""Order books and events are judged by symbol and time as ticks are, and by what is theirs alone."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import record_validation
from ingest.validation import Recency
from marketdata.reference.symbols import Rules
from marketdata.types import decoding, records, reject_reasons
from marketdata.types.decoded_batches import Decoded
from marketdata.types.order_books import OrderBook
from marketdata.types.records import Content, DecodedRecords, EventRows
from marketdata.types.tick_arrays import ABSENT, Ticks
from terminals import wire
from tests import order_books
from tests.market import NINE_US

RULES = {
    "005930": Rules(is_active=True, timezone="Asia/Seoul", trade_date_shift_s=0),
    "000660": Rules(is_active=False, timezone="Asia/Seoul", trade_date_shift_s=0),
    "ESM6": Rules(is_active=True, timezone="America/Chicago", trade_date_shift_s=25_200, nonpositive_prices=True),
}
LEVELS = st.lists(st.tuples(st.integers(-3, 9), st.integers(0, 3)), max_size=wire.BOOK_LEVELS)
ONE = 10**8


class Judged(NamedTuple):
    decoded: Decoded
    ticks: Ticks
    content: Content

    def record(self, row):
        return self.decoded.record(row)


def judged(payload):
    """What was decoded and judged, and the reasons of each row."""
    decoded = decoding.from_wire(payload, source_id=3, batch=1 << 32 | 1)
    assert isinstance(decoded, DecodedRecords)
    ticks, content, faults = records.joined([decoded])
    record_validation.judge(
        ticks,
        content,
        faults,
        rules=RULES,
        captured_us=np.full(len(ticks), NINE_US, np.int64),
        recency=Recency(max_future_us=5_000_000, max_age_us=None),
    )
    return Judged(decoded, ticks, content), [reject_reasons.names(int(one)) for one in faults]


def books(*rows):
    content = wire.Books()
    for row in rows:
        content.append(**{"symbol": "005930", "time_us": NINE_US, **row})
    return content.encode(1, "krx", NINE_US)


def stored(decoded) -> list[OrderBook]:
    return order_books.one_by_one(decoded.ticks, decoded.content)


@pytest.mark.parametrize("symbol", ["005930", "ESM6"])
@given(bids=LEVELS, asks=LEVELS)
def test_a_book_is_refused_exactly_if_a_level_is_below_zero_where_it_may_not_or_out_of_order(symbol, bids, asks):
    decoded, (reasons,) = judged(books({"symbol": symbol, "bids": bids, "asks": asks}))

    zero_is_a_price = symbol == "ESM6"
    left = [[(p, s) for p, s in side if s and (p or zero_is_a_price)] for side in (bids, asks)]
    prices = [[price for price, _ in side] for side in left]
    unordered = prices[0] != sorted(prices[0], reverse=True) or prices[1] != sorted(prices[1])
    below = any(price < 0 for side in prices for price in side) and not zero_is_a_price
    assert ("book_unordered" in reasons, "price_not_positive" in reasons, len(reasons)) == (
        unordered, below, unordered + below
    )  # fmt: skip
    (book,) = stored(decoded)
    assert [len(book.bids), len(book.asks)] == [len(side) for side in left]


def test_symbols_and_times_of_books_are_judged_as_those_of_ticks():
    _, reasons = judged(
        books(
            {}, {"symbol": "999999"}, {"symbol": "000660"}, {"symbol": None}, {"time_us": None},
            {"time_us": NINE_US + 5_000_001}, {"time_us": 0}, {"trade_date": 1},
        )
    )  # fmt: skip

    assert reasons == [
        [], ["symbol_unknown"], ["symbol_inactive"], ["symbol_missing"],
        ["time_missing"], ["time_future"], ["time_past"], ["trade_date_malformed"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"bids": [(ONE, -1)]}, "size_negative"),
        ({"bids": [(ONE, 10**16 + 1)]}, "size_out_of_range"),
        ({"asks": [(10**17 + 1, 1)]}, "price_out_of_range"),
        ({"asks": [(10**18, 1)]}, "price_out_of_range"),
        ({"bid_total": -1}, "size_negative"),
        ({"cum_volume": 10**18}, "size_out_of_range"),
        ({"expected_price": -1}, "price_not_positive"),
        ({"mid_price": 10**17 + 1}, "price_out_of_range"),
    ],
)
def test_a_number_that_nobody_believes_is_called_as_in_a_tick(row, reason):
    _, reasons = judged(books({}, row))

    assert reasons == [[], [reason]]


def test_numbers_of_a_coarser_scale_are_made_fine_and_totals_of_zero_stay():
    content = wire.Books(price_scale=0, size_scale=1)
    content.append(symbol="005930", time_us=NINE_US, bids=[(70_000, 15)], ask_total=0, mid_price=0, expected_price=7)

    decoded, reasons = judged(content.encode(1, "krx", NINE_US))

    (book,) = stored(decoded)
    assert reasons == [[]]
    assert book.bids == (("70000", "1.5"),)
    assert (book.ask_total, book.mid_price, book.expected_price) == (0, None, 7 * ONE)


def test_a_side_that_nobody_gave_is_empty_and_half_a_level_is_told():
    decoded, reasons = judged(books({"bids": [(ONE, 1)]}))
    assert reasons == [[]]
    assert stored(decoded)[0].asks == ()

    payload = bytearray(books({"bids": [(ONE, 1)]}))
    at = wire.parse_books(payload, wire.parse_header(payload)).offsets[wire.BookColumn.BID_PRICE]
    payload[at : at + 8] = ABSENT.to_bytes(8, "little", signed=True)
    decoded, reasons = judged(bytes(payload))

    assert reasons == [["level_incomplete"]]
    assert '"bids": [[null, "0.000001"]]' in decoded.record(0)


EVENTS = [
    ({"event": "vi", "time": NINE_US}, []),
    ({"event": "vi", "time": NINE_US, "symbol": "005930", "body": {"a": [1, None, 2.5]}}, []),
    ({"event": "vi", "time": NINE_US, "symbol": ""}, []),
    ({"event": "VI", "time": NINE_US}, ["event_malformed"]),
    ({"time": NINE_US}, ["event_malformed"]),
    ({"event": 5, "time": NINE_US}, ["event_malformed"]),
    ({"event": "vi", "time": NINE_US, "body": []}, ["body_malformed"]),
    ({"event": "vi", "time": NINE_US, "body": {"a": "\0"}}, ["body_malformed"]),
    ({"event": "vi", "time": NINE_US, "body": {"a": "x" * 5000}}, ["body_malformed"]),
    ({"event": "vi", "symbol": "999999", "time": NINE_US}, ["symbol_unknown"]),
    ({"event": "vi", "symbol": "000660", "time": NINE_US}, ["symbol_inactive"]),
    ({"event": "vi", "symbol": 5930, "time": NINE_US}, ["symbol_unknown"]),
    ({"event": "vi"}, ["time_missing"]),
    ({"event": "vi", "time": "09:00"}, ["time_malformed"]),
    ({"event": "vi", "time": NINE_US, "seq": "x"}, ["seq_malformed"]),
    (5, ["not_an_object"]),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS, ids=str)
def test_an_event_is_judged_by_itself(event, expected):
    _, reasons = judged(wire.encode_events(1, "krx", NINE_US, [event, EVENTS[0][0]]))

    assert reasons == [expected, []]


def test_an_event_of_no_symbol_has_the_date_in_seoul_and_one_of_a_symbol_that_of_its_market():
    evening = NINE_US + 15 * 3_600_000_000  # midnight in Seoul, ten in the morning in Chicago
    given = [{"event": "vi", "time": evening - 1}, {"event": "vi", "time": evening}, {"event": "vi", "time": evening}]
    given[2]["symbol"] = "ESM6"

    decoded, _ = judged(wire.encode_events(1, "krx", evening, given))

    assert decoded.ticks.trade_date.tolist() == [20_528, 20_529, 20_528]


def test_what_was_refused_is_kept_so_that_it_can_be_read_again():
    row = {"bids": [(ONE, 5)], "asks": [], "bid_total": 7, "expected_price": 3, "seq": 9, "trade_date": 20_528}
    decoded, _ = judged(books(row))
    record = records_of(decoded)[0]
    again = records.book_of(record)
    assert again is not None

    assert records.payload_of_books(1, "krx", NINE_US, [again]) == books(row)
    assert records.book_of({**record, "bids": [["1", None]]}) is None
    assert records.book_of({"kind": "book"}) is None


def records_of(decoded):
    return [json.loads(decoded.record(row)) for row in range(len(decoded.ticks))]


def test_a_refused_event_is_kept_as_it_came():
    decoded, _ = judged(wire.encode_events(1, "krx", NINE_US, [{"event": "VI", "x": 1.5}, [1]]))

    assert isinstance(decoded.content, EventRows)
    assert records_of(decoded) == [{"event": "VI", "x": 1.5, "kind": "status"}, [1]]
