"""The pages of commits that sockets read from the database which come back at the same time: each is read once for all
of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from api.stream.database_thread import DatabaseThread
from api.stream.encoding import Form
from api.stream.send_queue import Chunk
from marketdata.ledger import commits
from marketdata.ledger.commits import Place
from marketdata.types.tick_arrays import Int64, Ticks

MOST_PAGES, MOST_TICKS = 100, 100_000  # some 20 MB, and as much for each form in which they are sent
MOST_HAD = 16
KEEP_CUT_S = 5.0
GIVEN_TICKS = 2_000  # at a time

Key = tuple[str, frozenset[str] | None, Place, int]


@dataclass(frozen=True, slots=True, eq=False)
class Had:
    """The ids, sorted, of what somebody has had already; the same object for all who have had the same."""

    ids: Int64


class Left:
    """What a process delivered last before an epoch ended, by offset: who had that epoch up to an offset has had it."""

    def __init__(self, epoch: str, ids: Int64, offsets: Int64) -> None:
        order = np.argsort(ids)
        self.epoch = epoch
        self._ids, self._offsets = ids[order], offsets[order]
        self.whole = Had(self._ids)
        self._had: dict[int, Had] = {}

    def had(self, offset: int) -> Had:
        """What lies up to an offset."""
        if offset not in self._had:
            _make_room(self._had, MOST_HAD)
            self._had[offset] = Had(self._ids[self._offsets <= offset])
        return self._had[offset]


@dataclass(slots=True)
class Stored:
    """Ticks of a page; `whole` has its trades as whoever listens to all symbols is sent them."""

    ticks: Ticks
    whole: dict[Form, list[Chunk]] = field(default_factory=dict)
    _rests: dict[Had, Stored] = field(default_factory=dict)

    def without(self, had: Had) -> Stored:
        """What is not among those ids, found once for all who have had the same."""
        if had not in self._rests:
            _make_room(self._rests, MOST_HAD)
            places = np.searchsorted(had.ids, self.ticks.tick_id)
            known = np.append(had.ids, -1)[places] == self.ticks.tick_id
            self._rests[had] = Stored(self.ticks.take(~known)) if known.any() else self
        return self._rests[had]


def _make_room(kept: dict[Any, Any], most: int) -> None:
    while len(kept) >= most:
        del kept[next(iter(kept))]


Page = tuple[list[Stored], Place | None]


def parts(found: Iterable[Ticks]) -> list[Stored]:
    """In pieces that one socket is given at a time."""
    return [
        Stored(ticks.between(start, min(start + GIVEN_TICKS, len(ticks))))
        for ticks in found
        for start in range(0, len(ticks), GIVEN_TICKS)
    ]


@dataclass(frozen=True, slots=True)
class Cut:
    """Up to `until_us` the database tells what was committed, from behind `offset` on Redis does. Nothing is between
    the two: the offset was asked first, at `at_us`."""

    epoch: str
    offset: int
    at_us: int
    until_us: int
    made_at: float = field(default_factory=time.monotonic)

    @property
    def fresh(self) -> bool:
        """Whether the next one who comes may use it as well."""
        return time.monotonic() - self.made_at < KEEP_CUT_S


class StoredPages:
    """The newest pages that were read, and those that are being read. Each is for those who read up to the same moment:
    a trade that is in an older page may have been taken back since."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._pages: OrderedDict[Key, asyncio.Task[Page]] = OrderedDict()

    async def read(self, feed: str, symbols: frozenset[str] | None, after: Place, until_us: int) -> Page:
        """As `commits.read`, in parts. Errors of the database are raised, to all who wait for the page."""
        key = (feed, symbols, after, until_us)
        task = self._pages.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._read(feed, symbols, after, until_us))
            self._pages[key] = task
            self._make_room()
        self._pages.move_to_end(key)
        return await asyncio.shield(task)  # who leaves takes it away from nobody

    def _make_room(self) -> None:
        """Let go of what was asked for longest ago, once it is too much."""
        ticks = {key: _ticks_of(task) for key, task in self._pages.items()}
        total = sum(ticks.values())
        while len(self._pages) > MOST_PAGES or total > MOST_TICKS:
            key, _ = self._pages.popitem(last=False)
            total -= ticks[key]

    async def _read(self, feed: str, symbols: frozenset[str] | None, after: Place, until_us: int) -> Page:
        found, place = await self._database.ask(commits.read, feed, symbols, after, until_us)
        return parts(found), place


def _ticks_of(task: asyncio.Task[Page]) -> int:
    """0 while it is being read, and when that failed."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return 0
    return sum(len(part.ticks) for part in task.result()[0])
