"""When a batch is full or has waited long enough. Knows no clock and no disk: every call brings the time."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from terminals.wire import WIDTHS, BatchError, Books, Column, Columns, Encoding, Events, Kind
from terminals.wire.batch_header import check_feed
from terminals.wire.packing import check_symbol

_BOUNDS = {
    column.name.lower(): (0, 255) if width == 1 else (1 - 2 ** (8 * width - 1), 2 ** (8 * width - 1) - 1)
    for column, width in WIDTHS.items()
    if column is not Column.SYMBOL
}
_SOON_S: Final = 0.01
_MANY: Final = 16
_ENCODINGS = {Kind.BOOK: Encoding.BOOKS, Kind.STATUS: Encoding.EVENTS}

Row = Mapping[str, Any]
"""One row: the keyword arguments of `Columns.append`, or of `Books.append` if its `kind` is BOOK, or of `Events.append`
if it is STATUS. Prices as integers of 1e-8, sizes of 1e-6."""


class UnfitRows(BatchError):
    """Some rows fit no column, and all others were taken; `places` says which, from 0."""

    def __init__(self, message: str, places: list[int]) -> None:
        super().__init__("bad_batch", message)
        self.places = places


class Batcher:
    """Rows of one feed and encoding, at most `max_rows`."""

    def __init__(self, feed: str, encoding: Encoding, max_rows: int) -> None:
        """BatchError if the feed can be none."""
        check_feed(feed)
        self.feed = feed
        self._max_rows = max_rows
        self._content: Columns | Books | Events
        self._content = {Encoding.BOOKS: Books, Encoding.EVENTS: Events}.get(encoding, Columns)()
        self.from_us: int | None = None
        self.to_us: int | None = None
        self.since = float("inf")
        """When the first row came; never while there is none."""

    def __len__(self) -> int:
        return len(self._content)

    @property
    def full(self) -> bool:
        """No further row may be added."""
        return len(self._content) >= self._max_rows or self._content.full

    def add(self, row: Row, *, now: float, now_us: int) -> None:
        """One more row; BatchError if a value fits no column. Without a time it counts as seen now."""
        if isinstance(self._content, Columns):
            for name, value in row.items():
                if value is not None:
                    _check(name, value)
        self._content.append(**row)
        if len(self._content) == 1:
            self.since = now
        event_us = row.get("time_us")
        event_us = now_us if event_us is None else event_us
        self.from_us = event_us if self.from_us is None else min(self.from_us, event_us)
        self.to_us = event_us if self.to_us is None else max(self.to_us, event_us)

    def encode(self, captured_us: int) -> bytes:
        """The batch of what is here, as number 1."""
        return self._content.encode(1, self.feed, captured_us)


class Batchers:
    """Whatever waits to become a batch, by feed and encoding. One limit of rows and of waiting for all; what was taken
    out is forgotten, so that it holds no more than its rows."""

    def __init__(self, max_rows: int, max_wait_s: float) -> None:
        self._max_rows, self._max_wait_s = max_rows, max_wait_s
        self._waiting: dict[tuple[str, Encoding], Batcher] = {}

    def __iter__(self) -> Iterator[Batcher]:
        """Those that have rows."""
        return iter([one for one in self._waiting.values() if len(one)])

    def of(self, feed: str, row: Row) -> Batcher:
        """Where a row of a feed goes; BatchError if the feed can be none."""
        encoding = _ENCODINGS.get(row.get("kind", Kind.TRADE), Encoding.COLUMNS)
        found = self._waiting.get((feed, encoding))
        if found is None:
            found = self._waiting[feed, encoding] = Batcher(feed, encoding, self._max_rows)
        return found

    def due_at(self, uncommitted: int) -> float:
        """When what waits is to leave, all of it together: 10 ms after the first row, and the later the more of our
        batches the server has still to commit, for a busy one larger ones cost less; after `max_wait_s` from 16 on.
        Never if there are no rows."""
        wait_s = max(min(_SOON_S, self._max_wait_s), self._max_wait_s * min(1.0, uncommitted / _MANY))
        return min((one.since for one in self._waiting.values()), default=float("inf")) + wait_s

    def forget(self, batcher: Batcher) -> None:
        """Its rows are somewhere else."""
        self._waiting = {key: one for key, one in self._waiting.items() if one is not batcher}


def _check(name: str, value: object) -> None:
    # Here and not when the batch is encoded: one wrong row must not hold up the others.
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        if not isinstance(value, int) or not low <= value <= high:
            raise BatchError("bad_batch", f"{name} is an integer from {low} to {high}, not {value!r}")
    elif name == "symbol":
        _check_symbol(value)


_check_symbol = lru_cache(maxsize=100_000)(check_symbol)
