import json
import struct
from decimal import Decimal, localcontext

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.types import decoded_batches, decoding, tick_arrays
from marketdata.types.decoded_batches import Decoded, WireBatch
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, GREATEST, NO_DATE
from terminals import wire
from tests import market

BATCH = tick_arrays.batch_number(7, 9)
PRICES = ("price", "bid", "ask")
SIZES = ("size", "bid_size", "ask_size", "cum_volume")


def decoded(payload: bytes) -> Decoded:
    return decoding.from_wire(payload, source_id=4, batch=BATCH)


def of_rows(*rows: object) -> Decoded:
    """A batch of JSON rows, whatever they are."""
    body = json.dumps(rows).encode()
    header = wire.encode_rows(1, "krx", 1, [])[:-2]
    return decoded(header[:12] + struct.pack("<I", len(rows)) + header[16:] + body)


def faults(of: Decoded) -> list[int]:
    return [int(fault) for fault in of.faults]


# --- several batches at once ----------------------------------------------------------------------------------------


def packed(rows: list[dict[str, object]], seq: int, *, feed: str = "krx", price_scale: int = 8) -> bytes:
    columns = wire.Columns(price_scale=price_scale)
    for row in rows:
        columns.append(**row)  # type: ignore[arg-type]
    return columns.encode(seq, feed, 1)


def named(ticks: tick_arrays.Ticks) -> list[tuple[object, ...]]:
    """Rows with the symbol's name in place of its number."""
    names = [*ticks.symbols, None]
    rest = [getattr(ticks, name).tolist() for name in tick_arrays.COLUMNS if name != "symbol"]
    return list(zip([names[index] for index in ticks.symbol.tolist()], *rest, strict=True))


def test_batches_decoded_together_are_what_each_is_alone_and_keep_their_order():
    trades: list[dict[str, object]] = [
        {"symbol": code, "time_us": at, "price": at, "size": 5} for at, code in enumerate(("A", "B", "A"), 1)
    ]
    quotes: list[dict[str, object]] = [
        {"symbol": "C", "time_us": 9, "kind": 2, "bid": 1, "ask_size": 3},
        {"time_us": 8, "trade_date": 20_000},
    ]
    payloads = [
        packed(trades, 1),
        packed(quotes, 2),  # columns the first does not have, and a row without a symbol
        packed([{"symbol": "B", "time_us": 7, "price": GREATEST}], 3, price_scale=2),  # too large: a fault of its own
        wire.encode_rows(4, "krx", 1, [{"symbol": "A", "time": 6, "price": "1"}, {"symbol": 5}]),
        packed([], 5),
        packed(trades[:1], 6, feed="nxt"),
        packed(trades[1:], 7)[:-8],  # cut short
        packed(trades[:2], 8),
        wire.encode_gap(9, "krx", 1, 5, 6, 7, "disk full"),
    ]
    given = [
        WireBatch(payload, source_id=4, batch=tick_arrays.batch_number(7, seq))
        for seq, payload in enumerate(payloads, 1)
    ]

    together = decoding.decode_together(given)

    assert isinstance(together[6], wire.BatchError)
    found = [one for one in together if isinstance(one, Decoded)]
    alone = [decoding.from_wire(one.payload, source_id=4, batch=one.batch) for one in given if one is not given[6]]
    for one, other in zip(found, alone, strict=True):
        assert one.header == other.header
        assert one.symbols == other.symbols
        assert one.gaps == other.gaps
        assert named(one.ticks) == named(other.ticks)
        assert one.faults.tolist() == other.faults.tolist()
        assert [one.record(row) for row in range(len(one.ticks))] == [other.record(r) for r in range(len(other.ticks))]
    of_feed = [one for one in found if one.header.feed == "krx"]
    ticks, faults_found = decoded_batches.joined(of_feed)
    assert named(ticks) == [row for one in of_feed for row in named(one.ticks)]
    assert faults_found.tolist() == [fault for one in of_feed for fault in one.faults.tolist()]


def test_more_rows_than_the_longest_batch_are_decoded_together():
    rows: list[dict[str, object]] = [{"symbol": f"S{at % 3}", "time_us": at} for at in range(wire.BATCH_ROWS)]
    given = [WireBatch(packed(rows, seq), 4, tick_arrays.batch_number(7, seq)) for seq in (1, 2)]

    found = [one for one in decoding.decode_together(given) if isinstance(one, Decoded)]

    ticks, _ = decoded_batches.joined(found)
    assert len(ticks) == 2 * wire.BATCH_ROWS
    assert ticks.symbols == ["S0", "S1", "S2"]
    assert (ticks.price == ABSENT).all()
    assert ticks.tick_id[wire.BATCH_ROWS] == tick_arrays.batch_number(7, 2) << tick_arrays.TICK_BITS


