"""What a terminal had to drop because its spool was full: a count and bounds, until they are written as a gap batch."""

from terminals.wire import encode_gap

EVERY_S = 1.0


class DropCounter:
    """Counts dropped rows of a feed. While dropping goes on, one gap a second is due, so that a crash forgets
    little."""

    def __init__(self, feed: str) -> None:
        self._feed = feed
        self.rows = 0
        self.total = 0
        self._from_us = self._to_us = 0
        self._since = 0.0

    def count(self, rows: int, from_us: int, to_us: int, *, now: float) -> None:
        """These rows are gone."""
        if self.rows == 0:
            self._from_us, self._to_us, self._since = from_us, to_us, now
        self._from_us, self._to_us = min(self._from_us, from_us), max(self._to_us, to_us)
        self.rows += rows
        self.total += rows

    def due(self, now: float) -> bool:
        """Whether it is time to write a gap although the spool is still full."""
        return self.rows > 0 and now >= self._since + EVERY_S

    def payload(self, captured_us: int) -> bytes:
        """The gap batch."""
        return encode_gap(0, self._feed, captured_us, self._from_us, self._to_us, self.rows, "spool_full")

    def written(self) -> None:
        """The gap batch is in the spool."""
        self.rows = 0
