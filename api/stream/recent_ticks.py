"""The ids of the ticks that a feed delivered last. Knows no Redis."""

from __future__ import annotations

import numpy as np

from marketdata.types.tick_arrays import Int64


class RecentTicks:
    """Offset and id of each, at most `most`, in two arrays that never grow: a feed of a tick now and then would
    otherwise cost some hundred bytes for each."""

    def __init__(self, most: int) -> None:
        self._offsets, self._ids = np.zeros(most, np.int64), np.zeros(most, np.int64)
        self._count = 0  # of all that ever came

    def append(self, first: int, ids: Int64) -> None:
        """Ticks with the offsets `first`, first + 1, …"""
        most = len(self._ids)
        offsets = first + np.arange(len(ids))
        places = (self._count + np.arange(len(ids)))[-most:] % most
        self._offsets[places], self._ids[places] = offsets[-most:], ids[-most:]
        self._count += len(ids)

    def forget_offsets(self) -> None:
        """They are counted anew: those that are here have offset 0 from now on."""
        self._offsets[:] = 0

    def all(self) -> tuple[Int64, Int64]:
        """(offsets, ids), the oldest first; nobody else's."""
        most = len(self._ids)
        places = np.arange(max(self._count - most, 0), self._count) % most
        return self._offsets[places], self._ids[places]
