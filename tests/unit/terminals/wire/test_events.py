"""Events come back as JSON has them; what no database takes is refused before it is sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def batch(rows):
    events = wire.Events()
    for row in rows:
        events.append(**row)
    return events


def parsed(payload):
    return wire.parse_events(payload, wire.parse_header(payload))


@given(st.dictionaries(TEXT, VALUE, max_size=4), st.integers(-(2**63) + 1, 2**63 - 1))
def test_an_event_comes_back_as_it_was(body, time_us):
    payload = batch([{"event": "vi", "kind": wire.Kind.STATUS, "time_us": time_us, "body": body}]).encode(3, "krx", 5)

    assert wire.parse_header(payload).encoding is wire.Encoding.EVENTS
    assert parsed(payload) == [{"event": "vi", "time": time_us, "body": body}]


def test_what_is_absent_is_left_out_and_a_date_is_written_as_one():
    payload = batch(
        [
            {"event": "market_status", "time_us": 1, "symbol": None},
            {"event": "halt", "symbol": "005930", "trade_date": 20_000},
        ]
    ).encode(1, "krx", 0)

    assert parsed(payload) == [
        {"event": "market_status", "time": 1, "body": {}},
        {"event": "halt", "symbol": "005930", "trade_date": "2024-10-04", "body": {}},
    ]


def nested(levels):
    value: dict[str, object] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "row",
    [{"event": None}, {"event": "VI"}, {"event": "x" * 33}, {"symbol": "삼성"}, {"time_us": 1.5}, {"time_us": True},
     {"seq": 2**63}, {"trade_date": "2024-10-04"}, {"trade_date": 10**12}, {"price": 1}, {"body": []}, {"body": "x"},
     {"body": {"a": float("nan")}}, {"body": {"a": float("inf")}}, {"body": {"a": "\0"}}, {"body": {"\0": 1}},
     {"body": {1: 1}}, {"body": {"a": "\ud800"}}, {"body": {"a": object()}}, {"body": nested(17)},
     {"body": {"a": "x" * 4096}}],
)  # fmt: skip
def test_an_event_that_can_be_none_is_the_senders_error(row):
    with pytest.raises(wire.BatchError, match="bad_batch"):
        batch([{"event": "vi", "time_us": 1, **row}])


def test_the_deepest_and_the_longest_body_are_taken():
    deep, long = nested(wire.BODY_DEPTH), {"a": "x" * (wire.BODY_BYTES - 8)}

    assert len(wire.check_body(long)) == wire.BODY_BYTES
    payload = batch([{"event": "a", "body": one} for one in (deep, long)]).encode(1, "x", 0)
    assert [row["body"] for row in parsed(payload)] == [deep, long]


def test_a_batch_of_long_events_is_full_before_its_frame_is():
    events = wire.Events()
    while not events.full:
        events.append(event="vi", body={"a": "가" * 1300})

    assert 10 < len(events) < 500
    assert len(events.encode(1, "krx", 0)) < wire.FRAME_BYTES / 2


def test_a_nan_in_a_body_reaches_the_judge_as_one():
    payload = batch([{"event": "vi"}]).encode(1, "krx", 0)[:40] + b'[{"event":"vi","body":{"a":NaN}}]'

    (row,) = parsed(payload)

    with pytest.raises(wire.BatchError):
        wire.check_body(row["body"])


@given(st.binary(max_size=200))
def test_any_bytes_are_events_or_a_batch_error(body):
    payload = batch([{"event": "vi"}]).encode(1, "krx", 0)[:40] + body
    code = "bad_batch"
    try:
        assert len(parsed(payload)) == 1
    except wire.BatchError as error:
        code = error.code
    assert code == "bad_batch"


def test_events_cut_anywhere_are_refused():
    payload = batch([{"event": "vi", "time_us": 1, "body": {"상태": "개시"}}]).encode(1, "krx", 0)

    for end in range(len(payload)):
        with pytest.raises(wire.BatchError):
            parsed(payload[:end])
    assert json.loads(payload[40:]) == parsed(payload)
