"""Which batches a client compares with the ledger next, and what is known after each answer. No clock, no disk.

One comparison at a time, in pieces: first what a session needs before it may send (from the last batch compared before
up to `commit`), then, by the clock, what was committed since, and by turns everything else that is kept. Where the
ledger has other content than the spool, everything that is not in the ledger is taken into a new epoch: the round that
finds out what that is `closes` the old one.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from terminals.wire import messages


class Comparable(Protocol):
    """What a comparison needs of a spool."""

    @property
    def first(self) -> int: ...

    @property
    def durable(self) -> int: ...

    @property
    def committed(self) -> int: ...

    @property
    def confirmed(self) -> int: ...

    def piece(self, first: int, last: int, most: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """Batches to be asked about in one AUDIT. `closing`: those the ledger lacks are never to enter it."""

    first: int
    last: int
    closing: bool = False


class Audits:
    """`next_piece` says what to ask, `answered` what came of it. `most` batches are asked about at a time."""

    def __init__(self, batches: Comparable, most: int) -> None:
        self._batches, self._most = batches, most
        self._waiting: deque[Piece] = deque()  # rounds, cut into pieces as they are asked
        self._asked: Piece | None = None
        self._needed_upto = 0
        self._sweep_at = 0
        self._taken: list[tuple[int, int]] = []
        self.closing = self.closed = False
        self.upto = 0
        """The last batch the closing round looks at; what is taken into the spool after it was never sent."""

    @property
    def under_way(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    @property
    def held(self) -> bool:
        """Whether no batch may be sent: it is not known yet that the spool and the ledger are of one mind."""
        return self.closing or self._needed_upto > 0

    @property
    def taken(self) -> list[tuple[int, int]]:
        """What the ledger does not have, once `closed`."""
        return sorted(self._taken)

    def begin(self, commit: int) -> None:
        """A session begins: compare what was not compared before up to `commit`."""
        first, last = max(self._batches.confirmed + 1, self._batches.first), min(commit, self._batches.durable)
        if first <= last:
            self._needed_upto = last
            self._waiting.appendleft(Piece(first, last))

    def close(self) -> None:
        """Spool and ledger differ: find out what the ledger does not have of the whole spool."""
        self.closing, self._needed_upto, self._asked = True, 0, None
        self._waiting.clear()
        first, last = self._batches.first, self._batches.durable
        self.upto = last
        if first <= last:
            self._waiting.append(Piece(first, last, closing=True))
        else:
            self.closed = True

    def again(self, commit: int) -> None:
        """Time to compare again: what was committed since the last time (up to `commit`), a little of what was compared
        before, and one more piece of the rest."""
        if self._waiting or self._asked or self.closing:
            return
        first = self._batches.first
        begin = max(first, self._batches.confirmed + 1 - self._most)
        if begin <= commit:
            self._waiting.append(Piece(begin, commit))
        end = self._sweep_at if first <= self._sweep_at < begin else begin - 1
        if first <= end:
            start = max(first, end + 1 - self._most)
            self._waiting.append(Piece(start, end))
            self._sweep_at = start - 1

    def everything(self) -> None:
        """The server's database was away: compare all that is kept and committed, the newest first."""
        if self.closing:
            return
        first, last = self._batches.first, self._batches.committed
        self._waiting = deque(piece for piece in self._waiting if piece.first <= self._needed_upto)
        while first <= last:
            start = max(first, last + 1 - self._most)
            self._waiting.append(Piece(start, last))
            last = start - 1

    def next_piece(self) -> Piece | None:
        """What to ask now; None while an answer is awaited or nothing is due."""
        while self._asked is None and self._waiting:
            whole = self._waiting.popleft()
            first = max(whole.first, self._batches.first)  # what was let go meanwhile is not asked about
            if first > whole.last:
                self._finished(whole.last)
                continue
            last = self._batches.piece(first, whole.last, self._most)
            if last < whole.last:
                self._waiting.appendleft(Piece(last + 1, whole.last, whole.closing))
            self._asked = Piece(first, last, whole.closing)
            return self._asked
        return None

    def answered(self, missing: messages.Ranges, differs: messages.Ranges) -> Piece | None:
        """The server has compared; the piece it was about, if all of it is in the ledger as it is here."""
        piece, self._asked = self._asked, None
        if piece is None:
            return None
        if piece.closing:
            self._taken += [*_within(missing, piece), *_within(differs, piece)]
            self.closed = not self._waiting
            return None
        if differs:
            self.close()
            return None
        self._finished(piece.last)
        return None if missing else piece

    def _finished(self, last: int) -> None:
        if self._needed_upto and last >= self._needed_upto:
            self._needed_upto = 0


def _within(ranges: messages.Ranges, piece: Piece) -> Iterator[tuple[int, int]]:
    for first, last in ranges:
        if first <= piece.last and last >= piece.first:
            yield max(first, piece.first), min(last, piece.last)
