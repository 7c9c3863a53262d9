"""Workers to whom the database refuses each message; the seqs of each."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.in_flight import (
    GREATEST_DELAY_S,
    MESSAGE_BATCHES,
    PACE_S,
    InFlightBatch,
    InFlightWindow,
)
from tests.fakes import FakeClock
from tests.unit.ingest.windows import REDRIVE_S, entry, seqs, window

# --- natural batching ----------------------------------------------------------------------------------------------


def test_a_single_batch_leaves_at_once():
    in_flight = window()
    in_flight.add(entry(1))

    assert seqs(in_flight.next_message()) == [1]
    assert in_flight.next_message() == []


def test_whatever_waits_while_messages_are_out_becomes_one_larger_message():
    in_flight = window(messages=1)
    in_flight.add(entry(1))
    first = in_flight.next_message()
    for seq in range(2, 6):
        in_flight.add(entry(seq))

    meanwhile = in_flight.next_message()
    in_flight.settle(first[0].number, 1.0)

    assert meanwhile == []
    assert seqs(in_flight.next_message()) == [2, 3, 4, 5]


def test_a_message_carries_no_more_ticks_than_it_may_unless_one_batch_alone_does():
    in_flight = window(messages=9, ticks=1000)
    for seq, rows in enumerate([400, 600, 1, 5000, 10], 1):
        in_flight.add(entry(seq, rows=rows))

    sent = [seqs(in_flight.next_message()) for _ in range(4)]

    assert sent == [[1, 2], [3], [4], [5]]


def test_a_large_batch_is_not_passed_for_ever_by_small_ones():
    in_flight = window()
    for stream, rows in ((1, 10), (2, 5000), (3, 10)):
        in_flight.add(entry(1, stream=stream, rows=rows))

    sent = []
    for seq in range(2, 5):
        message = in_flight.next_message()
        sent.append([one.stream for one in message])
        for one in message:
            in_flight.settle(one.number, 1.0)
            in_flight.add(entry(seq, stream=one.stream, rows=10))

    assert sent == [[1], [2], [3, 1, 2]]


def test_a_message_carries_no_more_batches_than_it_may():
    in_flight = window()
    for seq in range(1, MESSAGE_BATCHES + 10):
        in_flight.add(entry(seq, rows=0))

    assert len(in_flight.next_message()) == MESSAGE_BATCHES
    assert len(in_flight.next_message()) == 9


def test_no_more_messages_are_out_than_may_be():
    in_flight = window(messages=2, ticks=1)
    for seq in range(1, 6):
        in_flight.add(entry(seq))

    sent = [seqs(in_flight.next_message()) for _ in range(3)]

    assert sent == [[1], [2], []]
    assert (in_flight.messages, in_flight.waiting, len(in_flight)) == (2, 3, 5)


def test_a_busy_stream_does_not_starve_the_others():
    in_flight = window(messages=99, ticks=10)
    for seq in range(1, 6):
        in_flight.add(entry(seq, rows=10, stream=1))
    in_flight.add(entry(1, rows=10, stream=2))

    streams = [one.stream for _ in range(6) for one in in_flight.next_message()]

    assert streams.index(2) <= 1


def test_a_message_is_out_until_the_last_of_its_batches_is_settled():
    in_flight = window(messages=1)
    for seq in (1, 2):
        in_flight.add(entry(seq))
    first, second = in_flight.next_message()

    in_flight.settle(first.number, 1.0)
    after_one = in_flight.messages
    in_flight.settle(second.number, 1.0)

    assert (after_one, in_flight.messages) == (1, 0)


# --- bytes ---------------------------------------------------------------------------------------------------------


def test_bytes_are_counted_from_receipt_to_commit():
    in_flight = window()
    in_flight.add(entry(1, size=100))
    in_flight.add(entry(2, size=50))
    held = in_flight.bytes

    in_flight.settle(1 << 32 | 1, 1.0)
    in_flight.settle(1 << 32 | 1, 1.0)

    assert (held, in_flight.bytes, len(in_flight)) == (150, 50, 1)


def test_the_oldest_is_told_by_when_it_was_received_until_it_is_settled():
    in_flight = window()
    told = [in_flight.oldest_us]
    for seq in (1, 2):
        one = entry(seq)
        one.received_us = seq * 10
        in_flight.add(one)
        told.append(in_flight.oldest_us)
    for seq in (1, 2):
        in_flight.settle(1 << 32 | seq, 1.0)
        told.append(in_flight.oldest_us)

    assert told == [0, 10, 10, 20, 0]


def test_a_batch_nobody_knows_is_settled_without_harm():
    assert window().settle(77, 1.0) is None


def test_a_batch_settled_while_it_waited_is_not_sent():
    in_flight = window()
    for seq in (1, 2):
        in_flight.add(entry(seq))

    in_flight.settle(1 << 32 | 1, 1.0)

    assert seqs(in_flight.next_message()) == [2]


# --- what does not commit ------------------------------------------------------------------------------------------


def test_a_batch_that_does_not_commit_in_time_is_driven_again():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    in_flight.published(in_flight.next_message(), clock())

    early = in_flight.overdue(clock.advance(REDRIVE_S - 0.01))
    late = in_flight.overdue(clock.advance(0.01))

    assert (early, seqs(late)) == ([], [1])
    assert seqs(in_flight.next_message()) == [1]


def test_each_further_try_waits_twice_as_long_up_to_a_minute():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    waits = []

    for _ in range(7):
        in_flight.published(in_flight.next_message(), clock())
        begun = clock()
        while not in_flight.overdue(clock.advance(1.0)):
            pass
        waits.append(clock() - begun)

    assert waits == [5, 10, 20, 40, GREATEST_DELAY_S, GREATEST_DELAY_S, GREATEST_DELAY_S]


def test_a_slow_database_is_given_three_times_its_usual_time():
    in_flight, clock = window(), FakeClock()
    for seq in range(1, 101):
        in_flight.add(entry(seq, since=clock()))
        in_flight.published(in_flight.next_message(), clock())
        in_flight.settle(1 << 32 | seq, clock() + 4.0)

    assert in_flight.delay_s() == pytest.approx(12.0)
    assert in_flight.latency_s() == (4.0, 4.0)


def test_nothing_is_overdue_that_the_broker_has_not_taken():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    in_flight.next_message()

    assert in_flight.overdue(clock.advance(10_000.0)) == []


def test_what_the_broker_did_not_take_waits_again_in_front():
    in_flight = window(ticks=2)
    for seq in range(1, 5):
        in_flight.add(entry(seq))
    refused = in_flight.next_message()

    in_flight.unpublished(refused)

    assert seqs(in_flight.next_message()) == [1, 2]
    assert in_flight.messages == 1


def test_what_is_driven_again_goes_before_what_came_later():
    in_flight, clock = window(messages=1, ticks=2), FakeClock()
    for seq in range(1, 5):
        in_flight.add(entry(seq))
    in_flight.published(in_flight.next_message(), clock())

    in_flight.overdue(clock.advance(REDRIVE_S))

    assert seqs(in_flight.next_message()) == [1, 2]


def test_old_batches_are_worth_asking_the_ledger_about():
    in_flight = window()
    in_flight.add(entry(1, since=100.0))
    in_flight.add(entry(2, since=109.5))

    assert in_flight.unsettled(110.0, 1.0) == [1 << 32 | 1]


STEPS = ("add", "send", "take", "refuse", "settle", "fail", "hold", "wait")


# --- whatever happens ----------------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(STEPS), max_size=150),
    st.data(),
)
def test_no_batch_is_lost_doubled_or_forgotten_whatever_happens(steps, data):
    in_flight, clock, seq = window(messages=2, ticks=5), FakeClock(), 0
    handed_over: list[list[InFlightBatch]] = []  # the broker has not answered; a worker may have it all the same

    for step in steps:
        if step == "add":
            seq += 1
            in_flight.add(entry(seq, rows=data.draw(st.integers(0, 7)), stream=1 + seq % 3, since=clock()))
        elif step == "send" and (chosen := in_flight.next_message(clock())):
            assert len({one.number for one in chosen}) == len(chosen)
            handed_over.append(chosen)
        elif step == "take" and handed_over:
            in_flight.published(handed_over.pop(), clock())
        elif step == "refuse" and handed_over:
            in_flight.unpublished(handed_over.pop())
        elif step in ("settle", "fail", "hold") and in_flight.by_number:
            number = data.draw(st.sampled_from(sorted(in_flight.by_number)))
            if step == "settle":
                in_flight.settle(number, clock())
            elif step == "hold":
                in_flight.hold([number], "x", clock())
            else:
                in_flight.fail(number, "x", clock())
        elif step == "wait":
            in_flight.overdue(clock.advance(70.0))
        assert in_flight.bytes == 100 * len(in_flight)
        assert 0 <= in_flight.messages <= 2

    for message in handed_over:
        in_flight.published(message, clock())
    for _ in range(2 * seq + 4):
        in_flight.overdue(clock.advance(1000.0))
        if chosen := in_flight.next_message(clock()):
            assert len({one.number for one in chosen}) == len(chosen)
            in_flight.published(chosen, clock())
            for one in chosen:
                in_flight.settle(one.number, clock())
    assert in_flight.trouble is None
    assert len(in_flight) == in_flight.waiting == in_flight.bytes == in_flight.messages == 0


def test_beside_a_message_that_is_out_goes_only_a_full_one_or_one_that_waited():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1, rows=10))
    window.published(window.next_message(100.0), 100.0)

    window.add(entry(2, rows=10))
    at_once = window.next_message(100.01)
    window.add(entry(3, rows=4_990))
    full = window.next_message(100.02)
    window.published(full, 100.02)
    window.add(entry(4, rows=10))
    later = window.next_message(100.12)

    assert at_once == []
    assert [one.seq for one in full] == [2, 3]
    assert [one.seq for one in later] == [4]


def test_a_settled_message_lets_what_waits_go_a_pace_behind_it():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1, rows=10))
    out = window.next_message(100.0)
    window.published(out, 100.0)
    window.add(entry(2, rows=10))
    beside = window.pause_s(100.0)

    window.settle(out[0].number, 100.01)

    assert beside is None  # it waits for the message that is out
    assert window.next_message(100.01) == []
    assert window.pause_s(100.01) == pytest.approx(PACE_S - 0.01)
    assert [one.seq for one in window.next_message(100.0 + PACE_S)] == [2]
    assert window.pause_s(100.0 + PACE_S) is None


def test_a_full_message_and_one_after_a_silence_wait_for_no_pace():
    window = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
    window.add(entry(1, rows=10))
    out = window.next_message(100.0)
    window.settle(out[0].number, 100.001)
    window.add(entry(2, rows=5_000))
    full = window.next_message(100.002)
    window.settle(full[0].number, 100.003)
    window.add(entry(3, rows=10))

    assert [one.seq for one in full] == [2]
    assert [one.seq for one in window.next_message(101.0)] == [3]