# --- columns -------------------------------------------------------------------------------------------------------

_number = st.one_of(st.none(), st.integers(-GREATEST, GREATEST))
_row = st.fixed_dictionaries(
    {
        **dict.fromkeys(PRICES + SIZES, _number),
        "symbol": st.one_of(st.none(), st.sampled_from(["005930", "ESH4", "BRK.B"])),
        "time_us": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
        "kind": st.integers(0, 6),
        "side": st.one_of(st.none(), st.integers(0, 2)),
        "seq": st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1)),
        "trade_date": st.one_of(st.none(), st.integers(-(2**31) + 1, 2**31 - 1)),
    }
)


@given(st.lists(_row, max_size=12))
def test_columns_become_arrays_with_every_value_in_its_place(rows):
    columns = wire.Columns()
    for row in rows:
        columns.append(**row)

    found = decoded(columns.encode(1, "krx", 1))

    absent = dict.fromkeys(tick_arrays.COLUMNS, ABSENT) | {"side": 0, "trade_date": NO_DATE, "symbol": None}
    for at, row in enumerate(market.rows_of(found.ticks)):
        wanted = {name: absent[name] if value is None else value for name, value in rows[at].items()}
        assert row == {**wanted, "tick_id": BATCH << 13 | at}
    assert faults(found) == [0] * len(rows)
    assert (found.ticks.feed, found.ticks.source_id) == ("krx", 4)


def test_what_was_not_given_is_shared_by_all_batches_so_nobody_can_write_into_it():
    columns = wire.Columns()
    for _ in range(wire.BATCH_ROWS):
        columns.append(symbol="A", time_us=1, price=1)

    found = decoded(columns.encode(1, "krx", 1)).ticks

    assert (found.bid == ABSENT).all()
    assert (len(found.bid), (found.trade_date == NO_DATE).all()) == (wire.BATCH_ROWS, True)
    with pytest.raises(ValueError, match="read-only"):
        found.bid[0] = 1


@given(st.integers(0, 8), st.integers(0, 6), st.lists(st.one_of(st.none(), st.integers(-(2**63) + 1, 2**63 - 1))))
def test_rescaling_a_column_is_rescaling_each_of_its_numbers(price_scale, size_scale, mantissas):
    columns, alone = wire.Columns(price_scale, size_scale), []
    for mantissa in mantissas:
        one = wire.Columns(price_scale, size_scale)
        for rows in (columns, one):
            rows.append(symbol="A", time_us=1, price=mantissa, size=mantissa)
        alone.append(decoded(one.encode(1, "krx", 1)))

    found = decoded(columns.encode(1, "krx", 1))

    assert found.ticks.price.tolist() == [int(one.ticks.price[0]) for one in alone]
    assert found.ticks.size.tolist() == [int(one.ticks.size[0]) for one in alone]
    assert faults(found) == [faults(one)[0] for one in alone]


@given(st.integers(0, 8), st.integers(0, 6), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_number_of_any_scale_is_rescaled_exactly_or_said_to_be_out_of_range(price_scale, size_scale, mantissa):
    columns = wire.Columns(price_scale, size_scale)
    columns.append(symbol="A", time_us=1, price=mantissa, size=mantissa)

    found = decoded(columns.encode(1, "krx", 1))

    for name, scale, least, fault in (
        ("price", price_scale, 8, Fault.PRICE_OUT_OF_RANGE),
        ("size", size_scale, 6, Fault.SIZE_OUT_OF_RANGE),
    ):
        exact = mantissa * 10 ** (least - scale)
        value = int(getattr(found.ticks, name)[0])
        assert value == (exact if abs(exact) <= GREATEST else ABSENT)
        assert bool(faults(found)[0] & fault) == (abs(exact) > GREATEST)


def test_a_column_left_out_is_absent_in_every_row():
    columns = wire.Columns()
    columns.append(symbol="A", time_us=1, price=5, size=6)
    columns.append(symbol="A", time_us=2, price=5, size=6)

    found = decoded(columns.encode(1, "krx", 1))

    assert found.ticks.bid.tolist() == [ABSENT, ABSENT]
    assert found.ticks.side.tolist() == [0, 0]


def test_the_symbol_index_of_nobody_is_no_symbol():
    columns = wire.Columns()
    columns.append(symbol="A", time_us=1, price=5, size=6)
    payload = bytearray(columns.encode(1, "krx", 1))
    offset = wire.parse_columns(payload, wire.parse_header(payload)).offsets[wire.Column.SYMBOL]
    payload[offset : offset + 2] = b"\x05\x00"

    assert decoded(bytes(payload)).ticks.symbol.tolist() == [-1]


def test_a_batch_that_cannot_be_read_is_an_error_and_not_a_crash():
    columns = wire.Columns()
    columns.append(symbol="A", time_us=1, price=5, size=6)
    whole = columns.encode(1, "krx", 1)

    for end in range(len(whole)):
        with pytest.raises(wire.BatchError):
            decoded(whole[:end])


# --- rows ----------------------------------------------------------------------------------------------------------

_digits = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**10) + 1, max_value=10**10 - 1)


