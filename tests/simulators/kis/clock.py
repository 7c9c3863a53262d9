"""The simulated time of a simulator: begins at a given moment, runs as fast as it is told, and may jump."""

import datetime
import time

from tests.simulators.kis.market import KST


class SimulatedClock:
    """Seoul time. `speed` simulated seconds pass in one real second, and none after `end`."""

    def __init__(self, start: datetime.datetime, *, speed: float = 1.0, end: datetime.datetime | None = None) -> None:
        self._start, self.speed, self._began, self._end = start, speed, time.monotonic(), end
        self._ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        """The moment, in Seoul."""
        passed = datetime.timedelta(seconds=(time.monotonic() - self._began) * self.speed)
        moment = self._start + passed + self._ahead
        return (moment if self._end is None else min(moment, self._end)).astimezone(KST)

    def jump(self, seconds: float) -> None:
        """Be so much later, or earlier, from now on."""
        self._ahead += datetime.timedelta(seconds=seconds)
