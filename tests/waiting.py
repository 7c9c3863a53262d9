"""Waiting for another process: as long as it takes, never longer than it may."""

import time
from collections.abc import Callable
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
