"""When a batch is full or has waited long enough. Knows no clock and no disk: every call brings the time."""

from collections.abc import Mapping
from typing import Any

from terminals.wire import Columns

Row = Mapping[str, Any]
"""One tick: the keyword arguments of `Columns.append`, prices as integers of 1e-8, sizes of 1e-4."""


class Batcher:
    """Collects rows until `max_rows` are there or the first has waited `max_wait_s`."""

    def __init__(self, max_rows: int, max_wait_s: float) -> None:
        self._max_rows, self._max_wait_s = max_rows, max_wait_s
        self.clear()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def full(self) -> bool:
        """No further row may be added."""
        return len(self.columns) >= self._max_rows

    def add(self, row: Row, *, now: float, now_us: int) -> None:
        """One more row; a row without a time counts as seen now in the bounds of a gap."""
        self.columns.append(**row)
        if len(self.columns) == 1:
            self._since = now
        event_us = row.get("time_us")
        event_us = now_us if event_us is None else event_us
        self.from_us = event_us if self.from_us is None else min(self.from_us, event_us)
        self.to_us = event_us if self.to_us is None else max(self.to_us, event_us)

    def due_at(self) -> float:
        """When the rows here have waited long enough; never if there are none."""
        return self._since + self._max_wait_s if len(self.columns) else float("inf")

    def clear(self) -> None:
        """Start the next batch."""
        self.columns = Columns()
        self._since = 0.0
        self.from_us: int | None = None
        self.to_us: int | None = None
