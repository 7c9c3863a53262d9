"""Nothing that is waited for lasts for ever."""

import queue

import pytest

from tests.waiting import limited, until


def test_what_blocks_is_ended_by_the_limit_around_it():
    with pytest.raises(TimeoutError, match=r"the day: not over within 0\.05 s"), limited(0.05, "the day"):
        queue.SimpleQueue().get()


def test_what_ends_in_time_is_not_disturbed_afterwards():
    with limited(60, "a moment"):
        pass

    assert until(lambda: True, seconds=1, what="at once")
