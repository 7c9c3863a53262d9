"""The clock of a feed: the latest event time seen plus the time that passed since it moved, and never ahead of now.
Right for a live feed, which goes on when nothing trades, and for a replay of an old day alike. Knows no wall clock."""

from __future__ import annotations

from marketdata.types.units import MINUTE_US


class FeedClock:
    """All times in microseconds UTC; `now_us` is the caller's. A minute is over `grace_us` after it ended."""

    def __init__(self, *, grace_us: int) -> None:
        self._grace_us = grace_us
        self._event_us: int | None = None
        self._moved_us = 0

    def move(self, event_us: int, now_us: int) -> None:
        """An event of this time was seen."""
        if self._event_us is None or event_us > self._event_us:
            self._event_us, self._moved_us = event_us, now_us

    def at(self, now_us: int) -> int | None:
        """The feed's time; None before its first event."""
        if self._event_us is None:
            return None
        return min(now_us, self._event_us + max(now_us - self._moved_us, 0))

    def ended_at(self, event_us: int) -> int:
        """Minutes that start before this are over when it is `event_us`."""
        return (event_us - self._grace_us) // MINUTE_US * MINUTE_US

    def ended(self, now_us: int) -> int | None:
        """Minutes that start before this are over now; None before the feed's first event."""
        clock = self.at(now_us)
        return None if clock is None else self.ended_at(clock)
