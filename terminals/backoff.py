"""How long to wait before the next connection: full jitter, so that a hundred terminals do not come back at once."""

import random

BASE_S = 0.2
MOST_S = 30.0


class Backoff:
    """Grows with each failure and starts over after a success."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0

    def succeeded(self) -> None:
        """A session was welcomed."""
        self._failures = 0

    def elsewhere(self) -> float:
        """Seconds to wait before another address is tried that was not yet since the last success: 0 to 0.2."""
        return self._rng.uniform(0.0, BASE_S)

    def failed(self, at_least_s: float = 0.0) -> float:
        """Seconds to wait now: at least what the server asked for, plus 0 to 0.2 x 2^failures, at most 30."""
        most = min(MOST_S, BASE_S * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return at_least_s + self._rng.uniform(0.0, most)
