"""How far a terminal's spool is committed: a cumulative seq and what lies above it. One object per spool, for all its
sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

MOST_RANGES = 64


@dataclass(slots=True)
class Stream:
    """The server's picture of one spool; the ledger is the truth behind it."""

    id: int
    commit: int = 0
    bytes: int = 0  # of its batches in flight
    above: set[int] = field(default_factory=set)
    wanted: set[int] = field(default_factory=set)  # asked for again after an audit

    def merge(self, commit: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Take over what the ledger says; it can only add."""
        self.commit = max(self.commit, commit)
        for first, last in ranges:
            self.above.update(range(first, last + 1))
        self.above = {seq for seq in self.above if seq > self.commit}
        self._advance()

    def settle(self, seq: int) -> None:
        """Batch `seq` is committed."""
        self.wanted.discard(seq)
        if seq > self.commit:
            self.above.add(seq)
            self._advance()

    def has(self, seq: int) -> bool:
        """Whether `seq` is known to be committed and nobody asked for it again."""
        return (seq <= self.commit or seq in self.above) and seq not in self.wanted

    def want(self, ranges: Sequence[tuple[int, int]], most: int = 10_000) -> None:
        """Batches the ledger turned out not to have are to be taken when they come again: at most `most`, the next
        audit asks for the others."""
        for first, last in ranges:
            self.wanted.update(range(first, min(last, first + most - len(self.wanted) - 1) + 1))

    def ranges(self) -> list[tuple[int, int]]:
        """Committed above `commit`, as closed ranges, the lowest ones."""
        found: list[tuple[int, int]] = []
        for seq in sorted(self.above):
            if found and found[-1][1] == seq - 1:
                found[-1] = (found[-1][0], seq)
            elif len(found) == MOST_RANGES:
                break
            else:
                found.append((seq, seq))
        return found

    def _advance(self) -> None:
        while self.commit + 1 in self.above:
            self.commit += 1
            self.above.remove(self.commit)
