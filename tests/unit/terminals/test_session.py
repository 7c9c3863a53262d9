"""The client's half of a connection: handshake, window, acknowledgements, audits, silence. No socket and no clock."""

import itertools

import pytest

from terminals import session as sessions
from terminals import session_events, wire
from terminals.retry_policy import RetryPolicy, policy_for
from tests.unit.terminals.server import NONCE, FakeServer

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
WHO = sessions.Identity("t1", SECRET, "REPLAY", "CME")


class MemorySpool:
    """Batches in a dictionary, all durable unless told otherwise."""

    epoch = "0123456789abcdef"
    pressed = False

    def __init__(self, count=0, first=1, rows=2):
        self.first, self.committed, self.confirmed = first, 0, 0
        self.payloads = {}
        self.durable = first - 1
        for _ in range(count):
            self.add(rows)

    def add(self, rows=2):
        self.durable += 1
        self.payloads[self.durable] = wire.encode_rows(self.durable, "x", 0, [{}] * rows)

    def get(self, seq):
        return self.payloads[seq]

    def rows(self, first, last):
        return sum(wire.parse_header(self.payloads[seq]).rows for seq in range(first, last + 1))

    def resume(self, committed):
        self.committed = committed

    def commit(self, upto):
        self.committed = max(self.committed, upto)

    def checksum(self, seq):
        return wire.checksum(self.payloads[seq])

    def piece(self, first, last, most):
        return min(last, first + most - 1)

    def confirm(self, first, last):
        if first <= self.confirmed + 1:
            self.confirmed = max(self.confirmed, min(last, self.committed))

    def doubt(self, seq):
        self.confirmed = min(self.confirmed, seq - 1)

    def renew(self, taken, upto):
        ranges = [*taken, (upto + 1, self.durable)]
        kept = [self.payloads[seq] for first, last in ranges for seq in range(first, last + 1)]
        self.payloads = {seq: wire.reseq(payload, seq) for seq, payload in enumerate(kept, 1)}
        self.epoch, self.first, self.durable = "fedcba9876543210", 1, len(kept)
        self.committed = self.confirmed = 0


class Pair:
    """A session and the server it talks to; `talk` carries bytes both ways until both are silent."""

    def __init__(self, spool, now=0.0, who=WHO, dropped=0, **server):
        self.spool, self.now, self.dropped = spool, now, dropped
        self.server = FakeServer(SECRET, **server)
        self.session = sessions.Session(who, spool, now=now, time_us=7, dropped=lambda: self.dropped)
        self.events = []

    def start(self):
        self.hear(self.server.challenge())
        self.talk()
        return self

    def hear(self, data):
        self.events += self.session.receive(data, now=self.now, time_us=7)

    def talk(self):
        for _ in range(1000):
            data = self.session.outgoing(now=self.now)
            if not data:
                return
            answer = self.server.receive(data)
            if answer:
                self.hear(answer)
        pytest.fail("they never stop")

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def test_a_handshake_proves_both_sides_and_sends_what_waits():
    pair = Pair(MemorySpool(3)).start()

    hello = pair.server.got[0]
    assert (hello.client, hello.source, hello.register_market, hello.first, hello.last) == ("t1", "REPLAY", "CME", 1, 3)
    assert pair.of(session_events.Welcomed) == [session_events.Welcomed("s-1", 0)]
    assert pair.server.held == pair.spool.payloads
    assert pair.spool.committed == 3
    assert pair.session.unacked == 0


def test_the_secret_is_in_no_frame_and_in_no_text():
    pair = Pair(MemorySpool(1))
    pair.hear(pair.server.challenge())

    sent = pair.session.outgoing(now=0)

    assert SECRET.encode() not in sent
    assert SECRET not in repr(WHO)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_session_works_however_the_bytes_are_cut(size):
    pair = Pair(MemorySpool(5))
    out = pair.server.challenge()

    for _ in range(50):
        for start in range(0, len(out), size):
            pair.hear(out[start : start + size])
        out = pair.server.receive(pair.session.outgoing(now=0))

    assert pair.spool.committed == 5


