"""What time it is by the clock of KIS, which only PINGPONG tells. One for all sessions: there is one KIS."""

from collections.abc import Callable
from typing import Final

from terminals.clock import steady_us as steady
from terminals.sources.kis import korean_time

# PINGPONG tells whole seconds: less than this is no difference between the clocks.
_CLOCK_US: Final = 1_500_000
_DAY_US: Final = 6 * 3_600_000_000
"""A clock that is less wrong finds the right date for a time of day, and one that is more may not."""


class ServiceClock:
    """Kept against a clock that nobody sets: our own (`base_us`) jumps when the server says what time it is."""

    def __init__(self, base_us: Callable[[], int], steady_us: Callable[[], int] = steady) -> None:
        self._base_us, self._steady_us = base_us, steady_us
        self._ahead_us: int | None = None  # of the steady clock
        self.is_known = False
        """Whether a record without a date can be dated: something of KIS has told its time, or nothing did for long."""

    def heard(self, moment: str) -> None:
        """The time in a PINGPONG that has just come. ValueError if it is none."""
        # Their second began up to one second ago.
        self._ahead_us = korean_time.read_moment(moment) + 500_000 - self._steady_us()
        self.is_known = True

    def seen(self, time_us: int) -> None:
        """A record that has just come is of that time: it tells the date as long as PINGPONG has told nothing."""
        if self._ahead_us is None and abs(time_us - self._base_us()) > _DAY_US:
            self._ahead_us = time_us - self._steady_us()
        self.is_known = True

    def presume(self) -> None:
        """Nothing has told the time for long: our own clock has to do."""
        self.is_known = True

    def at_us(self, steady_us: int) -> int:
        """What time it was by KIS at a moment of the steady clock."""
        return self.now_us() - (self._steady_us() - steady_us)

    @property
    def offset_us(self) -> int:
        """How far the clock of KIS is ahead of ours; 0 for what may be none, and before KIS has said anything."""
        if self._ahead_us is None:
            return 0
        offset_us = self._steady_us() + self._ahead_us - self._base_us()
        return offset_us if abs(offset_us) > _CLOCK_US else 0

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self._base_us() + self.offset_us
