"""The real time for sources: what time it is, and waiting that a stop cuts short."""

import threading
import time


class Clock:
    """The clocks of this machine. `wait` answers False when the program is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return time.time_ns() // 1000

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Let time pass; False if the program is to stop."""
        return not self._stop.wait(max(0.0, seconds))
