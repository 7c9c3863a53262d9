"""The simulated time of a simulator: begins at a given moment, runs as fast as it is told, and may jump."""

import datetime
import time

from tests.simulators.kis.market import KST


class SimulatedClock:
    """Seoul time. `speed` simulated seconds pass in one real second."""

    def __init__(self, start: datetime.datetime, *, speed: float = 1.0) -> None:
        self._start, self.speed, self._began = start, speed, time.monotonic()
        self._ahead = datetime.timedelta()

    def now(self) -> datetime.datetime:
        """The moment, in Seoul."""
        passed = datetime.timedelta(seconds=(time.monotonic() - self._began) * self.speed)
        return (self._start + passed + self._ahead).astimezone(KST)

    def jump(self, seconds: float) -> None:
        """Be so much later, or earlier, from now on."""
        self._ahead += datetime.timedelta(seconds=seconds)