def test_a_server_that_cannot_prove_itself_gets_no_batch():
    pair = Pair(MemorySpool(3), proves_itself=False).start()

    assert [event.code for event in pair.of(session_events.Ended)] == ["server_proof_wrong"]
    assert pair.server.sequence == []
    assert pair.session.ended


def test_a_replayed_welcome_proves_nothing():
    first = Pair(MemorySpool(0))
    first.hear(first.server.challenge())
    welcome = first.server.receive(first.session.outgoing(now=0))
    second = Pair(MemorySpool(0))
    second.hear(second.server.challenge())
    second.session.outgoing(now=0)

    second.hear(welcome)

    assert [event.code for event in second.of(session_events.Ended)] == ["server_proof_wrong"]


@pytest.mark.parametrize("code", ["not_authorised", "old_epoch", "source_mismatch", "register_refused", "server_busy"])
def test_what_the_server_refuses_ends_the_session_under_its_name(code):
    pair = Pair(MemorySpool(1), refuse=code).start()

    assert [event.code for event in pair.of(session_events.Ended)] == [code]
    assert pair.session.outgoing(now=0) == b""


def test_a_server_of_another_version_is_left_alone():
    pair = Pair(MemorySpool(1))

    pair.hear(wire.Challenge(NONCE, (2, 3), {}, {}).encode())

    assert [event.code for event in pair.of(session_events.Ended)] == ["unknown_version"]


def test_a_session_resumes_behind_what_is_committed():
    pair = Pair(MemorySpool(5), committed=3)
    pair.server.held = {seq: pair.spool.payloads[seq] for seq in (1, 2, 3)}
    pair.start()

    assert pair.server.sequence == [4, 5]
    assert pair.spool.committed == 5


def test_batches_committed_ahead_are_sent_all_the_same_so_that_numbers_go_up_by_one():
    pair = Pair(MemorySpool(5), committed=1)
    pair.server.held = {seq: pair.spool.payloads[seq] for seq in (1, 3)}
    pair.server.ahead = {3}
    pair.start()

    assert pair.server.sequence == [2, 3, 4, 5]


def test_a_server_that_knows_less_than_we_keep_gets_what_we_keep():
    pair = Pair(MemorySpool(3, first=7)).start()

    assert pair.server.sequence == [7, 8, 9]


def test_a_server_that_knows_more_than_the_spool_means_a_damaged_spool():
    pair = Pair(MemorySpool(2), committed=5).start()

    assert [event.code for event in pair.of(session_events.Ended)] == ["spool_behind"]
    assert pair.server.sequence == []


def test_no_more_batches_are_under_way_than_the_server_gave_credit_for():
    pair = Pair(MemorySpool(10), commits=False, credit=4).start()
    assert pair.server.sequence == [1, 2, 3, 4]
    assert pair.session.unacked == 4

    pair.server.commit(2)
    pair.hear(pair.server.ack())
    pair.talk()

    assert pair.server.sequence == [1, 2, 3, 4, 5, 6]


def test_without_credit_nothing_is_sent():
    pair = Pair(MemorySpool(3), credit=0).start()
    assert pair.server.sequence == []

    pair.hear(wire.Ack(0, 0, (), 64).encode())
    pair.talk()

    assert pair.spool.committed == 3


def test_no_more_bytes_are_under_way_than_the_window_allows():
    spool = MemorySpool()
    for _ in range(30):
        spool.add(rows=100_000)
    pair = Pair(spool, commits=False).start()

    under_way = sum(len(spool.get(seq)) for seq in pair.server.sequence)

    assert wire.WINDOW_BYTES <= under_way <= wire.WINDOW_BYTES + wire.FRAME_BYTES
    assert len(pair.server.sequence) < 30