@given(st.lists(_digits, min_size=1, max_size=5))
def test_a_price_written_as_text_or_number_is_taken_to_its_last_digit(prices):
    for written in ([str(price) for price in prices], [f"{price:f}" for price in prices]):
        found = of_rows(*({"symbol": "A", "time": 1, "price": text, "size": 1} for text in written))

        with localcontext(prec=60):
            assert found.ticks.price.tolist() == [int(price.scaleb(8)) for price in prices]
        assert not any(faults(found))


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("70000", "70000"), ("70000.5", "70000.5"), ("+1.25", "1.25"), ("1.", "1"), ("7e4", "70000"),
        ("7E-4", "0.0007"),
        ("0.00000001", "0.00000001"), ("9999999999.99999999", "9999999999.99999999"), ("000070000", "70000"),
        ("100000000e-16", "0.00000001"), ("0e999", "0"), (" 5 ", "5"), ("1.000000000000", "1"),
    ],
)  # fmt: skip
def test_decimal_text_of_any_form_is_exact(text, exact):
    found = of_rows({"symbol": "A", "time": 1, "price": text, "size": 1})

    assert found.ticks.price.tolist() == [market.price(exact)]
    assert faults(found) == [0]


NO_PRICES: dict[Fault, list[object]] = {
    Fault.PRICE_OUT_OF_RANGE: ["1e10", 10**30],
    Fault.PRICE_TOO_PRECISE: ["0.000000001", "1e-9", "1e-300"],
    Fault.PRICE_NOT_FINITE: ["NaN", "-inf", "+Infinity", float("nan"), float("-inf")],
    Fault.PRICE_NOT_A_NUMBER: [
        *("9" * 41, "1e99999", "1_000", "1,000", "０", "0x10", "1.2.3", "--1", "e5", "seventy"),
        *(True, {}, [1]),
    ],
}


@pytest.mark.parametrize(
    ("fault", "value"), [(fault, value) for fault, values in NO_PRICES.items() for value in values]
)
def test_what_is_no_price_is_said_and_not_guessed(fault, value):
    found = of_rows({"symbol": "A", "time": 1, "price": value, "size": 1})

    assert faults(found) == [int(fault)]
    assert found.ticks.price.tolist() == [ABSENT]


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(
                st.sampled_from(["symbol", "time", "kind", "price", "size", "side", "seq", "bid", "trade_date", "x"]),
                inner,
            ),
        ),
        max_leaves=20,
    )
)
def test_any_json_at_all_as_a_row_is_a_tick_or_a_fault(value):
    found = of_rows(value, {"symbol": "A", "time": 1, "price": 1, "size": 1})

    assert len(found.ticks) == 2
    assert faults(found)[1] == 0
    assert (faults(found)[0] == Fault.NOT_AN_OBJECT) == (not isinstance(value, dict))
    found.record(0).encode("utf-8")


