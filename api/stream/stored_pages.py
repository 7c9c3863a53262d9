"""The pages of commits that sockets read from the database which come back at the same time: each is read once for all
of them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from api.stream import stored
from api.stream.database_thread import DatabaseThread
from api.stream.stored import Place
from marketdata.types.ticks import Ticks

MOST_PAGES = 4
KEEP_CUT_S = 1.0

Page = tuple[list[Ticks], Place | None]
Key = tuple[str, frozenset[str] | None, Place, int]


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
        """As `stored.commits`. Errors of the database are raised, to all who wait for the page."""
        key = (feed, symbols, after, until_us)
        task = self._pages.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._database.ask(stored.commits, feed, symbols, after, until_us))
            self._pages[key] = task
        self._pages.move_to_end(key)
        while len(self._pages) > MOST_PAGES:
            self._pages.popitem(last=False)
        return await asyncio.shield(task)  # who leaves takes it away from nobody
