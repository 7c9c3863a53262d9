"""Frames survive any cut, and no damaged byte passes for a frame."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import wire

PAYLOADS = st.binary(max_size=64)
FRAMES = st.lists(st.tuples(st.sampled_from(wire.FrameType), PAYLOADS), max_size=8)


def drain(decoder):
    """Every frame that is whole."""
    frames = []
    while (frame := decoder.next()) is not None:
        frames.append(frame)
    return frames


@pytest.mark.parametrize("type", wire.FrameType)
def test_every_type_of_frame_comes_back_as_it_was(type):
    decoder = wire.FrameDecoder()

    decoder.feed(wire.encode(type, b"payload"))

    assert decoder.next() == wire.Frame(type, b"payload")
    assert decoder.next() is None
    assert not decoder.partial


def test_the_bytes_of_a_frame_are_what_the_document_says():
    assert wire.encode(wire.FrameType.BYE, b"{}").hex() == "02000000" + "01" + "0b" + "0000" + "43f78cb9" + "7b7d"


def test_a_stream_may_be_cut_at_every_byte():
    stream = wire.encode(wire.FrameType.HEARTBEAT, b"one") + wire.encode(wire.FrameType.BATCH, b"") * 2

    for cut in range(len(stream) + 1):
        decoder = wire.FrameDecoder()
        decoder.feed(stream[:cut])
        before = drain(decoder)
        assert decoder.partial == (decoder.buffered > 0)
        decoder.feed(memoryview(stream)[cut:])

        assert [frame.payload for frame in before + drain(decoder)] == [b"one", b"", b""]


@given(FRAMES, st.lists(st.integers(0, 600), max_size=12))
def test_frames_come_out_in_order_however_the_bytes_come_in(frames, cuts):
    stream = b"".join(wire.encode(type, payload) for type, payload in frames)
    decoder, out = wire.FrameDecoder(), []

    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        decoder.feed(stream[start:end])
        out += drain(decoder)

    assert [(frame.type, frame.payload) for frame in out] == frames


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(0, 2000))
def test_any_bytes_in_any_cuts_are_frames_or_a_framing_error(pieces, max_payload):
    decoder, code = wire.FrameDecoder(max_payload), "frame_too_long"
    try:
        for piece in pieces:
            decoder.feed(piece)
            for frame in drain(decoder):
                assert len(frame.payload) <= max_payload
    except wire.FramingError as error:
        code = error.code
    assert code in {"frame_too_long", "bad_crc", "unknown_version", "unknown_type", "unknown_flags"}


@given(st.binary(min_size=1, max_size=30), st.data())
def test_one_wrong_byte_never_gives_a_frame(payload, data):
    frame = bytearray(wire.encode(wire.FrameType.BATCH, payload))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    decoder = wire.FrameDecoder()

    decoder.feed(bytes(frame))

    try:
        assert decoder.next() is None, "a longer frame may be waited for, a wrong one not given out"
    except wire.FramingError:
        assert decoder.buffered == 0


def test_every_flipped_bit_is_detected():
    frame = wire.encode(wire.FrameType.ACK, b'{"recv":1}')

    for bit in range(len(frame) * 8):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        decoder = wire.FrameDecoder(1000)
        decoder.feed(bytes(damaged))
        try:
            assert decoder.next() is None
        except wire.FramingError:
            continue


def test_a_length_that_is_too_long_is_noticed_before_its_payload_is_kept():
    decoder = wire.FrameDecoder(wire.HELLO_BYTES)

    decoder.feed((wire.HELLO_BYTES + 1).to_bytes(4, "little"))
    decoder.feed(bytes(100_000))

    assert decoder.buffered == 0
    with pytest.raises(wire.FramingError, match="frame_too_long"):
        decoder.next()


def test_the_allowed_length_may_grow_after_the_welcome():
    decoder = wire.FrameDecoder(wire.HELLO_BYTES)
    decoder.max_payload = wire.FRAME_BYTES

    decoder.feed(wire.encode(wire.FrameType.BATCH, bytes(wire.FRAME_BYTES)))

    assert decoder.next() == wire.Frame(wire.FrameType.BATCH, bytes(wire.FRAME_BYTES))


def test_nobody_encodes_a_frame_that_is_too_long():
    with pytest.raises(wire.FramingError, match="frame_too_long"):
        wire.encode(wire.FrameType.BATCH, bytes(wire.FRAME_BYTES + 1))


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [(4, 2, "unknown_version"), (5, 0, "unknown_type"), (5, 13, "unknown_type"), (6, 1, "unknown_flags"),
     (7, 1, "unknown_flags"), (8, 1, "bad_crc"), (12, 1, "bad_crc")],
)  # fmt: skip
def test_each_field_of_the_header_has_its_error_and_the_decoder_is_finished(at, value, code):
    frame = bytearray(wire.encode(wire.FrameType.BYE, b"{}"))
    frame[at] = value
    decoder = wire.FrameDecoder()
    decoder.feed(bytes(frame))

    for _ in range(2):
        with pytest.raises(wire.FramingError) as caught:
            decoder.next()
        assert caught.value.code == code
    decoder.feed(wire.encode(wire.FrameType.BYE, b"{}"))
    assert decoder.buffered == 0


def test_a_long_frame_byte_by_byte_and_many_frames_at_once_stay_linear():
    # Not timed: with a decoder that moves its buffer at each step these would be 10^10 bytes moved.
    long, decoder = wire.encode(wire.FrameType.BATCH, bytes(200_000)), wire.FrameDecoder()
    for number in range(len(long)):
        decoder.feed(long[number : number + 1])
    assert decoder.next() is not None

    decoder.feed(wire.encode(wire.FrameType.BYE, b"{}") * 40_000)
    assert len(drain(decoder)) == 40_000
