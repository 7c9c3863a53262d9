import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.session import BatchReceived, Session, State
from terminals import wire
from tests.fakes import FakeClock

SECRET = wire.new_secret()
ROW = wire.encode_rows(1, "krx", 1, [{"symbol": "005930"}])


class Line:
    """A session and what it says, with a clock that only the test moves."""

    def __init__(self, *, binding: str = "") -> None:
        self.clock = FakeClock()
        self.session = Session(now=self.clock(), channel_binding=binding)
        self.said = self.messages()

    def give(self, data: bytes):
        return self.session.receive(data, self.clock())

    def messages(self) -> list[wire.Message]:
        """What the session wants to be sent since the last call."""
        decoder = wire.FrameDecoder()
        decoder.feed(bytes(self.session.outgoing))
        self.session.outgoing.clear()
        found = []
        while (frame := decoder.next()) is not None:
            found.append(wire.decode(frame))
        return found

    def wait(self, seconds: float) -> list[wire.Message]:
        self.session.tick(self.clock.advance(seconds), 1)
        return self.messages()

    def refusal(self) -> str:
        """The code with which the session ends; nothing is said after it."""
        errors = [message for message in self.messages() if isinstance(message, wire.Error)]
        assert len(errors) == 1
        assert self.session.closing
        assert self.session.error == errors[0].code
        return errors[0].code


def hello(**other) -> wire.Hello:
    fields = {
        "client": "desk", "epoch": "ab" * 8, "nonce": "cd" * 32, "first": 1, "last": 0, "source": "REPLAY",
        "register_market": None, "agent": "test", "time_us": 1, "proof": "ef" * 32,
    }  # fmt: skip
    return wire.Hello(**{**fields, **other})


def opened(*, commit: int = 0) -> Line:
    """A line that was let in."""
    line = Line()
    line.give(hello().encode())
    line.session.welcome(session="s", proof="00" * 32, commit=commit, ranges=[], credit=64)
    line.said = line.messages()
    return line


def frame(kind: int, payload: bytes, *, version: int = 1, flags: int = 0, crc: int = 0) -> bytes:
    head = struct.pack("<IBBH", len(payload), version, kind, flags)
    return head + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head)) ^ crc) + payload


def batch(seq: int) -> bytes:
    return frame(wire.FrameType.BATCH, wire.reseq(ROW, seq))


# --- the way in ----------------------------------------------------------------------------------------------------


def test_a_session_begins_with_a_challenge_that_tells_the_rules():
    (challenge,) = Line().said

    assert isinstance(challenge, wire.Challenge)
    assert challenge.limits["batch_rows"] == wire.BATCH_ROWS
    assert challenge.timers["dead_s"] == wire.DEAD_S


def test_no_two_sessions_have_the_same_nonce():
    assert len({Session(now=0.0).nonce for _ in range(20)}) == 20


@given(st.integers(0, 400), st.lists(st.integers(1, 40)))
def test_a_hello_in_any_pieces_is_one_hello(at, cuts):
    line, data, events = Line(), hello().encode(), []

    while data:
        size = cuts.pop() if cuts else max(1, at)
        events += line.give(data[:size])
        data = data[size:]

    assert events == [hello()]
    assert line.session.state is State.CHECKING
    assert line.messages() == []


def test_the_proof_signs_what_the_client_asked_for_and_the_channel_it_came_by():
    line, other = Line(binding="aa"), Line(binding="bb")

    messages = {
        line.session.auth_message(hello()),
        line.session.auth_message(hello(register_market="CME")),
        line.session.auth_message(hello(last=5)),
        line.session.auth_message(hello(epoch="00" * 8)),
        other.session.auth_message(hello()),
    }

    assert len(messages) == 5


def test_the_long_frames_of_batches_are_allowed_only_after_the_welcome():
    long = wire.encode_rows(1, "krx", 1, [{"note": "x" * wire.HELLO_BYTES}])
    stranger, client = Line(), opened()

    stranger.give(frame(wire.FrameType.BATCH, long))
    events = client.give(frame(wire.FrameType.BATCH, long))

    assert stranger.refusal() == "frame_too_long"
    assert [event.seq for event in events] == [1]


# --- every refusal -------------------------------------------------------------------------------------------------

