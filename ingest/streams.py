"""How far a terminal's spool is committed: a cumulative seq and what lies above it. One object per spool, for all its
sessions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOST_RANGES = 64


@dataclass(slots=True)
class Stream:
    """The server's picture of one spool; the ledger is the truth behind it. A million batches above a hole are one
    span."""

    id: int
    commit: int = 0
    bytes: int = 0  # of its batches in flight
    wanted: set[int] = field(default_factory=set)  # asked for again after an audit
    _above: list[tuple[int, int]] = field(default_factory=list)  # committed above `commit`: spans apart, in order

    def merge(self, commit: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Take over what the ledger says; it can only add."""
        self.commit = max(self.commit, commit)
        for first, last in ranges:
            self._add(first, last)
        self._advance()

    def settle(self, seq: int) -> None:
        """Batch `seq` is committed."""
        self.wanted.discard(seq)
        if seq > self.commit:
            self._add(seq, seq)
            self._advance()

    def has(self, seq: int) -> bool:
        """Whether `seq` is known to be committed and nobody asked for it again."""
        if seq in self.wanted:
            return False
        at = bisect_left(self._above, seq, key=lambda span: span[1])
        return seq <= self.commit or (at < len(self._above) and self._above[at][0] <= seq)

    def want(self, ranges: Sequence[tuple[int, int]], most: int = 10_000) -> None:
        """Batches the ledger turned out not to have are to be taken when they come again: at most `most`, the next
        audit asks for the others."""
        for first, last in ranges:
            self.wanted.update(range(first, min(last, first + most - len(self.wanted) - 1) + 1))

    def ranges(self) -> list[tuple[int, int]]:
        """Committed above `commit`, as closed ranges, the lowest ones."""
        return self._above[:MOST_RANGES]

    def _add(self, first: int, last: int) -> None:
        begin = bisect_left(self._above, first - 1, key=lambda span: span[1])
        end = begin
        while end < len(self._above) and self._above[end][0] <= last + 1:
            first, last = min(first, self._above[end][0]), max(last, self._above[end][1])
            end += 1
        self._above[begin:end] = [(first, last)]

    def _advance(self) -> None:
        while self._above and self._above[0][0] <= self.commit + 1:
            self.commit = max(self.commit, self._above.pop(0)[1])
