"""How long a batch may take to commit before it is driven again: learnt from commits, never from losses."""

import pytest

from ingest.in_flight import InFlightBatch, InFlightWindow


class Market:
    """One batch a second; `send` answers how long a lost one would wait."""

    def __init__(self):
        self.in_flight = InFlightWindow(max_messages=4, message_ticks=5_000, redrive_s=5.0)
        self.now = 0.0
        self.number = 0

    def send(self, *, commit_s):
        self.now += 1.0
        self.number += 1
        entry = InFlightBatch(
            number=self.number, stream=1, seq=self.number, payload=b"batch", rows=1, received_us=0, source_id=1,
            register_market=None, since=self.now,
        )  # fmt: skip
        self.in_flight.add(entry)
        self.publish()
        if commit_s is None:
            self.now = entry.due
            assert self.in_flight.overdue(self.now) == [entry]
            self.publish()
            commit_s = 0.02
        self.now += commit_s
        self.in_flight.settle(entry.number, self.now)

    def publish(self):
        self.in_flight.published(self.in_flight.next_message(), self.now)


@pytest.fixture
def market():
    return Market()


def test_lost_messages_do_not_make_later_ones_wait_longer(market):
    for number in range(600):
        market.send(commit_s=None if number % 60 == 30 else 0.02)

    assert market.in_flight.delay_s() == 5.0


def test_what_people_are_shown_counts_the_loss(market):
    for number in range(20):
        market.send(commit_s=None if number == 10 else 0.02)

    assert market.in_flight.latency_s()[1] > 5.0


def test_a_slow_database_is_given_three_times_what_it_takes(market):
    for _ in range(600):
        market.send(commit_s=4.0)

    assert market.in_flight.delay_s() == pytest.approx(12.0)


def test_a_database_slower_than_the_first_guess_is_learnt_all_the_same(market):
    window = market.in_flight
    for number in range(1, 4):
        entry = InFlightBatch(
            number=number, stream=1, seq=number, payload=b"batch", rows=1, received_us=0, source_id=1,
            register_market=None, since=market.now,
        )  # fmt: skip
        window.add(entry)
        market.publish()
        if market.now + 8.0 > (due := entry.due):
            window.overdue(due)
            window.published(window.next_message(), due)
        market.now += 8.0
        window.settle(number, market.now)

    assert window.delay_s() == pytest.approx(24.0)
