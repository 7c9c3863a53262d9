"""Waiting for another process: as long as it takes, never longer than it may."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


def until(ready: Callable[[], T], *, seconds: float, what: str, every: float = 0.05) -> T:
    """The first answer that is true; TimeoutError naming what did not come."""
    limit = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        if time.monotonic() > limit:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
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
