"""The newest entries of a feed in the memory of this process. Many sockets come back at once when another web process
ends: they are given the same entries, read and encoded once. Knows no Redis."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from api.stream.encoding import Form
from api.stream.send_queue import Chunk
from marketdata.realtime.feed import FeedEntry
from marketdata.types import tick_arrays
from marketdata.types.tick_arrays import Ticks

MOST_ENTRIES, MOST_TICKS = 2_000, 50_000  # a feed: some 5 MB, and 10 for each form in which they are sent
MOST_UNPACKED = 200  # entries, and no more than MOST_TICKS (5 MB) of all feeds: those that somebody is being given


@dataclass(slots=True)
class Kept:
    """An entry without its candles. `packed` are its ticks as the feed has them: as arrays they are some thirty
    objects, and thousands of entries that come and go all day leave the process' memory in pieces. `latest_us` is the
    close time of its newest candle, None when it had none; `whole` its trades as whoever listens to all symbols is
    sent them."""

    first: int
    last: int
    committed_us: int
    packed: bytes
    latest_us: int | None
    whole: dict[Form, list[Chunk]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def ticks(self) -> Ticks:
        """Its ticks, for reading only: whoever asks at about the same time is given the same arrays."""
        return _unpacked.of(self.packed)


class Unpacked:
    """The ticks of the entries that were asked for last, so many entries and ticks at most, and always the last one:
    who come back together are given the same arrays. Not for several threads."""

    def __init__(self, *, most_entries: int = MOST_UNPACKED, most_ticks: int = MOST_TICKS) -> None:
        self._most_entries, self._most_ticks = most_entries, most_ticks
        self._found: dict[bytes, Ticks] = {}  # the one that was asked for longest ago first
        self.ticks = 0
        """How many are kept."""

    def of(self, packed: bytes) -> Ticks:
        """The ticks of an entry as the feed has it."""
        found = self._found.pop(packed, None)
        if found is None:
            found = tick_arrays.unpack(packed)
            self.ticks += len(found)
        self._found[packed] = found
        while len(self._found) > 1 and (len(self._found) > self._most_entries or self.ticks > self._most_ticks):
            self.ticks -= len(self._found.pop(next(iter(self._found))))
        return found


_unpacked = Unpacked()


def kept(entry: FeedEntry) -> Kept:
    """What is kept of an entry."""
    latest_us = int(entry.bars.close_time.max()) if len(entry.bars) else None
    return Kept(entry.first, entry.last, entry.committed_us, entry.packed, latest_us)


class KeptEntries:
    """Entries without a hole, from behind an offset on to the newest."""

    def __init__(self, *, most_entries: int = MOST_ENTRIES, most_ticks: int = MOST_TICKS) -> None:
        self._most_entries, self._most_ticks = most_entries, most_ticks
        self.clear(None)

    def clear(self, start: int | None) -> None:
        """Forget all, and go on behind an offset; None while no place is known."""
        self._start = start
        self._entries: list[Kept] = []
        self._lasts: list[int] = []
        self._ticks = 0

    def append(self, entry: Kept) -> None:
        """The next one. What lies before a hole is forgotten, and the oldest once they are too many."""
        if self._start is None or entry.first != (self._lasts[-1] if self._lasts else self._start) + 1:
            self.clear(entry.first - 1)
        self._entries.append(entry)
        self._lasts.append(entry.last)
        self._ticks += len(entry)
        gone = 0
        while gone < len(self._entries) - 1 and (
            len(self._entries) - gone > self._most_entries or self._ticks > self._most_ticks
        ):
            self._ticks -= len(self._entries[gone])
            self._start = self._lasts[gone]
            gone += 1
        del self._entries[:gone], self._lasts[:gone]

    def prepend(self, older: Sequence[Kept]) -> bool:
        """Entries that end where these begin, oldest first. False when they do not, or are none: then nothing
        changed."""
        if not older or older[-1].last != self._start:
            return False
        self._start = older[0].first - 1
        self._entries[:0] = older
        self._lasts[:0] = [one.last for one in older]
        self._ticks += sum(map(len, older))
        return True

    def wanted_before(self, offset: int) -> int | None:
        """The last offset of the entries that are to be prepended so that all behind `offset` is here; None when it is
        or when there is no room."""
        has_room = len(self._entries) < self._most_entries and self._ticks < self._most_ticks
        return self._start if self._start is not None and self._start > offset and has_room else None

    def covers(self, offset: int) -> bool:
        """Whether everything behind `offset` is here, and that is an offset that was told already."""
        return self._start is not None and self._start <= offset <= (self._lasts[-1] if self._lasts else self._start)

    def after(self, offset: int, most: int) -> list[Kept] | None:
        """At most so many entries that have an offset above `offset`, oldest first; None when they are not here."""
        if not self.covers(offset):
            return None
        start = bisect_right(self._lasts, offset)
        return self._entries[start : start + most]

    def latest_us(self, offset: int, most: int) -> int | None:
        """The latest close time of a candle in the newest entries, at most so many, that end at `offset` or before;
        None when that is not here."""
        end = bisect_right(self._lasts, offset)
        times = [one.latest_us for one in self._entries[max(end - most, 0) : end] if one.latest_us is not None]
        return max(times, default=None)
