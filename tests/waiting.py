"""Waiting for another process: as long as it takes, never longer than it may."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
PATIENCE = "NARU_PATIENCE"
"""The variable that says how many times as long as a machine with nothing else to do `until` waits: three times in the
tests, of which several suites run at once. Processes of theirs have it from them."""
LONGEST_S = 600.0


def until(ready: Callable[[], T], *, seconds: float, what: str, every: float = 0.05) -> T:
    """The first answer that is true; TimeoutError naming what did not come."""
    longest_s = max(seconds, min(seconds * float(os.environ.get(PATIENCE, "1")), LONGEST_S))
    limit = time.monotonic() + longest_s
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise TimeoutError(f"{what}: not within {longest_s:g} s")
        time.sleep(every)


@contextlib.contextmanager
def limited(seconds: float, what: str) -> Iterator[None]:
    """TimeoutError if what is done within is not over in time, whatever it waits for. In the main thread only."""

    def too_late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"{what}: not over within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
