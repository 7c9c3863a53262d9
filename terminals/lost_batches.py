"""Which batches of a spool are gone, and what is known of each: noted beside the spool, and said once."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from terminals import spool_state
from terminals.segments import LOST, Index, Segment
from terminals.spool_state import Lost, SpoolFull

log = logging.getLogger("naru.spool")

Describe = Callable[[int, int, int], Lost]
"""What is known of the batches first to last, which had so many rows together."""


class LostBatches:
    """Those of one epoch. Not thread-safe: the spool holds its lock."""

    def __init__(self, path: Path, epoch: str, fsync: Callable[[int], None]) -> None:
        self._path, self._epoch, self._fsync = path, epoch, fsync
        self._known = spool_state.read_lost(path, epoch)

    def at(self, seq: int) -> Lost | None:
        """The stretch of lost batches that batch `seq` is in, if it is."""
        return next((one for one in reversed(self._known) if one.first <= seq <= one.last), None)

    def note(self, segment: Segment, index: Index, committed: int, describe: Describe) -> None:
        """Remember which batches of a segment are gone, keep their damaged bytes, and say so; once for each."""
        for start, end in index.damage:
            with segment.path.open("rb") as file:
                file.seek(start)
                spool_state.quarantine(self._path, f"{segment.path.stem}-{start}", file.read(end - start))
        known, number = len(self._known), 0
        while number < len(index.offsets):
            first = segment.first + number
            noted = self.at(first)
            if noted is not None or index.offsets[number] != LOST:
                number = noted.last + 1 - segment.first if noted else number + 1
                continue
            end = number + 1
            # What was committed needs no gap, so the two are not told together.
            while end < len(index.offsets) and index.offsets[end] == LOST and segment.first + end != committed + 1:
                end += 1
            self._known.append(describe(first, segment.first + end - 1, sum(index.rows[number:end])))
            number = end
        if len(self._known) > known:
            for one in self._known[known:]:
                log.error(
                    "damaged first=%d last=%d rows=%d committed=%s spool=%s",
                    one.first, one.last, one.rows, one.last <= committed, self._path,
                )  # fmt: skip
            # In memory they are known all the same; after a restart they would be found again.
            with contextlib.suppress(OSError, SpoolFull):
                spool_state.write_lost(self._path, self._epoch, self._known, self._fsync)
