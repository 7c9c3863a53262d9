"""What the sheet of Infomax and the stream of Bloomberg showed against what the database has of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Picture = tuple[int, int]
"""Price and volume of the day."""
Span = tuple[float, float]
"""From and to a time, in UTC microseconds."""
LATE_US = 1_000_000
"""So late what was said may be heard on a loaded machine."""
READ_US = 2_500_000
"""A sheet that shows something for so long is read meanwhile, also where it was half-written at first."""


@dataclass(frozen=True)
class Streamed:
    """Trades of one security."""

    stored: int
    doubled: int
    in_gaps: int
    """Not stored, and a gap says so."""
    lost: int
    """Not stored, and nothing says so; or stored and never said."""


def of_stream(
    said: Sequence[int], stored: Sequence[int], gaps: Sequence[Span], *, late_us: float = LATE_US
) -> Streamed:
    """Trades 1, 2, … that were `said` at these times against the numbers that are `stored`. One that is missing is told
    if it was said within a gap, or up to `late_us` before one: then it was to be heard within it."""
    there, missing = set(stored), [number for number in range(1, len(said) + 1) if number not in set(stored)]
    told = sum(any(start - late_us <= said[number - 1] <= end for start, end in gaps) for number in missing)
    invented = sum(not 1 <= number <= len(said) for number in there)
    return Streamed(len(stored), len(stored) - len(there), told, len(missing) - told + invented)


@dataclass(frozen=True)
class Sheet:
    """Pictures of one code."""

    stored: int
    unread: int
    """Shown and followed by another before the sheet was read: a sheet is polled, and has no history."""
    missed: int
    """Of these, pictures that were there long enough while the terminal ran."""
    invented: int
    """Stored and never shown."""
    stale: int
    """1 if the last picture that was shown is not the last that is stored."""


def of_sheet(
    shown: Sequence[tuple[int, int, int]], stored: Sequence[Picture], away: Sequence[Span], *, read_us: float = READ_US
) -> Sheet:
    """Pictures in their order, with the time from which on each was there, against those `stored`. `away`: when no
    terminal read."""
    pictures, there = [(price, volume) for price, volume, _at in shown], set(stored)
    unread = missed = 0
    for place, picture in enumerate(pictures):
        if picture in there:
            continue
        unread += 1
        # The last one has no end: it is stale instead.
        if place + 1 < len(shown):
            start, end = shown[place][2], shown[place + 1][2]
            parts = _without((start, end), away)
            missed += any(to - since >= read_us for since, to in parts)
    return Sheet(
        stored=len(stored),
        unread=unread,
        missed=missed,
        invented=sum(picture not in set(pictures) for picture in stored),
        stale=int(not stored or stored[-1] != pictures[-1]),
    )


def _without(time: Span, away: Sequence[Span]) -> list[Span]:
    """The parts of a time that lie in none of the others."""
    parts = [time]
    for start, end in away:
        parts = [
            part
            for since, to in parts
            for part in ((since, min(to, start)), (max(since, end), to))
            if part[0] < part[1]
        ]
    return parts
