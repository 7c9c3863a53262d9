"""A service that is away is asked one call at a time, less and less often, and all calls are back with its first
answer."""

import random

from terminals.sources.kis.outages import FIRST_S, MOST_S, Outage


def failing(times, *, now=0.0):
    outage = Outage(random.Random(1))
    return outage, [outage.failed(now) for _ in range(times)]


def test_some_failures_are_no_outage_and_an_answer_forgets_them():
    outage, told = failing(4)
    outage.answered()
    again = [outage.failed(0.0) for _ in range(4)]

    assert not outage.is_down
    assert not any(told + again)


def test_the_fifth_in_a_row_is_told_once_and_calls_of_before_change_nothing():
    outage, told = failing(5)
    later = [outage.failed(0.1) for _ in range(50)]

    assert told == [False] * 4 + [True]
    assert not any(later)
    assert outage.is_down
    assert not outage.may_probe(0.74 * FIRST_S)
    assert outage.may_probe(FIRST_S)


def test_each_probe_that_fails_makes_the_pause_longer_up_to_a_minute():
    outage, _ = failing(5)
    now, pauses = FIRST_S, []
    for _probe in range(12):
        outage.failed(now)
        pause_s = 0.0
        while not outage.may_probe(now + pause_s):
            pause_s += 0.25
        pauses.append(pause_s)
        now += pause_s

    assert pauses[:5] == sorted(pauses[:5])
    assert 0.75 * MOST_S <= pauses[-1] <= MOST_S


def test_the_first_answer_ends_it():
    outage, _ = failing(9)

    assert outage.answered()
    assert not outage.is_down
    assert not outage.answered()
    assert outage.count == 1
