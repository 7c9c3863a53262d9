"""What one database holds, compared with what the terminals have; of several that should be equal, each has one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.drill import accounting, recorded_state
from tests.drill.accounting import Candle, Key, Row, Series
from tests.drill.recorded_state import Book, Spools


@dataclass(frozen=True, slots=True)
class Held:
    """The account of one database. `contents` of two are equal within a process if both hold the same, in any order."""

    rows: accounting.Rows
    wrong: list[str]
    """A line for each candle that is not what the ticks say."""
    streams: dict[tuple[str, str], int]
    commits: list[tuple[int, int]]
    gaps: int
    dead_letters: int
    candles: dict[Series, Candle]
    contents: tuple[int, int, frozenset[tuple[int, int]]]


def account(book: Book, spools: Mapping[str, Spools]) -> Held:
    """Read all of it, row by row."""
    candles = accounting.Candles()
    found: Counter[int] = Counter()
    streams, refused = book.streams(), book.refused()

    def seen() -> Iterator[tuple[Key, Row]]:
        for key, row in itertools.chain(accounting.through(book.ticks(), candles), book.records()):
            found[hash((key, row))] += 1
            yield key, row

    rows = accounting.rows(recorded_state.keyed(spools, streams), seen(), refused)
    stored = dict(book.candles())
    commits = book.commits()
    return Held(
        rows=rows,
        wrong=accounting.mismatches(candles.all(), book.candles()),
        streams=streams,
        commits=sorted(commits),
        gaps=book.number("SELECT COUNT(*) FROM gap"),
        dead_letters=book.number("SELECT COUNT(*) FROM dead_letter"),
        candles=stored,
        contents=(hash(frozenset(found.items())), hash(frozenset(stored.items())), frozenset(commits)),
    )
