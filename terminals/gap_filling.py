"""The spool as the session sees it: a batch whose bytes rotted on the disk leaves as a gap with its number."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from terminals.segments import SpoolDamaged
from terminals.spool import Spool
from terminals.wire import encode_gap, encode_rows, gap_reasons


class GapFillingReader:
    """Delegates to a spool; never raises SpoolDamaged. The stand-in is the same bytes each time it is made."""

    def __init__(
        self,
        spool: Spool,
        feed: str,
        *,
        guard: AbstractContextManager[object] | None = None,
        renewed: Callable[[], None] = lambda: None,
    ) -> None:
        """`guard` is held while a new epoch takes over, and `renewed` is called then."""
        self._spool, self._feed = spool, feed
        self._guard, self._renewed = guard or nullcontext(), renewed

    @property
    def epoch(self) -> str:
        return self._spool.epoch

    @property
    def first(self) -> int:
        return self._spool.first

    @property
    def durable(self) -> int:
        return self._spool.durable

    @property
    def committed(self) -> int:
        return self._spool.committed

    @property
    def confirmed(self) -> int:
        return self._spool.confirmed

    @property
    def pressed(self) -> bool:
        return self._spool.pressed

    def confirm(self, first: int, last: int) -> None:
        self._spool.confirm(first, last)

    def doubt(self, seq: int) -> None:
        self._spool.doubt(seq)

    def checksum(self, seq: int) -> int:
        return self._spool.checksum(seq)

    def piece(self, first: int, last: int, most: int) -> int:
        return self._spool.piece(first, last, most)

    def renew(self, taken: Iterable[tuple[int, int]], upto: int) -> None:
        with self._guard:
            self._spool.renew(taken, upto, self.get)
            self._renewed()

    def rows(self, first: int, last: int) -> int:
        return self._spool.rows(first, last)

    def resume(self, committed: int) -> None:
        self._spool.resume(committed)

    def commit(self, upto: int) -> None:
        self._spool.commit(upto)

    def get(self, seq: int) -> bytes:
        try:
            return self._spool.get(seq)
        except SpoolDamaged:
            return self.stand_in(seq)

    def stand_in(self, seq: int) -> bytes:
        """What leaves in place of a batch whose bytes are gone. Of several that went together the last one is the gap
        that tells of all of them, and the others are empty."""
        lost = self._spool.lost_at(seq)
        feed = lost.feed or self._feed
        if seq != lost.last:
            return encode_rows(seq, feed, lost.from_us, [])
        reason = gap_reasons.SPOOL_DAMAGED
        if lost.first != lost.last:
            reason += f": batches {lost.first} to {lost.last}"
        return encode_gap(seq, feed, lost.from_us, lost.from_us, lost.to_us, lost.rows, reason)
