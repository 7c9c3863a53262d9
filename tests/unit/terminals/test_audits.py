"""What a client compares with the ledger and when: before it sends, by the clock, and once more after a failover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminals import session as sessions
from terminals import session_events, wire
from terminals.audits import Audits
from tests.unit.terminals.test_session import MemorySpool, Pair


def compared(pair):
    return [(message.ranges[0], message.closing) for message in pair.server.got if isinstance(message, wire.Audit)]


def paired(count, *, held, confirmed=0, compares=3, **options):
    """A session with a server whose ledger has the spool's batches `held`, or others under the same number."""
    pair = Pair(MemorySpool(count), compares=compares, committed=max(held, default=0), **options)
    pair.spool.confirmed = pair.spool.committed = confirmed
    own = pair.spool.payloads
    pair.server.held = {seq: payload or own[seq] for seq, payload in held.items()}
    return pair


def other(seq):
    return wire.encode_rows(seq, "x", 0, [{"other": 1}])


def after(pair, seconds):
    pair.now += seconds
    pair.hear(wire.Heartbeat(1, 0).encode())
    pair.events += pair.session.tick(now=pair.now, time_us=7)
    pair.talk()
    return pair


def test_what_was_not_compared_before_is_compared_before_anything_is_sent():
    pair = paired(10, held=dict.fromkeys(range(1, 9)), confirmed=2)
    pair.hear(pair.server.challenge())
    pair.hear(pair.server.receive(pair.session.outgoing(now=0)))

    asked = pair.session.outgoing(now=0)

    assert pair.server.sequence == []
    assert pair.spool.committed == 2, "the number alone proves nothing"
    pair.hear(pair.server.receive(asked))
    assert pair.spool.committed == 5
    pair.talk()
    assert compared(pair) == [((3, 5), False), ((6, 8), False)]
    assert pair.server.sequence == [9, 10]
    assert (pair.spool.committed, pair.spool.confirmed) == (10, 8)


def test_a_spool_that_differs_is_closed_and_goes_on_in_a_new_epoch():
    pair = paired(13, held={**dict.fromkeys(range(1, 6)), **{seq: other(seq) for seq in range(6, 11)}}, confirmed=5)
    mine = [payload[8:] for payload in pair.spool.payloads.values()]

    pair.start()

    assert compared(pair) == [
        ((6, 8), False), ((1, 3), True), ((4, 6), True), ((7, 9), True), ((10, 12), True), ((13, 13), True)
    ]  # fmt: skip
    assert pair.server.sequence == []
    assert pair.server.given_up == {11, 12, 13}
    assert [payload[8:] for payload in pair.spool.payloads.values()] == mine[5:]
    assert [event.batches for event in pair.of(session_events.Renewed)] == [8]
    assert [event.code for event in pair.of(session_events.Ended)] == ["new_epoch"]
    assert pair.spool.committed == 0


def test_a_batch_in_between_that_is_the_same_is_not_taken_along():
    pair = paired(5, held={1: None, 2: other(2), 3: None, 4: other(4)})
    mine = [payload[8:] for payload in pair.spool.payloads.values()]

    pair.start()

    assert [payload[8:] for payload in pair.spool.payloads.values()] == [mine[1], mine[3], mine[4]]


def test_what_is_taken_while_the_epoch_closes_is_in_the_new_one():
    pair = paired(4, held={1: None, 2: other(2)})
    pair.hear(pair.server.challenge())
    for _ in range(3):  # HELLO, AUDIT, the first AUDIT that closes
        pair.hear(pair.server.receive(pair.session.outgoing(now=0)))
    pair.spool.add(rows=5)

    pair.talk()

    assert [wire.parse_header(payload).rows for payload in pair.spool.payloads.values()] == [2, 2, 2, 5]


def test_a_spool_that_ends_below_the_ledger_begins_a_new_epoch():
    pair = paired(2, held={seq: other(seq) if seq > 2 else None for seq in range(1, 6)}, confirmed=2).start()

    assert [event.batches for event in pair.of(session_events.Renewed)] == [0]
    assert [event.code for event in pair.of(session_events.Ended)] == ["new_epoch"]


def test_numbers_given_up_before_are_given_up_again():
    pair = paired(4, held={1: None})
    pair.server.given_up = {2, 3, 4}
    pair.server.committed = 4

    pair.start()

    assert [event.batches for event in pair.of(session_events.Renewed)] == [3]


