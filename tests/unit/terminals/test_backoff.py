"""Reconnects are spread out, and later ones wait longer."""

import random

from terminals.backoff import Backoff


class Extreme(random.Random):
    """Always the longest wait."""

    def uniform(self, a, b):
        return b


def test_the_longest_wait_doubles_up_to_thirty_seconds():
    backoff = Backoff(Extreme())

    assert [backoff.failed() for _ in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    assert all(backoff.failed() == 30.0 for _ in range(2000))


def test_a_welcome_starts_over():
    backoff = Backoff(Extreme())
    for _ in range(5):
        backoff.failed()

    backoff.succeeded()

    assert backoff.failed() == 0.2


def test_every_wait_is_somewhere_between_nothing_and_the_longest():
    backoff = Backoff(random.Random(1))
    waits = [backoff.failed() for _ in range(200)][8:]

    assert all(0 <= wait <= 30 for wait in waits)
    assert min(waits) < 3 < 27 < max(waits)


def test_what_the_server_asks_for_is_waited_at_least():
    assert 5.0 <= Backoff(random.Random(2)).failed(at_least_s=5.0) <= 5.2