STRANGER = {
    "frame_too_long": struct.pack("<I", wire.HELLO_BYTES + 1),
    "bad_crc": frame(wire.FrameType.HELLO, b"{}", crc=1),
    "unknown_version": frame(wire.FrameType.HELLO, b"{}", version=9),
    "unknown_type": frame(99, b"{}"),
    "unknown_flags": frame(wire.FrameType.HELLO, b"{}", flags=2),
    "bad_json": frame(wire.FrameType.HELLO, b"[1"),
    "bad_message": frame(wire.FrameType.HELLO, b"{}"),
    "unexpected_frame": frame(wire.FrameType.BATCH, ROW),
}
CLIENT = {
    "frame_too_long": struct.pack("<I", wire.FRAME_BYTES + 1),
    "bad_batch_header": frame(wire.FrameType.BATCH, b""),
    "bad_seq": batch(7),
    "unexpected_frame": hello().encode(),
    "bad_message": frame(wire.FrameType.AUDIT, b"{}"),
}


@pytest.mark.parametrize("code", STRANGER)
def test_a_stranger_is_told_why_it_is_refused(code):
    line = Line()

    line.give(STRANGER[code])

    assert line.refusal() == code


@pytest.mark.parametrize("code", CLIENT)
def test_a_client_is_told_why_it_is_refused(code):
    line = opened()

    line.give(CLIENT[code])

    assert line.refusal() == code


@pytest.mark.parametrize("kind", [kind for kind in wire.FrameType if kind not in (2, 4, 7, 8, 11)])
def test_what_only_a_server_says_is_not_taken_from_a_client(kind):
    payload = {
        wire.FrameType.ACK: wire.Ack(recv=1, commit=1, ranges=(), credit=1),
        wire.FrameType.ERROR: wire.Error(code="x", message="y"),
    }.get(kind)
    line = opened()

    line.give(payload.encode() if payload else frame(kind, b"{}"))

    assert line.refusal() in ("unexpected_frame", "bad_message")


def test_after_a_refusal_nothing_more_is_heard():
    line = opened()

    before = line.give(batch(1) + frame(99, b"") + batch(2))
    after = line.give(batch(2))

    assert [event.seq for event in before] == [1]
    assert after == []
    assert line.refusal() == "unknown_type"


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_at_all_are_events_or_a_refusal_and_never_a_crash(data, welcomed):
    line = opened() if welcomed else Line()

    events = line.give(data)

    assert events == [] or line.session.state is not State.UNAUTHENTICATED
    line.messages()
    line.wait(100.0)
    assert line.session.closing


@given(st.data())
def test_a_session_cut_or_changed_anywhere_gives_no_batch_that_was_not_sent(data):
    sent = b"".join(batch(seq) for seq in range(1, 6))
    at = data.draw(st.integers(0, len(sent) - 1))
    changed = bytes([sent[at] ^ data.draw(st.integers(1, 255))])
    line = opened()

    events = line.give(sent[:at] + changed + sent[at + 1 :])

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(events) <= at // len(batch(1))
    assert all(event.payload == wire.reseq(ROW, event.seq) for event in events)


# --- order of batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seqs", "code"),
    [
        ([1, 2, 3], None),
        ([6, 7], None),
        ([3, 4, 5, 6, 7], None),
        ([6, 2, 7], None),
        ([7], "bad_seq"),
        ([6, 8], "bad_seq"),
        ([2, 3, 8], "bad_seq"),
    ],
)
def test_numbers_go_up_by_one_from_what_is_committed_and_earlier_ones_may_come_again(seqs, code):
    line = opened(commit=5)

    events = line.give(b"".join(batch(seq) for seq in seqs))

    assert line.session.error == code
    assert [event.seq for event in events] == (seqs if code is None else seqs[:-1])


def test_a_batch_is_handed_on_as_the_bytes_it_came_in():
    (event,) = opened().give(batch(1))

    assert event == BatchReceived(1, 1, ROW)


# --- timers --------------------------------------------------------------------------------------------------------


def test_a_stranger_has_five_seconds_to_say_hello():
    line = Line()

    assert line.wait(wire.HELLO_S) == []
    line.session.tick(line.clock.advance(0.1), 1)

    assert line.refusal() == "hello_timeout"


def test_a_stranger_that_sends_a_byte_now_and_then_has_no_longer():
    line, data = Line(), hello().encode()

    for at in range(6):
        line.give(data[at : at + 1])
        line.session.tick(line.clock.advance(1.0), 1)

    assert line.refusal() == "hello_timeout"


def test_a_client_being_looked_up_is_not_hurried():
    line = Line()
    line.give(hello().encode())

    assert line.wait(wire.HELLO_S + 1) == []
    assert not line.session.closing


