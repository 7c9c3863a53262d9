"""What a terminal could not write because its spool or its disk was full: rows that it dropped, as a count and bounds,
and gaps that a source reported, until they are written as a gap batch."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from terminals.wire import BATCH_GAPS, Gap, encode_gaps, gap_reasons

EVERY_S: Final = 1.0


class DropCounter:
    """Of one feed. While dropping goes on, one gap a second is due, so that a crash forgets little."""

    def __init__(self, feed: str) -> None:
        self.feed = feed
        self.total = 0
        self._rows = 0
        self._from_us = self._to_us = 0
        self._since = 0.0
        self._kept: dict[tuple[str | None, int | None, str], Gap] = {}

    def count(self, rows: int, from_us: int, to_us: int, *, now: float) -> None:
        """These rows are gone."""
        self._begin(now)
        if self._rows == 0:
            self._from_us, self._to_us = from_us, to_us
        self._from_us, self._to_us = min(self._from_us, from_us), max(self._to_us, to_us)
        self._rows += rows
        self.total += rows

    def keep(self, gaps: Iterable[Gap], *, now: float) -> None:
        """These gaps could not be written yet. Those of one symbol, day and reason become one, so that there are never
        more than these."""
        self._begin(now)
        for gap in gaps:
            key = (gap.symbol, gap.trade_date, gap.reason)
            before = self._kept.get(key)
            self._kept[key] = gap if before is None else _joined(before, gap)

    @property
    def waits(self) -> bool:
        """Whether there is something that is not written yet."""
        return bool(self._rows or self._kept)

    def gaps(self) -> list[Gap]:
        """What is not written yet."""
        dropped = [Gap(self._from_us, self._to_us, self._rows, gap_reasons.SPOOL_FULL)] if self._rows else []
        return dropped + list(self._kept.values())

    def due(self, now: float) -> bool:
        """Whether it is time to write a gap although the spool is still full."""
        return self.waits and now >= self._since + EVERY_S

    def payload(self, captured_us: int) -> bytes:
        """The gap batch; of more than BATCH_GAPS gaps the first so many."""
        return encode_gaps(0, self.feed, captured_us, self.gaps()[:BATCH_GAPS])

    def written(self) -> None:
        """The gap batch is in the spool."""
        for key in list(self._kept)[: BATCH_GAPS - (1 if self._rows else 0)]:
            del self._kept[key]
        self._rows = 0

    def _begin(self, now: float) -> None:
        if not self.waits:
            self._since = now


def _joined(one: Gap, other: Gap) -> Gap:
    missing = None if one.missing is None and other.missing is None else (one.missing or 0) + (other.missing or 0)
    from_us, to_us = min(one.from_us, other.from_us), max(one.to_us, other.to_us)
    return replace(one, from_us=from_us, to_us=to_us, rows=one.rows + other.rows, missing=missing)