def test_ranges_above_the_commit_free_the_window_but_forget_nothing():
    pair = Pair(MemorySpool(4), commits=False, credit=2).start()

    pair.hear(wire.Ack(2, 0, ((2, 2),), 2).encode())
    pair.talk()

    assert pair.server.sequence == [1, 2, 3]
    assert pair.spool.committed == 0


def test_only_durable_batches_leave_the_machine():
    spool = MemorySpool(2)
    pair = Pair(spool).start()
    spool.payloads[3] = b"not synced yet"

    pair.talk()
    assert pair.server.sequence == [1, 2]
    del spool.payloads[3]
    spool.add()
    pair.talk()

    assert pair.server.sequence == [1, 2, 3]


def test_what_was_committed_before_is_audited_and_missing_batches_are_sent_again():
    pair = Pair(MemorySpool(6), committed=5)
    pair.server.held = {seq: pair.spool.payloads[seq] for seq in (1, 2, 5)}
    pair.start()
    audits = [message for message in pair.server.got if isinstance(message, wire.Audit)]
    assert audits == [wire.Audit(((1, 5),), 10)]

    pair.hear(wire.Missing(((3, 4), (90, 99))).encode())
    pair.talk()

    assert pair.of(session_events.Resending) == [session_events.Resending(((3, 4),))]
    assert pair.server.sequence == [6, 3, 4]
    assert pair.server.held == pair.spool.payloads


def test_missing_batches_that_are_no_longer_kept_cannot_be_sent():
    pair = Pair(MemorySpool(2, first=10), committed=9).start()

    pair.hear(wire.Missing(((1, 9),)).encode())
    pair.talk()

    assert pair.server.sequence == [10, 11]
    assert pair.of(session_events.Resending) == []


def test_refused_rows_are_told_and_hold_up_nothing():
    pair = Pair(MemorySpool(1), commits=False).start()

    pair.hear(wire.Reject(1, "rows", "two rows", 2, {"symbol_unknown": 2}).encode() + wire.Ack(1, 1, (), 64).encode())

    assert [event.reject.reasons for event in pair.of(session_events.Rejected)] == [{"symbol_unknown": 2}]
    assert pair.spool.committed == 1


def test_a_heartbeat_is_said_after_a_second_without_other_words():
    pair = Pair(MemorySpool(2)).start()

    pair.session.tick(now=0.9, time_us=7)
    assert pair.session.outgoing(now=0.9) == b""
    assert pair.session.next_deadline() == 1.0
    pair.session.tick(now=1.0, time_us=8)
    pair.server.receive(pair.session.outgoing(now=1.0))

    assert pair.server.got[-1] == wire.Heartbeat(8, 2)


def test_a_heartbeat_says_how_many_rows_were_dropped_so_far():
    pair = Pair(MemorySpool(2), dropped=3).start()

    for second, dropped in ((1.0, 3), (2.0, 10)):
        pair.dropped = dropped
        pair.session.tick(now=second, time_us=8)
        pair.server.receive(pair.session.outgoing(now=second))

    assert pair.server.got[-2:] == [wire.Heartbeat(8, 2, dropped=3), wire.Heartbeat(8, 2, dropped=10)]


def test_a_silent_server_is_dead_after_fifteen_seconds():
    pair = Pair(MemorySpool(0)).start()

    pair.now = 10.0
    pair.hear(wire.Heartbeat(1, 0).encode())
    assert pair.session.tick(now=24.9, time_us=7) == []

    pair.events += pair.session.tick(now=25.0, time_us=7)
    assert [event.code for event in pair.of(session_events.Ended)] == ["dead_peer"]


def test_a_server_that_never_says_welcome_is_left_after_ten_seconds():
    pair = Pair(MemorySpool(0))
    assert pair.session.next_deadline() == 10.0
    assert pair.session.tick(now=9.9, time_us=7) == []

    pair.events += pair.session.tick(now=10.0, time_us=7)
    assert [event.code for event in pair.of(session_events.Ended)] == ["handshake_timeout"]