@pytest.mark.parametrize(
    ("time", "time_us"),
    [
        ("2026-03-16T09:00:00+09:00", market.NINE_US),
        ("2026-03-16T00:00:00Z", market.NINE_US),
        ("2026-03-16T00:00:00.000001Z", market.NINE_US + 1),
        ("2026-03-15T19:00:00-05:00", market.NINE_US),
        (market.NINE_US, market.NINE_US),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_a_time_with_its_offset_is_an_instant(time, time_us):
    assert of_rows({"time": time}).ticks.time_us.tolist() == [time_us]


@pytest.mark.parametrize("time", ["2026-03-16T09:00:00", "09:00", 1.5, "", True, [], 2**63, -(2**63) - 1, "2026-13-01"])
def test_a_time_that_names_no_instant_is_none(time):
    found = of_rows({"time": time})

    assert found.ticks.time_us.tolist() == [ABSENT]
    assert faults(found) == [0 if time == "" else int(Fault.TIME_MALFORMED)]


def test_a_row_is_a_trade_unless_it_says_otherwise():
    kinds = of_rows({}, {"kind": "quote"}, {"kind": "snapshot"}, {"kind": "expected"}, {"kind": ""})

    assert kinds.ticks.kind.tolist() == [1, 2, 3, 4, 1]


def test_a_row_that_is_no_object_is_no_trade_either():
    assert of_rows([]).ticks.kind.tolist() == [0]


# --- numbers and names ---------------------------------------------------------------------------------------------


@given(st.integers(1, 2**18 - 1), st.integers(1, 2**32 - 1), st.integers(0, 4999))
def test_a_tick_id_names_its_stream_its_batch_and_its_row(stream, seq, row):
    number = market.tick_id(seq, row, stream=stream)

    assert (number >> 45, number >> 13 & 0xFFFFFFFF, number & 0x1FFF) == (stream, seq, row)
    assert number < 2**63


@pytest.mark.parametrize(("stream", "seq"), [(0, 1), (1, 0), (2**18, 1), (1, 2**32)])
def test_a_batch_number_that_would_not_fit_is_refused(stream, seq):
    with pytest.raises(ValueError, match="bits"):
        tick_arrays.batch_number(stream, seq)


@given(st.integers(-GREATEST, GREATEST), st.sampled_from([4, 8]))
def test_a_number_as_text_is_the_number(value, scale):
    text = tick_arrays.decimal_text(value, scale)

    assert tick_arrays.decimal_texts(np.array([value, 0, -value], np.int64), scale) == [
        text, "0", tick_arrays.decimal_text(-value, scale)
    ]  # fmt: skip

    least = np.iinfo(np.int64).min
    assert tick_arrays.decimal_texts(np.array([least]), scale) == [tick_arrays.decimal_text(int(least), scale)]

    assert Decimal(text) == Decimal(value).scaleb(-scale)
    assert "E" not in text
    assert not text.endswith((".", "-0")) or value == 0


# --- joining and packing -------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.sampled_from(["A", "B", "C", None]), max_size=4), min_size=1, max_size=4))
def test_batches_joined_keep_each_rows_own_symbol(parts):
    made = []
    for at, symbols in enumerate(parts):
        one = market.ticks([{"symbol": symbol or "A", "tick_id": at * 10 + row} for row, symbol in enumerate(symbols)])
        one.symbol[[row for row, symbol in enumerate(symbols) if symbol is None]] = -1
        made.append(one)

    joined = tick_arrays.concatenate(made)

    assert market.rows_of(joined) == [row for part in made for row in market.rows_of(part)]


@given(st.lists(_row, max_size=6))
def test_what_is_packed_for_the_feed_is_unpacked_the_same(rows):
    columns = wire.Columns()
    for row in rows:
        columns.append(**row)
    ticks = decoded(columns.encode(1, "krx", 1)).ticks

    again = tick_arrays.unpack(tick_arrays.pack(ticks))

    assert market.same(again, ticks)
    assert (again.feed, again.source_id, again.symbols) == (ticks.feed, ticks.source_id, ticks.symbols)


def test_a_record_shows_what_was_given_in_plain_decimals():
    columns = wire.Columns()
    columns.append(symbol="A", time_us=5, price=market.price("-1.50"), size=market.size("3"), side=2, seq=8)
    columns.append(kind=9, symbol=None)

    found = decoded(columns.encode(1, "krx", 1))

    assert json.loads(found.record(0)) == {
        "symbol": "A", "time_us": 5, "kind": "trade", "side": "sell", "price": "-1.5", "size": "3", "seq": 8,
    }  # fmt: skip
    assert json.loads(found.record(1)) == {"symbol": None, "time_us": None, "kind": 9}


def test_only_symbols_that_occur_are_named():
    ticks = market.ticks([{"symbol": "A"}, {"symbol": "B"}, {"symbol": "C"}]).take(np.array([0, 2]))

    assert list(tick_arrays.used_symbols(ticks)) == ["A", "C"]


def test_ticks_that_were_packed_when_sizes_had_four_places_have_six_now():
    ticks = market.ticks([{"size": market.size("12.0001"), "cum_volume": market.size("7")}, {"size": ABSENT}])
    feed, source_id, rows, symbols, columns, scale = msgpack.unpackb(tick_arrays.pack(ticks))
    for name in ("size", "cum_volume"):
        values = np.frombuffer(columns[name], "<i8")
        columns[name] = np.where(values == ABSENT, ABSENT, values // 100).astype("<i8").tobytes()

    again = tick_arrays.unpack(msgpack.packb([feed, source_id, rows, symbols, columns]))

    assert scale == 6
    assert market.same(again, ticks)
