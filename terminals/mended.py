"""The spool as the session sees it: a batch whose bytes rotted on the disk leaves as a gap with its number."""

import logging

from terminals.segments import SpoolDamaged
from terminals.spool import Spool
from terminals.wire import encode_gap

log = logging.getLogger("naru.spool")


class MendedSpool:
    """Delegates to a spool; never raises SpoolDamaged. The stand-in is the same bytes each time it is made."""

    def __init__(self, spool: Spool, feed: str) -> None:
        self._spool, self._feed = spool, feed
        self._told: set[int] = set()

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

    def rows(self, first: int, last: int) -> int:
        return self._spool.rows(first, last)

    def resume(self, committed: int) -> None:
        self._spool.resume(committed)

    def commit(self, upto: int) -> None:
        self._spool.commit(upto)

    def get(self, seq: int) -> bytes:
        try:
            return self._spool.get(seq)
        except SpoolDamaged as error:
            if seq not in self._told:
                self._told.add(seq)
                log.error("damaged seq=%d sent_as=gap reason=%r", seq, str(error))
        begin = self._captured_us(seq - 1, self._spool.created_us)
        end = max(begin, self._captured_us(seq + 1, begin))
        return encode_gap(seq, self._feed, begin, begin, end, self._spool.rows(seq, seq), "spool_damaged")

    def _captured_us(self, seq: int, otherwise: int) -> int:
        try:
            return int.from_bytes(self._spool.get(seq)[16:24], "little", signed=True)
        except (SpoolDamaged, KeyError):
            return otherwise
