"""When a batch is full or has waited long enough. Knows no clock and no disk: every call brings the time."""

from collections.abc import Mapping
from typing import Any

from terminals.wire import WIDTHS, BatchError, Column, Columns

_BOUNDS = {
    column.name.lower(): (0, 255) if width == 1 else (1 - 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1)
    for column, width in WIDTHS.items()
    if column is not Column.SYMBOL
}
_KNOWN_SYMBOLS = 100_000

Row = Mapping[str, Any]
"""One tick: the keyword arguments of `Columns.append`, prices as integers of 1e-8, sizes of 1e-6."""


class Batcher:
    """Collects rows until `max_rows` are there or the first has waited `max_wait_s`."""

    def __init__(self, max_rows: int, max_wait_s: float) -> None:
        self._max_rows, self._max_wait_s = max_rows, max_wait_s
        self.columns = Columns()
        self.from_us: int | None = None
        self.to_us: int | None = None
        self._since = 0.0
        self._symbols: set[str] = set()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def full(self) -> bool:
        """No further row may be added."""
        return len(self.columns) >= self._max_rows

    def add(self, row: Row, *, now: float, now_us: int) -> None:
        """One more row; BatchError if a value fits no column. Without a time it counts as seen now."""
        for name, value in row.items():
            if value is not None:
                self._check(name, value)
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

    def _check(self, name: str, value: object) -> None:
        # Here and not when the batch is encoded: one wrong row must not hold up the others.
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            if not isinstance(value, int) or not low <= value <= high:
                raise BatchError("bad_batch", f"{name} is an integer from {low} to {high}, not {value!r}")
        elif name == "symbol" and value not in self._symbols:
            if not isinstance(value, str) or not (value.isascii() and value.isprintable() and 1 <= len(value) <= 24):
                raise BatchError("bad_batch", f"symbol {value!r} must be 1 to 24 printable ASCII characters")
            if len(self._symbols) < _KNOWN_SYMBOLS:
                self._symbols.add(value)

    def clear(self) -> None:
        """Start the next batch."""
        self.columns = Columns()
        self.from_us = self.to_us = None
