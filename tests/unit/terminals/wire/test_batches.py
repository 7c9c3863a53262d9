"""Batches keep every number to the digit, and a wrong structure is a batch error, never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

I64 = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)
ROW = st.fixed_dictionaries(
    {
        "symbol": st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=24),
        "time_us": I64, "kind": st.sampled_from(wire.Kind), "price": I64, "size": I64, "seq": I64,
        "side": st.sampled_from(wire.Side), "bid": I64, "ask": I64, "bid_size": I64, "ask_size": I64, "cum_volume": I64,
        "trade_date": st.none() | st.integers(-(2**31) + 1, 2**31 - 1),
    }
)  # fmt: skip
DAY = ("open", "high", "low", "prev_close", "upper_limit", "lower_limit", "change_rate", "cum_value")
FIGURES = st.fixed_dictionaries({}, optional=dict.fromkeys(DAY, I64))
SNAPSHOT = st.tuples(ROW, FIGURES).map(lambda both: both[0] | both[1])


def columns(rows, **scales):
    batch = wire.Columns(**scales)
    for row in rows:
        batch.append(**row)
    return batch


def some_batch():
    rows = [
        {"symbol": "ESH4", "time_us": 10, "price": 480_025_000_000, "size": 440_000, "side": 2, "seq": 6000},
        {"symbol": "005930", "time_us": 11, "price": 7, "size": None, "side": 1, "seq": 6001},
        {"symbol": None, "time_us": 12, "price": None, "size": 3, "side": 0, "seq": 6002},
    ]
    return columns(rows).encode(5, "krx", 99)


@given(st.lists(SNAPSHOT, max_size=20), st.integers(1, wire.MAX_SEQ))
def test_columns_come_back_as_they_were(rows, seq):
    payload = columns(rows).encode(seq, "krx", 123)

    header = wire.parse_header(payload)
    assert (header.seq, header.feed, header.rows, header.captured_us) == (seq, "krx", len(rows), 123)
    assert header.encoding is wire.Encoding.COLUMNS
    assert in_the_finest_scale(payload) == [dict.fromkeys(DAY) | row for row in rows]


def in_the_finest_scale(payload):
    """The rows, sizes of a coarser scale multiplied."""
    ratio = 10 ** (wire.SIZE_SCALE - wire.parse_columns(payload, wire.parse_header(payload)).size_scale)
    sizes = ("size", "bid_size", "ask_size", "cum_volume")
    return [
        {name: value * ratio if name in sizes and value is not None else value for name, value in row.items()}
        for row in wire.decode_columns(payload)
    ]


@pytest.mark.parametrize(("sizes", "scale"), [((10**6, 100, 0), 4), ((10**6, 101), 6), ((), 4), ((-100, None), 4)])
def test_sizes_go_in_the_scale_that_servers_of_any_version_read_unless_one_is_finer(sizes, scale):
    payload = columns(
        [{"symbol": "A", "time_us": 1, "price": 1, "size": one, "ask_size": one} for one in sizes]
    ).encode(1, "krx", 0)

    assert wire.parse_columns(payload, wire.parse_header(payload)).size_scale == scale
    assert [row["size"] for row in in_the_finest_scale(payload)] == list(sizes)


@given(st.lists(ROW, max_size=5), st.sampled_from(["a", "krx", "abcdefgh", "abcdefgh_1234567"[:16]]))
def test_every_column_begins_at_a_multiple_of_eight(rows, feed):
    payload = columns(rows).encode(1, feed, 0)

    layout = wire.parse_columns(payload, wire.parse_header(payload))

    assert len(payload) % 8 == 0
    assert all(offset % 8 == 0 for offset in layout.offsets.values())


def test_a_column_without_values_takes_no_bytes():
    payload = some_batch()

    layout = wire.parse_columns(payload, wire.parse_header(payload))

    assert wire.Column.BID not in layout.offsets
    assert layout.symbols == ["ESH4", "005930"]


def test_other_scales_are_carried_along():
    payload = columns([{"symbol": "A", "price": 4_800_25, "size": 44}], price_scale=2, size_scale=0).encode(1, "x", 0)

    layout = wire.parse_columns(payload, wire.parse_header(payload))

    assert (layout.price_scale, layout.size_scale) == (2, 0)


@pytest.mark.parametrize("scales", [{"price_scale": 9}, {"price_scale": -1}, {"size_scale": 7}])
def test_a_scale_beyond_the_database_is_refused(scales):
    with pytest.raises(ValueError, match="price_scale is 0 to 8"):
        wire.Columns(**scales)


@pytest.mark.parametrize(
    "row",
    [{"symbol": ""}, {"symbol": "x" * 25}, {"symbol": "삼성"}, {"symbol": "a\n"}, {"price": 2**63}, {"price": 1.5},
     {"kind": 256}, {"side": -1}, {"trade_date": 2**31}],
)  # fmt: skip
def test_a_value_that_fits_no_column_is_the_senders_error(row):
    with pytest.raises(wire.BatchError, match="bad_batch"):
        columns([row]).encode(1, "krx", 0)


@pytest.mark.parametrize("feed", ["", "KRX", "a" * 17, "피드", "a-b"])
def test_a_feed_is_a_short_plain_word(feed):
    with pytest.raises(wire.BatchError, match="bad_batch_header"):
        wire.encode_rows(1, feed, 0, [])


def test_a_batch_cut_anywhere_is_refused():
    payload = some_batch()

    for end in range(len(payload)):
        with pytest.raises(wire.BatchError):
            wire.parse_columns(payload[:end], wire.parse_header(payload[:end]))
    with pytest.raises(wire.BatchError, match="bytes behind"):
        wire.parse_columns(payload + bytes(8), wire.parse_header(payload))


@given(st.data())
def test_any_changed_bytes_are_a_batch_or_a_batch_error(data):
    payload = bytearray(some_batch())
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    code = "bad_batch"
    try:
        header = wire.parse_header(payload)
        if header.encoding is wire.Encoding.COLUMNS:
            assert len(wire.decode_columns(payload)) == header.rows
        elif header.encoding is wire.Encoding.ROWS:
            wire.parse_rows(payload, header)
        elif header.encoding is wire.Encoding.BOOKS:
            wire.decode_books(payload)
        elif header.encoding is wire.Encoding.EVENTS:
            wire.parse_events(payload, header)
        else:
            wire.parse_gaps(payload, header)
    except wire.BatchError as error:
        code = error.code
    assert code in {"bad_batch_header", "bad_batch", "too_many_rows"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_a_batch_error(payload):
    with pytest.raises(wire.BatchError):
        wire.parse_columns(payload, wire.parse_header(payload))


def test_a_batch_of_5001_rows_is_told_so_before_it_is_looked_at():
    many = columns([{"symbol": "A", "price": 1}] * 5001).encode(1, "krx", 0)
    json_rows = wire.encode_rows(1, "krx", 0, [{}] * 5001)

    with pytest.raises(wire.BatchError, match="too_many_rows"):
        wire.parse_columns(many, wire.parse_header(many))
    with pytest.raises(wire.BatchError, match="too_many_rows"):
        wire.parse_rows(json_rows, wire.parse_header(json_rows))


@pytest.mark.parametrize("seq", [0, wire.MAX_SEQ + 1])
def test_a_number_outside_the_epoch_is_a_wrong_header(seq):
    with pytest.raises(wire.BatchError, match="bad_batch_header"):
        wire.parse_header(wire.reseq(some_batch(), seq))


def test_a_batch_under_another_number_is_otherwise_the_same():
    payload = wire.reseq(some_batch(), 77)

    assert wire.parse_header(payload).seq == 77
    assert payload[8:] == some_batch()[8:]


def test_the_numbers_of_json_rows_are_never_rounded():
    text = (
        b'[{"price":0.1000000000000000055511151231257827,"size":12345678901234567890123456789,"bid":NaN,"ask":-Infinity,'
        b'"seq":9007199254740993,"cum_volume":1e999,"symbol":"\xea\xb0\x80"}]'
    )
    payload = wire.encode_rows(1, "krx", 0, [{}])[:40] + text

    assert wire.parse_rows(payload, wire.parse_header(payload)) == [
        {
            "price": "0.1000000000000000055511151231257827",
            "size": "12345678901234567890123456789",
            "bid": "NaN",
            "ask": "-Infinity",
            "seq": 9007199254740993,
            "cum_volume": "1e999",
            "symbol": "가",
        }
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"[{},{}]", b"[" * 100_000, b"\xff", b"nonsense"])
def test_rows_that_are_no_array_of_the_announced_length_are_refused(body):
    payload = wire.encode_rows(1, "krx", 0, [{}])[:40] + body

    with pytest.raises(wire.BatchError, match="bad_batch"):
        wire.parse_rows(payload, wire.parse_header(payload))


def test_a_tick_without_figures_of_the_day_is_written_as_before_there_were_any():
    some = columns([{"symbol": "A", "time_us": 1, "kind": 3, "price": 5, "open": None}]).encode(1, "krx", 0)
    none = columns([{"symbol": "A", "time_us": 1, "kind": 3, "price": 5}]).encode(1, "krx", 0)

    assert some == none
    with pytest.raises(TypeError, match="opening"):
        wire.Columns().append(symbol="A", opening=1)