def test_an_acknowledged_batch_is_compared_later_and_only_then_confirmed():
    pair = paired(3, held={}).start()
    assert (pair.spool.committed, pair.spool.confirmed) == (3, 0)

    after(pair, 15.0)

    assert compared(pair) == [((1, 3), False)]
    assert pair.spool.confirmed == 3


def test_a_spool_that_needs_room_compares_at_once():
    pair = paired(3, held={}).start()
    pair.spool.pressed = True

    after(pair, 0.1)

    assert pair.spool.confirmed == 3


def test_what_the_ledger_lost_under_a_session_is_sent_again_and_compared_again():
    pair = paired(6, held={}).start()
    after(pair, 15.0)
    for seq in (3, 4, 5):
        del pair.server.held[seq]

    after(pair, 15.0)

    assert pair.server.held == pair.spool.payloads
    assert sorted(pair.server.sequence[6:]) == [3, 4, 5]
    assert pair.spool.confirmed == 2
    after(pair, sessions.LACKING_S)
    assert pair.spool.confirmed == 6


def test_an_answer_does_not_push_out_what_the_one_before_asked_for():
    pair = paired(6, held={}, credit=1, commits=False)
    pair.hear(pair.server.challenge())
    pair.hear(pair.server.receive(pair.session.outgoing(now=0)))
    pair.server.commits = True
    pair.talk()
    pair.session._audits.everything()
    held = dict(pair.server.held)
    pair.server.held.clear()

    pair.talk()

    assert pair.server.held == held


def test_by_turns_everything_kept_is_compared_again():
    pair = paired(20, held=dict.fromkeys(range(1, 21)), confirmed=20).start()

    for _ in range(8):
        after(pair, 15.0)
    asked = {seq for (first, last), _ in compared(pair) for seq in range(first, last + 1)}

    assert asked == set(range(1, 21))
    assert all(last - first < 3 for (first, last), _ in compared(pair))


def test_after_the_database_was_away_everything_is_compared_the_newest_first():
    pair = paired(8, held=dict.fromkeys(range(1, 9)), confirmed=8).start()
    pair.hear(wire.Heartbeat(1, 0, 4).encode())
    pair.talk()
    assert compared(pair) == []

    pair.hear(wire.Heartbeat(1, 0, 5).encode())
    pair.talk()

    assert compared(pair) == [((6, 8), False), ((3, 5), False), ((1, 2), False)]


def test_a_batch_that_rotted_here_is_asked_for_and_not_compared():
    pair = paired(3, held=dict.fromkeys(range(1, 4)))
    pair.spool.checksum = lambda seq: 0 if seq == 2 else wire.checksum(pair.spool.payloads[seq])
    pair.server.held[2] = other(2)

    pair.start()

    assert pair.of(session_events.Renewed) == []
    assert pair.spool.confirmed == 3


def test_a_server_that_compares_nothing_is_served_as_before():
    pair = Pair(MemorySpool(5), committed=3)
    pair.server.held = {seq: pair.spool.payloads[seq] for seq in (1, 2, 3)}
    pair.start()
    pair.hear(wire.Missing(()).encode())

    assert [message for message in pair.server.got if isinstance(message, wire.Audit)] == [wire.Audit(((1, 3),), 6)]
    assert (pair.spool.committed, pair.spool.confirmed) == (5, 5)
    after(pair, 100.0)
    assert len(compared(pair)) == 1


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 7), st.data())
def test_a_round_asks_for_each_batch_once_and_in_bounds(count, confirmed, most, data):
    spool = MemorySpool(count)
    spool.confirmed = min(confirmed, count)
    commit = data.draw(st.integers(0, count))
    audits = Audits(spool, most)
    audits.begin(commit)

    asked: list[int] = []
    while (piece := audits.next_piece()) is not None:
        assert audits.next_piece() is None, "one at a time"
        assert piece.last - piece.first < most
        asked += range(piece.first, piece.last + 1)
        audits.answered((), ())

    assert asked == list(range(spool.confirmed + 1, commit + 1))
    assert not audits.held


@pytest.mark.parametrize("text", ["AAAA", "not base64!", "é", "A" * 50_000])
def test_checksums_that_are_none_are_refused(text):
    with pytest.raises(wire.MessageError, match=r"checksums must be"):
        wire.decode(next_frame(wire.Audit(((1, 1),), 1, text).encode()))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=100))
def test_checksums_come_back_as_they_were(numbers):
    assert wire.unpack_checksums(wire.pack_checksums(numbers)) == numbers


def next_frame(data):
    decoder = wire.FrameDecoder()
    decoder.feed(data)
    return decoder.next()
