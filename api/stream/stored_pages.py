"""The pages of commits that sockets read from the database which come back at the same time: each is read once for all
of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from api.stream import stored
from api.stream.database_thread import DatabaseThread
from api.stream.encoding import Form
from api.stream.send_queue import Chunk
from api.stream.stored import Place
from marketdata.types.ticks import Int64, Ticks

MOST_PAGES = 4
KEEP_CUT_S = 5.0
GIVEN_TICKS = 2_000  # at a time

Key = tuple[str, frozenset[str] | None, Place, int]


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """The ids, sorted, of what a process delivered last before an epoch ended: who was live then has had them."""

    epoch: str
    ids: Int64


@dataclass(slots=True)
class Stored:
    """Ticks of a page; `whole` has its trades as whoever listens to all symbols is sent them."""

    ticks: Ticks
    whole: dict[Form, list[Chunk]] = field(default_factory=dict)
    _rest: tuple[Left, Stored] | None = None

    def without(self, left: Left) -> Stored:
        """What is not among those ids, found once for all who ask."""
        if self._rest is None or self._rest[0] is not left:
            places = np.searchsorted(left.ids, self.ticks.tick_id)
            known = np.append(left.ids, -1)[places] == self.ticks.tick_id
            self._rest = left, Stored(self.ticks.take(~known)) if known.any() else self
        return self._rest[1]


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
    the two: the offset was asked first."""

    epoch: str
    offset: int
    until_us: int
    made_at: float = field(default_factory=time.monotonic)

    @property
    def fresh(self) -> bool:
        """Whether the next one who comes may use it as well."""
        return time.monotonic() - self.made_at < KEEP_CUT_S


class StoredPages:
    """The newest pages that were read, and those that are being read."""

    def __init__(self, database: DatabaseThread) -> None:
        self._database = database
        self._pages: OrderedDict[Key, asyncio.Task[Page]] = OrderedDict()

    async def read(self, feed: str, symbols: frozenset[str] | None, after: Place, until_us: int) -> Page:
        """As `stored.commits`, in parts. Errors of the database are raised, to all who wait for the page."""
        key = (feed, symbols, after, until_us)
        task = self._pages.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._read(feed, symbols, after, until_us))
            self._pages[key] = task
        self._pages.move_to_end(key)
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return await asyncio.shield(task)  # who leaves takes it away from nobody

    async def _read(self, feed: str, symbols: frozenset[str] | None, after: Place, until_us: int) -> Page:
        found, place = await self._database.ask(stored.commits, feed, symbols, after, until_us)
        return parts(found), place
