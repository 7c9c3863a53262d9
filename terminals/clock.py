"""The real time for sources: what time it is, and waiting that a stop cuts short. There is one `now` for whatever a
source stamps itself: the server's, as far as it has told.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from terminals.wire.limits import EARLIEST_US

_SAMPLES: Final = 5
_SET_US: Final = 1_000_000  # no two clocks drift so fast: the other clock was set, or a message was late


def wall_us() -> int:
    """Microseconds since 1970 UTC by this machine's clock, whoever has set it."""
    return time.time_ns() // 1000


def steady_us() -> int:
    """Microseconds of a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return (time.monotonic_ns() if boot is None else time.clock_gettime_ns(boot)) // 1000


class ServerTime:
    """What time it is by the server: counted on, by a clock that nobody sets, from what the server said. By this
    machine's own clock before it has said anything. For any thread.

    A message is late and never early, so the time is a little behind the server's and not ahead of it: no row that is
    stamped by it is of the server's future."""

    def __init__(self, *, wall_us: Callable[[], int] = wall_us, steady_us: Callable[[], int] = steady_us) -> None:
        self._wall_us, self._steady_us = wall_us, steady_us
        self._samples: deque[int] = deque(maxlen=_SAMPLES)  # its clock less the steady one
        self._fallen: int | None = None  # the last sample, if it was far below
        self._ahead_us: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the server has said what time it is."""
        return self._ahead_us is not None

    def heard(self, server_us: int, *, read_us: int | None = None) -> None:
        """The server's clock in a message that was read at `read_us` of the steady clock, or just now. What is no clock
        (0, 1970) is left out. A clock set back is believed when two successive messages agree on it: one alone may have
        been late, and two that were read together after a pause are late by different times."""
        if server_us < EARLIEST_US:
            return
        sample = server_us - (self._steady_us() if read_us is None else read_us)
        before, self._fallen = self._fallen, None
        if self._samples and sample < max(self._samples) - _SET_US:
            if before is None or abs(sample - before) > _SET_US:
                self._fallen = sample
                return
            self._samples.clear()
        self._samples.append(sample)
        self._ahead_us = max(self._samples)

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        ahead_us = self._ahead_us
        return self._wall_us() if ahead_us is None else self._steady_us() + ahead_us


class Clock:
    """Time for one run of a source. `wait` answers False when the program is to stop."""

    def __init__(self, stop: threading.Event, now_us: Callable[[], int] = wall_us) -> None:
        self._stop, self._now_us = stop, now_us

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._now_us()

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Let time pass; False if the program is to stop."""
        return not self._stop.wait(max(0.0, seconds))