def test_going_away_says_when_to_come_back():
    pair = Pair(MemorySpool(0)).start()

    pair.hear(wire.GoAway("shutting_down", "restart", 2.5).encode())

    assert pair.of(session_events.Ended) == [session_events.Ended("shutting_down", "restart", 2.5)]


def test_a_goodbye_is_said_and_acks_still_count():
    pair = Pair(MemorySpool(2), commits=False).start()

    pair.session.goodbye()
    pair.server.receive(pair.session.outgoing(now=0))
    pair.hear(wire.Ack(2, 2, (), 64).encode())

    assert pair.server.got[-1] == wire.Bye()
    assert pair.spool.committed == 2


def test_a_closed_connection_ends_the_session():
    pair = Pair(MemorySpool(0)).start()

    pair.hear(b"")

    assert [event.code for event in pair.of(session_events.Ended)] == ["closed"]
    assert pair.session.tick(now=99, time_us=7) == []


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", wire.encode(wire.FrameType.CHALLENGE, b"{}"),
     wire.encode(wire.FrameType.BATCH, b"")],
)  # fmt: skip
def test_a_server_that_speaks_something_else_is_left(data):
    pair = Pair(MemorySpool(0))

    pair.hear(data)

    assert [event.code for event in pair.of(session_events.Ended)] == ["bad_server_frame"]


def test_a_message_at_the_wrong_moment_ends_the_session():
    for message in (wire.Ack(0, 0, (), 1), wire.Missing(()), wire.Reject(1, "rows", "", 1, {})):
        pair = Pair(MemorySpool(0))
        pair.hear(message.encode())
        assert [event.code for event in pair.of(session_events.Ended)] == ["unexpected_frame"]


def test_an_ack_of_what_was_never_sent_is_not_believed():
    pair = Pair(MemorySpool(1)).start()

    pair.hear(wire.Ack(9, 9, (), 64).encode())

    assert [event.code for event in pair.of(session_events.Ended)] == ["bad_server_frame"]
    assert pair.spool.committed == 1


def test_however_often_the_line_is_cut_everything_arrives_once_and_in_order():
    spool = MemorySpool(20)
    held: dict[int, bytes] = {}
    committed = 0
    for cut in itertools.count(30, 37):
        pair = Pair(spool, committed=committed, commits=cut % 2 == 0)
        pair.server.held = held
        pair.hear(pair.server.challenge())
        budget = cut
        while budget > 0 and (data := pair.session.outgoing(now=0, max_bytes=100)):
            answer = pair.server.receive(data[:budget])
            budget -= len(data)
            if answer:
                pair.hear(answer)
        pair.server.commit(20)
        committed = pair.server.committed
        if committed == 20:
            break
        assert cut < 20_000

    assert held == spool.payloads


@pytest.mark.parametrize("scale", [None, 4, 5])
def test_a_batch_finer_than_the_server_reads_is_kept_and_the_session_ends_for_it(scale):
    spool = MemorySpool(1)
    for size in (1, 100):  # 0.000001 needs six places, 0.0001 four
        fine = wire.Columns()
        fine.append(symbol="ESH4", time_us=1, price=1, size=size)
        spool.durable += 1
        spool.payloads[spool.durable] = fine.encode(spool.durable, "x", 0)
    spool.payloads[2], spool.payloads[3] = wire.reseq(spool.payloads[3], 2), wire.reseq(spool.payloads[2], 3)

    pair = Pair(spool, size_scale=scale).start()

    (ended,) = pair.of(session_events.Ended)
    assert ended.code == "size_scale_refused"
    assert f"batch 3 has sizes of 6 decimal places, this server reads {scale or 4}" in ended.message
    assert policy_for(ended.code, was_welcomed=True) is policy_for(ended.code, was_welcomed=False) is RetryPolicy.SLOW
    assert pair.server.held == {seq: spool.payloads[seq] for seq in (1, 2)}
    assert spool.committed < 3
