"""What the sheet of Infomax and the stream of Bloomberg showed against what the database has of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Picture = tuple[int, int]
"""Price and volume of the day."""


@dataclass(frozen=True)
class Streamed:
    """Trades of one security."""

    stored: int
    doubled: int
    in_gaps: int
    """Not stored, and a gap says so."""
    lost: int
    """Not stored, and nothing says so; or stored and never said."""


def of_stream(said: int, stored: Sequence[tuple[int, int]], gaps: Sequence[tuple[int, int]]) -> Streamed:
    """Trades 1 to `said` against those `stored`, (number, time) each, and `gaps` from and to a time. What is missing
    between two trades is told if a gap touches the time between them."""
    times = dict(stored)
    in_gaps, lost = 0, sum(not 1 <= number <= said for number in times)
    before, known = float("-inf"), [*sorted(number for number in times if 1 <= number <= said), said + 1]
    expected = 1
    for number in known:
        behind = times.get(number, float("inf"))
        if number > expected:
            told = any(start <= behind and end >= before for start, end in gaps)
            in_gaps, lost = (in_gaps + number - expected, lost) if told else (in_gaps, lost + number - expected)
        before, expected = behind, number + 1
    return Streamed(len(stored), len(stored) - len(times), in_gaps, lost)


@dataclass(frozen=True)
class Sheet:
    """Pictures of one code."""

    stored: int
    unread: int
    """Shown and followed by another before the sheet was read: a sheet is polled, and has no history."""
    invented: int
    """Stored and never shown."""
    stale: int
    """1 if the last picture that was shown is not the last that is stored."""


def of_sheet(shown: Sequence[Picture], stored: Sequence[Picture]) -> Sheet:
    """Pictures in their order."""
    return Sheet(
        stored=len(stored),
        unread=len(set(shown) - set(stored)),
        invented=sum(picture not in set(shown) for picture in stored),
        stale=int(not stored or stored[-1] != shown[-1]),
    )
