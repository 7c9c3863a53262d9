"""Whose clock says what: how far a terminal's is from this server's, and when by the server's a batch was captured.
Knows no clock itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from terminals.wire import EARLIEST_US

SAMPLES = 5


@dataclass(slots=True)
class ClockOffset:
    """The terminal's clock minus ours, from what it said and when we heard it. A message that was long on its way makes
    a sample smaller, never greater, so the greatest of the last few is the best."""

    _samples: deque[int] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def add(self, said_us: int, heard_us: int) -> None:
        """The terminal's clock in a message, and ours when it came. What is no clock (0, 1970) is left out."""
        if said_us >= EARLIEST_US:
            self._samples.append(said_us - heard_us)

    @property
    def us(self) -> int | None:
        """Microseconds; positive: the terminal is ahead. None while nothing is known."""
        return max(self._samples) if self._samples else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How far a batch's own word on when it was captured is taken, in microseconds."""

    longest_us: int  # how long a terminal may have kept it
    tolerance_us: int  # how exact clocks have to be


def captured_at(captured_us: int, offset_us: int | None, received_us: int, trust: Trust) -> int:
    """When a batch was captured, by the server's clock. Its header says so by the terminal's; what cannot be (after it
    came, longer ago than a terminal may keep it, no time at all) is not believed, and the moment it came counts."""
    if abs(captured_us - received_us) <= trust.tolerance_us:
        return received_us  # it came at once, so both clocks are right and an offset measured earlier says nothing new
    moment_us = captured_us - (offset_us or 0)
    if captured_us < EARLIEST_US or not received_us - trust.longest_us <= moment_us <= received_us + trust.tolerance_us:
        return received_us
    return min(moment_us, received_us)
