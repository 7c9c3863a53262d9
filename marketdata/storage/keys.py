"""How rows are named: the series they belong to, where a page of them ended, stretches of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from marketdata.types.units import DAY_US

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


_WIDER = 4


def stretches(start_us: int, end_us: int, *, days: int, ascending: bool) -> Iterator[tuple[int, int]]:
    """The time from start_us to end_us in pieces [start, end), from one end on: the first of so many days, each of the
    others several times as long as the one before. Who wants a few rows from one end of years finds them in the first
    pieces, and asks few times if there are none for years."""
    width_us = days * DAY_US
    while start_us < end_us:
        if ascending:
            piece = (start_us, min(end_us, start_us + width_us))
            start_us = piece[1]
        else:
            piece = (max(start_us, end_us - width_us), end_us)
            end_us = piece[0]
        yield piece
        width_us *= _WIDER
