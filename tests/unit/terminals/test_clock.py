"""Which time it is: the server's, whatever anybody does to the clock of this machine."""

import threading

import pytest

from terminals.clock import Clock, ServerTime

NOON_US = 1_790_000_000_000_000
S = 1_000_000


class Machine:
    """Its clock on the wall and the one that nobody sets, both in microseconds."""

    def __init__(self, ahead_s: float) -> None:
        self.wall_us, self.steady_us = NOON_US + int(ahead_s * S), 5 * S
        self.time = ServerTime(wall_us=lambda: self.wall_us, steady_us=lambda: self.steady_us)

    def later(self, seconds: float) -> None:
        self.wall_us += int(seconds * S)
        self.steady_us += int(seconds * S)


@pytest.mark.parametrize("ahead_s", [90, -90])
def test_it_is_the_servers_time_as_soon_as_the_server_has_told_it(ahead_s):
    machine = Machine(ahead_s)
    before = machine.time.now_us()
    machine.time.heard(NOON_US)
    machine.later(7)

    assert before == NOON_US + ahead_s * S
    assert machine.time.is_known
    assert machine.time.now_us() == NOON_US + 7 * S


def test_a_clock_that_is_set_right_meanwhile_changes_nothing():
    machine = Machine(90)
    machine.time.heard(NOON_US)
    machine.wall_us -= 90 * S

    assert machine.time.now_us() == NOON_US


def test_a_message_that_was_long_on_its_way_does_not_set_the_time_back():
    machine = Machine(0)
    machine.time.heard(NOON_US)
    machine.later(10)
    machine.time.heard(NOON_US + 10 * S - 400_000)

    assert machine.time.now_us() == NOON_US + 10 * S


def test_a_message_that_was_seconds_on_its_way_does_not_set_the_time_back():
    machine = Machine(0)
    machine.time.heard(NOON_US)
    machine.later(10)
    machine.time.heard(NOON_US + 7 * S)
    after_one = machine.time.now_us()
    machine.later(10)
    machine.time.heard(NOON_US + 20 * S)
    machine.later(10)
    machine.time.heard(NOON_US + 27 * S)

    assert after_one == NOON_US + 10 * S
    assert machine.time.now_us() == NOON_US + 30 * S


def test_messages_that_waited_together_do_not_set_the_time_back():
    machine = Machine(0)
    machine.time.heard(NOON_US)
    machine.later(30)
    for said_s in (10, 20):
        machine.time.heard(NOON_US + said_s * S)

    assert machine.time.now_us() == NOON_US + 30 * S


def test_a_message_that_waited_after_it_was_read_tells_the_time_of_its_reading():
    machine = Machine(0)
    read_us = machine.steady_us
    machine.later(3)
    machine.time.heard(NOON_US, read_us=read_us)

    assert machine.time.now_us() == NOON_US + 3 * S


def test_a_servers_clock_that_was_set_forward_is_followed_at_once():
    machine = Machine(0)
    machine.time.heard(NOON_US)
    machine.later(10)
    machine.time.heard(NOON_US + 100 * S)

    assert machine.time.now_us() == NOON_US + 100 * S


def test_a_servers_clock_that_was_set_back_is_followed_when_two_messages_agree():
    machine = Machine(0)
    machine.time.heard(NOON_US)
    machine.later(10)
    machine.time.heard(NOON_US - 80 * S)
    after_one = machine.time.now_us()
    machine.later(10)
    machine.time.heard(NOON_US - 70 * S)

    assert after_one == NOON_US + 10 * S
    assert machine.time.now_us() == NOON_US - 70 * S


def test_what_is_no_clock_tells_nothing():
    machine = Machine(3)
    machine.time.heard(0)

    assert not machine.time.is_known
    assert machine.time.now_us() == NOON_US + 3 * S


def test_a_source_is_given_that_time():
    machine = Machine(90)
    clock = Clock(threading.Event(), machine.time.now_us)
    machine.time.heard(NOON_US)

    assert clock.now_us() == NOON_US
