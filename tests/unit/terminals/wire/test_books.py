"""Order books keep every level to the digit, and hostile bytes are a batch error, never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

I64 = st.integers(-(2**63) + 1, 2**63 - 1)
MAYBE = st.none() | I64
SIDE = st.lists(st.tuples(I64, I64), max_size=wire.BOOK_LEVELS).map(tuple)
BOOK = st.fixed_dictionaries(
    {
        "symbol": st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=24),
        "time_us": MAYBE, "seq": MAYBE, "trade_date": st.none() | st.integers(-(2**31) + 1, 2**31 - 1),
        "bids": SIDE, "asks": SIDE, "bid_total": MAYBE, "ask_total": MAYBE, "expected_price": MAYBE,
        "expected_size": MAYBE, "cum_volume": MAYBE, "mid_price": MAYBE,
    }
)  # fmt: skip


def batch(rows, **scales):
    books = wire.Books(**scales)
    for row in rows:
        books.append(**row)
    return books


def some_batch():
    return batch(
        [
            {"symbol": "005930", "time_us": 5, "seq": 1, "bids": ((70_000, 5), (69_900, 6)), "asks": ((70_100, 7),)},
            {"symbol": "000660", "time_us": 6, "trade_date": 20_000, "bids": (), "asks": ((1, 2),), "bid_total": 9},
        ]
    ).encode(7, "krx", 99)


@given(st.lists(BOOK, max_size=12), st.integers(1, wire.MAX_SEQ))
def test_books_come_back_as_they_were(rows, seq):
    payload = batch(rows).encode(seq, "krx", 123)

    header = wire.parse_header(payload)
    assert (header.seq, header.feed, header.rows, header.captured_us) == (seq, "krx", len(rows), 123)
    assert header.encoding is wire.Encoding.BOOKS
    assert wire.decode_books(payload) == rows
    assert all(offset % 8 == 0 for offset in wire.parse_books(payload, header).offsets.values())


def test_a_batch_of_books_has_as_many_levels_as_its_deepest_book():
    payload = some_batch()

    layout = wire.parse_books(payload, wire.parse_header(payload))

    assert layout.levels == 2
    assert layout.symbols == ["005930", "000660"]
    assert wire.BookColumn.MID_PRICE not in layout.offsets


def test_the_kind_of_a_row_says_where_it_goes_and_is_no_column():
    books = batch([{"kind": wire.Kind.BOOK, "symbol": "A", "bids": ((1, 2),)}])

    assert wire.decode_books(books.encode(1, "krx", 0))[0]["bids"] == ((1, 2),)


@pytest.mark.parametrize(
    "row",
    [{"symbol": "삼성"}, {"symbol": 5930}, {"time_us": 1.5}, {"time_us": -(2**63)}, {"trade_date": 2**31},
     {"bids": ((1,),)}, {"bids": ((1, 2, 3),)}, {"asks": ((1.5, 2),)}, {"asks": ((None, 2),)}, {"asks": ((1, 2**63),)},
     {"bids": ((1, 2),) * 11}, {"price": 5}],
)  # fmt: skip
def test_a_book_that_fits_no_column_is_the_senders_error(row):
    with pytest.raises(wire.BatchError, match="bad_batch"):
        batch([row])


@pytest.mark.parametrize("scales", [{"price_scale": 9}, {"price_scale": -1}, {"size_scale": 7}])
def test_a_scale_beyond_the_database_is_refused(scales):
    with pytest.raises(ValueError, match="price_scale is 0 to 8"):
        wire.Books(**scales)


def test_a_batch_of_books_cut_anywhere_is_refused():
    payload = some_batch()

    for end in range(len(payload)):
        with pytest.raises(wire.BatchError):
            wire.parse_books(payload[:end], wire.parse_header(payload[:end]))
    with pytest.raises(wire.BatchError, match="bytes behind"):
        wire.parse_books(payload + bytes(8), wire.parse_header(payload))


@given(st.data())
def test_any_changed_bytes_are_books_or_a_batch_error(data):
    payload = bytearray(some_batch())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(8, len(payload) - 1))] = data.draw(st.integers(0, 255))
    code = "bad_batch"
    try:
        header = wire.parse_header(payload)
        wire.parse_books(payload, header)
        assert len(wire.decode_books(payload)) == header.rows
    except wire.BatchError as error:
        code = error.code
    assert code in {"bad_batch_header", "bad_batch", "too_many_rows"}


def test_more_levels_than_a_book_has_are_refused():
    payload = bytearray(some_batch())
    payload[wire.parse_header(payload).body_offset + 6] = 11

    with pytest.raises(wire.BatchError, match="11 levels"):
        wire.parse_books(payload, wire.parse_header(payload))


def test_prices_of_a_side_without_sizes_are_refused():
    payload = bytearray(some_batch())
    at = wire.parse_books(payload, wire.parse_header(payload)).offsets[wire.BookColumn.BID_SIZE] - 8
    payload[at] = wire.BookColumn.MID_PRICE  # of the width of two levels, which no mid price has

    with pytest.raises(wire.BatchError, match="wrong width"):
        wire.parse_books(payload, wire.parse_header(payload))
    alone = batch([{"bids": ((1, 2),)}]).encode(1, "krx", 0)
    offsets = wire.parse_books(alone, wire.parse_header(alone)).offsets
    changed = bytearray(alone)
    changed[offsets[wire.BookColumn.BID_SIZE] - 8] = wire.BookColumn.ASK_PRICE

    with pytest.raises(wire.BatchError, match="go together"):
        wire.parse_books(changed, wire.parse_header(changed))


def test_more_books_than_a_batch_has_room_for_are_told_so_before_they_are_looked_at():
    books = batch([{"symbol": "A"}] * wire.BATCH_BOOKS)
    assert books.full
    books.append(symbol="A")
    payload = books.encode(1, "krx", 0)

    with pytest.raises(wire.BatchError, match="too_many_rows"):
        wire.parse_books(payload, wire.parse_header(payload))


def test_the_largest_batch_of_books_fits_a_frame():
    full = {"time_us": 1, "seq": 1, "trade_date": 1, "bids": ((1, 1),) * 10, "asks": ((1, 1),) * 10}
    totals = dict.fromkeys(("bid_total", "ask_total", "expected_price", "expected_size", "cum_volume", "mid_price"), 1)

    payload = batch([{"symbol": f"{number:024d}", **full, **totals} for number in range(wire.BATCH_BOOKS)]).encode(
        1, "krx", 0
    )

    assert len(payload) < wire.FRAME_BYTES
