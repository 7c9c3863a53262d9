"""The files of a spool's epoch in order: which batch is in which, and how many rows came before it."""

from bisect import bisect_right
from collections.abc import Callable
from typing import Final

from terminals import segments
from terminals.segments import LOST, Index, Segment
from terminals.spool_state import Mark

_INDEXED: Final = 300_000  # batches, of finished files whose index is kept in memory


class SegmentList:
    """The last of `files` is written to, and its index is always at hand; those of the others are read when they are
    asked for, and kept while they are few. `note_lost` is told of each that was read. Not thread-safe: the spool holds
    its lock."""

    def __init__(self, files: list[Segment], note_lost: Callable[[Segment, Index], None]) -> None:
        self.files, self._note_lost = files, note_lost
        self._indexed = [one for one in files[:-1] if one.index is not None]

    @property
    def first(self) -> int:
        """The oldest batch."""
        return self.files[0].first

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(one.size for one in self.files)

    def of(self, seq: int) -> Segment:
        """The file that batch `seq` is in."""
        return self.files[self._position(seq)]

    def end_of(self, seq: int) -> int:
        """The last batch of the file that batch `seq` is in."""
        return self.last_of(self._position(seq))

    def last_of(self, position: int) -> int:
        """The last batch of the file at this place."""
        if position < len(self.files) - 1:
            return self.files[position + 1].first - 1
        segment = self.files[position]
        return segment.first + len(self.index(segment).offsets) - 1

    def index(self, segment: Segment) -> Index:
        """Where its batches are."""
        if segment.index is None:
            position = self.files.index(segment)
            return self.keep_index(segment, segments.build_index(segment, self.last_of(position)))
        return segment.index

    def keep_index(self, segment: Segment, index: Index) -> Index:
        """Keep the index of a finished file at hand, and let go of those that were read longest ago if there are many
        batches in them."""
        segment.index = index
        behind = self.files[self.files.index(segment) + 1].rows_before
        if LOST in index.offsets and behind is not None and segment.rows_before is not None:
            # How many rows are gone is known: the next file says how many there were.
            gone = max(0, behind - segment.rows_before - sum(index.rows))
            index.rows[len(index.offsets) - 1 - index.offsets[::-1].index(LOST)] += gone
        self._indexed = [one for one in self._indexed if one is not segment and one.index is not None]
        self._indexed.append(segment)
        while len(self._indexed) > 1 and sum(len(one.index.rows) for one in self._indexed if one.index) > _INDEXED:
            self._indexed.pop(0).index = None
        self._note_lost(segment, index)
        return index

    def pop_first(self) -> Segment:
        """Take the oldest file out of the list, and its index out of those kept at hand."""
        oldest = self.files.pop(0)
        self._indexed = [one for one in self._indexed if one is not oldest]
        return oldest

    def rows_below(self, seq: int) -> int:
        """The rows of the epoch before batch `seq`, which is here."""
        segment = self.of(seq)
        before = segment.rows_before or 0
        return before if seq == segment.first else before + sum(self.index(segment).rows[: seq - segment.first])

    def whole_rows(self, seq: int) -> int:
        """The rows of a batch; 0 if its bytes are gone."""
        segment = self.of(seq)
        index = self.index(segment)
        return index.rows[seq - segment.first] if index.checksums[seq - segment.first] else 0

    def rows_before(self, position: int, mark: Mark) -> int:
        """How many rows came before a file whose head is damaged: the next one knows (for the last one the mark) less
        the rows of the file itself; if some of those are lost, the file before it knows what it had."""
        segment, is_last = self.files[position], position == len(self.files) - 1
        index = segments.build_index(segment, None if is_last else self.last_of(position))
        behind, count = (None, 0) if is_last else (self.files[position + 1].rows_before, len(index.rows))
        if is_last and segment.first - 1 <= mark.durable < segment.first + len(index.rows):
            behind, count = mark.rows, mark.durable + 1 - segment.first
        if behind is not None and LOST not in index.offsets[:count]:
            return max(0, behind - sum(index.rows[:count]))
        if position:
            before = self.files[position - 1]
            return (before.rows_before or 0) + sum(self.index(before).rows)
        return max(0, (mark.rows if behind is None else behind) - sum(index.rows))

    def _position(self, seq: int) -> int:
        return bisect_right(self.files, seq, key=lambda one: one.first) - 1
