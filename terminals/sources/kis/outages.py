"""Whether a service answers at all. While it does not, one call at a time looks whether it is back, ever less often.
Knows no clock: calls bring the time.
"""

import random
from typing import Final

_DOWN_AFTER: Final = 5
FIRST_S: Final = 1.0
MOST_S: Final = 60.0


class Outage:
    """Of one client. After five calls in a row that brought nothing it is down; then each probe that brings nothing
    makes the pause twice as long, 1 second to 1 minute, less a random quarter. Any answer ends it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0
        self._probe_at = float("-inf")
        self.count = 0
        """How often it went down."""

    @property
    def is_down(self) -> bool:
        """Whether calls are probes now."""
        return self._failures >= _DOWN_AFTER

    def may_probe(self, now: float) -> bool:
        """Whether it is time for the next probe, if it is down."""
        return now >= self._probe_at

    def failed(self, now: float) -> bool:
        """A call brought nothing, with all its repetitions. Whether it is down by that."""
        if self.is_down and now < self._probe_at:
            return False  # a call that was begun before
        self._failures += 1
        if self.is_down:
            doublings = min(self._failures - _DOWN_AFTER, 10)
            self._probe_at = now + min(MOST_S, FIRST_S * 2.0**doublings) * self._rng.uniform(0.75, 1.0)
        if self._failures != _DOWN_AFTER:
            return False
        self.count += 1
        return True

    def answered(self) -> bool:
        """The service has answered, if only with a refusal. Whether it was down."""
        was_down = self.is_down
        self._failures = 0
        return was_down
