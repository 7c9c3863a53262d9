"""The in-flight window while something, or everything, cannot be stored."""

from ingest.in_flight import FAILURES_TO_DEATH, LONGEST_PROBE_S, PACE_S, InFlightWindow
from tests.fakes import FakeClock
from tests.unit.ingest.windows import entry, seqs, window

# --- what fails ----------------------------------------------------------------------------------------------------


def test_a_batch_that_fails_ten_times_is_dead_and_says_why():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    number = 1 << 32 | 1

    dead = []
    for _ in range(FAILURES_TO_DEATH):
        chosen = in_flight.next_message()
        dead.append(chosen[0].dead)
        in_flight.published(chosen, clock())
        in_flight.fail(number, "no such thing", clock())
        while not in_flight.overdue(clock.advance(1.0)):
            pass

    assert dead == [None] * 10
    buried = in_flight.next_message()[0]
    assert buried.dead is not None
    assert "10 times" in buried.dead
    assert "no such thing" in buried.dead


def test_the_others_of_a_message_are_not_held_up_by_one_that_failed():
    in_flight = window(messages=1)
    for seq in (1, 2):
        in_flight.add(entry(seq))
    in_flight.published(in_flight.next_message(), 0.0)

    in_flight.fail(1 << 32 | 1, "poison", 1.0)
    in_flight.settle(1 << 32 | 2, 1.0)
    in_flight.add(entry(3))

    assert seqs(in_flight.next_message()) == [3]


def test_a_failure_told_twice_counts_once():
    in_flight = window()
    in_flight.add(entry(1))
    in_flight.published(in_flight.next_message(), 0.0)

    first = in_flight.fail(1 << 32 | 1, "poison", 1.0)
    second = in_flight.fail(1 << 32 | 1, "poison", 1.0)

    assert first is not None
    assert (first.failures, second) == (1, None)


def refuse_everything(
    in_flight: InFlightWindow, clock: FakeClock, *, seconds: float, step: float = 0.25
) -> list[list[int]]:
    """Workers to whom the database refuses each message; the seqs of each."""
    sent = []
    end = clock() + seconds
    while clock() < end:
        if chosen := in_flight.next_message(clock()):
            sent.append(seqs(chosen))
            in_flight.published(chosen, clock())
            in_flight.hold([one.number for one in chosen], "refused", clock.advance(0.01))
        in_flight.overdue(clock.advance(step))
    return sent


# --- what cannot be stored, whatever it is -------------------------------------------------------------------------


def test_a_database_that_refuses_everything_for_an_hour_kills_no_batch():
    in_flight, clock = window(), FakeClock()
    for seq in range(1, 101):
        in_flight.add(entry(seq))

    refuse_everything(in_flight, clock, seconds=3600)

    assert {one.dead for one in in_flight.by_number.values()} == {None}
    assert {one.failures for one in in_flight.by_number.values()} == {0}
    assert len(in_flight) == 100


def test_while_everything_is_refused_one_batch_at_a_time_is_tried_and_not_always_the_same():
    in_flight, clock = window(), FakeClock()
    for seq in range(1, 101):
        in_flight.add(entry(seq))

    sent = refuse_everything(in_flight, clock, seconds=600)

    assert len(sent[0]) == 100
    assert {len(one) for one in sent[1:]} == {1}
    assert len({one[0] for one in sent[1:]}) > 10
    assert 600 / LONGEST_PROBE_S - 5 < len(sent) < 600 / LONGEST_PROBE_S + 10


def test_the_first_batch_that_is_stored_lets_all_the_others_go_at_once():
    in_flight, clock = window(), FakeClock()
    for seq in range(1, 101):
        in_flight.add(entry(seq))
    refuse_everything(in_flight, clock, seconds=60)
    stalled = in_flight.trouble

    clock.advance(LONGEST_PROBE_S)
    probe = in_flight.next_message(clock())
    in_flight.published(probe, clock())
    in_flight.settle(probe[0].number, clock.advance(PACE_S))
    others = in_flight.next_message(clock())
    still = in_flight.trouble
    for one in others:
        in_flight.settle(one.number, clock.advance(0.01))

    assert stalled is not None
    assert (stalled.error, stalled.stalled) == ("refused", False)
    assert len(others) == 99
    assert still is stalled
    assert in_flight.trouble is None


def test_what_alone_is_refused_while_others_are_stored_holds_up_nobody_and_is_never_given_up():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    for seq in range(2, 200):
        in_flight.add(entry(seq, stream=2))
        clock.advance(LONGEST_PROBE_S)
        while chosen := in_flight.next_message(clock()):
            in_flight.published(chosen, clock())
            for one in chosen:
                if one.stream == 2:
                    in_flight.settle(one.number, clock.advance(0.01))
            in_flight.hold([one.number for one in chosen if one.stream == 1], "no partition", clock.advance(0.01))
        in_flight.overdue(clock.advance(5.0))

    in_flight.add(entry(200, stream=2))

    assert [one.stream for one in in_flight.next_message(clock())] == [2]
    assert [one.stream for one in in_flight.by_number.values()] == [1, 2]
    assert in_flight.trouble is not None
    assert not in_flight.trouble.stalled
    assert (in_flight.by_number[1 << 32 | 1].dead, in_flight.by_number[1 << 32 | 1].failures) == (None, 0)


def test_while_nothing_can_be_stored_no_content_is_to_blame():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    refuse_everything(in_flight, clock, seconds=5)

    for _ in range(3 * FAILURES_TO_DEATH):
        clock.advance(LONGEST_PROBE_S)
        in_flight.published(in_flight.next_message(clock()), clock())
        in_flight.fail(1 << 32 | 1, "who knows", clock())

    assert in_flight.by_number[1 << 32 | 1].dead is None


def test_a_worker_quicker_than_the_brokers_answer_may_refuse_as_well():
    in_flight, clock = window(), FakeClock()
    in_flight.add(entry(1))
    out = in_flight.next_message(clock())

    in_flight.hold([1 << 32 | 1], "refused", clock.advance(0.1))
    in_flight.published(out, clock.advance(0.1))

    assert in_flight.trouble is not None
    assert in_flight.trouble.stalled
    assert seqs(in_flight.next_message(clock.advance(LONGEST_PROBE_S))) == [1]


# --- whatever happens ----------------------------------------------------------------------------------------------


def test_trouble_is_over_when_the_only_batch_that_was_refused_turns_out_to_be_stored():
    in_flight = window(messages=2, ticks=5)
    in_flight.add(entry(1))
    in_flight.published(in_flight.next_message(100.0), 100.0)
    [held] = in_flight.hold([in_flight.unsettled(200.0, 1.0)[0]], "connection lost during the commit", 170.0)

    in_flight.settle(held.number, 171.0)

    assert in_flight.trouble is None


def test_while_storage_refuses_everything_no_pace_calls():
    in_flight, clock = window(), FakeClock()
    for seq in range(1, 101):
        in_flight.add(entry(seq))
    refuse_everything(in_flight, clock, seconds=60)

    assert in_flight.waiting
    assert in_flight.pause_s(clock()) is None
