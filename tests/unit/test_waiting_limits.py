"""Nothing that is waited for lasts for ever."""

import queue

import pytest

from tests import waiting
from tests.waiting import limited, until


def test_what_blocks_is_ended_by_the_limit_around_it():
    with pytest.raises(TimeoutError, match=r"the day: not over within 0\.05 s"), limited(0.05, "the day"):
        queue.SimpleQueue().get()


def test_what_ends_in_time_is_not_disturbed_afterwards():
    with limited(60, "a moment"):
        pass

    assert until(lambda: True, seconds=1, what="at once")


@pytest.mark.parametrize(
    ("seconds", "patience", "longest"),
    [(0.01, "3", "0.03"), (0.01, "1", "0.01"), (0.3, "3", "0.3"), (0.2, "3", "0.25")],
)
def test_a_machine_that_does_much_else_is_given_longer_up_to_a_limit(monkeypatch, seconds, patience, longest):
    monkeypatch.setenv(waiting.PATIENCE, patience)
    monkeypatch.setattr(waiting, "LONGEST_S", 0.25)

    with pytest.raises(TimeoutError, match=f"^a moment: not within {longest} s$"):
        until(lambda: False, seconds=seconds, what="a moment", every=0.001)
