"""How rows are named: the series they belong to, where a page of them ended, stretches of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# A source's own trading date is at most 7 days from the event's UTC date (ingest.validation); a market's is nearer.
NEAR_DAYS = 8
Series = tuple[str, str]
"""Symbol and feed."""
Key = tuple[int, int]
"""Time and number of a row, among those of a day."""


class Span(NamedTuple):
    """A stretch of a symbol's events: of one trading date (days since 1970), first_us <= time <= last_us."""

    symbol: str
    day: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class TickKey:
    """Where a page of rows ended: the next one starts after (or, descending, before) it. `tick_id` is 0 for candles."""

    symbol: str
    time_us: int
    tick_id: int = 0
