"""What time it is by the clock of KIS, which only PINGPONG tells."""

from collections.abc import Callable
from typing import Final

from terminals.clock import steady_us as steady
from terminals.sources.kis import korean_time

# PINGPONG tells whole seconds: less than this is no difference between the clocks.
_CLOCK_US: Final = 1_500_000


class ServiceClock:
    """Kept against a clock that nobody sets: our own (`base_us`) jumps when the server says what time it is."""

    def __init__(self, base_us: Callable[[], int], steady_us: Callable[[], int] = steady) -> None:
        self._base_us, self._steady_us = base_us, steady_us
        self._ahead_us: int | None = None  # of the steady clock

    def heard(self, moment: str) -> None:
        """The time in a PINGPONG that has just come. ValueError if it is none."""
        # Their second began up to one second ago.
        self._ahead_us = korean_time.read_moment(moment) + 500_000 - self._steady_us()

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