def test_a_frame_is_finished_within_ten_seconds_of_its_first_byte():
    line, data = opened(), batch(1)

    for at in range(11):
        line.give(data[at : at + 1])
        line.session.tick(line.clock.advance(1.0), 1)

    assert line.messages()[-1] == wire.Error(code="frame_timeout", message=line_message(line))


def line_message(line: Line) -> str:
    assert line.session.error == "frame_timeout"
    return f"a frame was begun and not finished within {wire.FRAME_S:g} s"


def test_each_frame_has_ten_seconds_of_its_own():
    line, data = opened(), b"".join(batch(seq) for seq in range(1, 9))

    for at in range(0, len(data), 40):
        line.give(data[at : at + 40])
        line.session.tick(line.clock.advance(3.0), 1)

    assert line.session.error is None


def test_a_client_that_says_nothing_for_fifteen_seconds_is_dead():
    line = opened()

    for _ in range(15):
        assert not any(isinstance(message, wire.Error) for message in line.wait(1.0))
    line.session.tick(line.clock.advance(0.1), 1)

    assert line.refusal() == "idle_timeout"


def test_a_heartbeat_is_enough_to_be_alive():
    line = opened()

    for _ in range(40):
        line.give(wire.Heartbeat(time_us=1, last=0).encode())
        line.wait(1.0)

    assert line.session.error is None


def test_a_client_that_is_not_read_is_not_blamed_for_its_silence():
    line = opened()
    line.give(batch(1)[:20])

    for _ in range(60):
        line.session.paused(line.clock())
        line.wait(1.0)

    assert line.session.error is None


def test_the_server_says_something_every_second():
    line = opened()

    beats = [line.wait(0.5) for _ in range(6)]

    assert [len(one) for one in beats] == [0, 1, 0, 1, 0, 1]
    assert all(isinstance(one, wire.Heartbeat) for beat in beats for one in beat)


def test_a_client_that_is_acknowledged_all_the_time_still_hears_the_clock():
    line, said = opened(), []
    for _second in range(12):
        line.give(wire.Heartbeat(1, 0).encode())
        line.session.ack(commit=0, ranges=[], credit=64, now=line.clock())
        said += line.wait(0.9)

    assert [type(one) for one in said].count(wire.Heartbeat) == 1


def test_an_acknowledgement_is_as_good_as_a_heartbeat():
    line = opened()
    line.wait(0.5)

    line.session.ack(commit=1, ranges=[], credit=64, now=line.clock())
    line.messages()

    assert line.wait(0.9) == []
    assert len(line.wait(0.2)) == 1


# --- the way out ---------------------------------------------------------------------------------------------------


def test_bye_ends_a_session_without_blame():
    line = opened()

    line.give(wire.Bye().encode())

    assert line.session.closing
    assert line.session.error is None


def test_going_away_is_said_once_and_is_the_last_word():
    line = opened()

    line.session.go_away("superseded", "again", 30.0)
    line.session.go_away("shutting_down", "twice", 1.0)
    line.session.refuse("internal", "too late")
    line.session.ack(commit=9, ranges=[], credit=1, now=line.clock())

    assert line.messages() == [wire.GoAway(code="superseded", message="again", retry_after_s=30.0)]


def test_strangers_are_not_told_what_becomes_of_batches():
    line = Line()

    line.session.ack(commit=1, ranges=[], credit=1, now=line.clock())
    line.session.reject(seq=1, code="rows", message="", rows=1, reasons={})
    line.session.missing([(1, 2)])

    assert line.messages() == []


def test_an_acknowledgement_tells_what_was_received_and_what_is_committed():
    line = opened()
    line.give(batch(1) + batch(2) + batch(3))

    line.session.ack(commit=1, ranges=[(3, 3)], credit=64, now=line.clock())

    assert line.messages() == [wire.Ack(recv=3, commit=1, ranges=((3, 3),), credit=64)]


def test_after_a_resume_nothing_counts_as_received_beyond_what_is_committed_until_a_batch_comes():
    line = opened(commit=7)

    line.session.ack(commit=7, ranges=[], credit=64, now=line.clock())
    line.give(batch(8) + batch(3))
    line.session.ack(commit=7, ranges=[], credit=64, now=line.clock())

    assert [one.recv for one in line.messages() if isinstance(one, wire.Ack)] == [7, 8]


def test_a_second_audit_before_the_answer_ends_the_connection():
    line = opened()
    audit = wire.Audit(ranges=((1, 4),), rows=4).encode()

    line.give(audit)
    line.session.missing([])
    answered = line.give(audit)
    line.give(audit)

    assert len(answered) == 1
    assert line.refusal() == "unexpected_frame"
