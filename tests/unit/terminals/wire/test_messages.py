"""Control messages are strict about what they read and deaf to what they do not know."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

HEX = "0f" * 32
MESSAGES = [
    wire.Challenge(HEX, (1,), {"hello_bytes": 4096}, {"hello_s": 5.0, "dead_s": 15}),
    wire.Hello("한국단말", "0123456789abcdef", HEX, 1, 0, "REPLAY", "CME", "agent/1", 1, HEX),
    wire.Hello("t1", "0123456789abcdef", HEX, 7, 9, "KIS", None, "agent/1", 1, HEX),
    wire.Welcome(HEX, "s-1", 12, ((14, 15), (17, 17)), 64, 1, 15),
    wire.Ack(20, 12, ((14, 15),), 0),
    wire.Reject(3, "rows", "세 행", 3, {"symbol_unknown": 2, "price_missing": 1}),
    wire.Heartbeat(1_700_000_000_000_000, 4),
    wire.Heartbeat(1_700_000_000_000_000, 4, dropped=7),
    wire.Audit(((1, 12),), 12_000),
    wire.Missing(()),
    wire.GoAway("superseded", "a newer session", 2.5),
    wire.Bye(),
    wire.Error("not_authorised", "no"),
]
GOOD_HELLO = json.loads(MESSAGES[2].encode()[wire.HEADER_BYTES :])


def frame(type, content):
    return wire.Frame(type, json.dumps(content).encode() if not isinstance(content, bytes) else content)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_comes_back_as_it_was(message):
    decoder = wire.FrameDecoder()
    decoder.feed(message.encode())

    whole = decoder.next()
    assert whole is not None
    assert wire.decode(whole) == message


def test_a_field_of_a_later_version_is_let_pass():
    assert wire.decode(frame(wire.FrameType.HELLO, {**GOOD_HELLO, "later": [{}]})) == MESSAGES[2]


@pytest.mark.parametrize("name", GOOD_HELLO)
def test_every_field_is_needed(name):
    content = {key: value for key, value in GOOD_HELLO.items() if key != name}

    with pytest.raises(wire.MessageError, match=f"lacks the field {name}") as caught:
        wire.decode(frame(wire.FrameType.HELLO, content))
    assert caught.value.code == "bad_message"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client", ""), ("client", 1), ("client", "a\nb"), ("client", "x" * 65), ("client", "\ud800"),
        ("epoch", "0123456789ABCDEF"), ("epoch", "0" * 15), ("nonce", HEX + "0"), ("proof", None),
        ("first", True), ("first", 0), ("first", 1.0), ("first", "1"), ("last", -1), ("last", 2**63),
        ("source", "replay"), ("source", "X" * 17), ("register_market", ""), ("register_market", 3), ("time_us", 1e18),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_type_or_size_is_named(name, value):
    with pytest.raises(wire.MessageError, match=f"HELLO.{name} must"):
        wire.decode(frame(wire.FrameType.HELLO, {**GOOD_HELLO, name: value}))


@pytest.mark.parametrize("ranges", [None, {}, [[1]], [[2, 1]], [[0, 1]], [[1, True]], [[1, 1]] * 4097])
def test_ranges_are_pairs_that_go_up(ranges):
    with pytest.raises(wire.MessageError, match="bad_message"):
        wire.decode(frame(wire.FrameType.MISSING, {"ranges": ranges}))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"1", b"\xff", b'{"ranges":NaN}', b'{"a":-Infinity}', b"[" * 200_000, b'{"a":' * 100_000,
     b'{"n":' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_json_object_is_told_so(payload):
    with pytest.raises(wire.MessageError, match="bad_json"):
        wire.decode(frame(wire.FrameType.MISSING, payload))


def test_an_infinite_number_of_seconds_is_refused():
    payload = b'{"code":"shutting_down","message":"","retry_after_s":1e999}'

    with pytest.raises(wire.MessageError, match="retry_after_s"):
        wire.decode(frame(wire.FrameType.GOAWAY, payload))


def test_a_batch_is_no_control_message():
    with pytest.raises(wire.MessageError, match="unexpected_frame"):
        wire.decode(frame(wire.FrameType.BATCH, {}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(wire.FrameType), st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_payload_is_a_message_or_a_message_error(type, payload):
    code = "bad_json"
    try:
        wire.decode(wire.Frame(type, payload))
    except wire.MessageError as error:
        code = error.code
    assert code in {"bad_json", "bad_message", "unexpected_frame"}


@given(st.sampled_from(MESSAGES), st.data())
def test_any_value_in_any_field_is_a_message_or_a_message_error(message, data):
    content = json.loads(message.encode()[wire.HEADER_BYTES :])
    if content:
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(JSON)
    code = "bad_json"
    try:
        assert wire.decode(frame(message.type, content)).encode()
    except wire.MessageError as error:
        code = error.code
    assert code in {"bad_json", "bad_message"}
