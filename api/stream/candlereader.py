"""The minute candles of the database for the stream: read in a thread of their own, so that the event loop waits for
nothing and logins do not wait for candles."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from api.stream.candles import Reading
from marketdata import connections
from marketdata.models import Symbol
from marketdata.storage import storage
from marketdata.types.minute_bars import Bars


class CandleReader:
    """One thread with a lasting connection, started when something is first read and ended by `close`."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def read(self, feed: str, reading: Reading) -> Bars:
        """The minute candles of a feed, those of different trading dates apart. Errors of the database are raised; the
        next reading then begins with a new connection."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="stream-candles")
        return await asyncio.get_running_loop().run_in_executor(self._thread, _read, feed, reading)

    async def close(self) -> None:
        """End the thread and its connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, connections.drop)
            thread.shutdown(wait=False)


def _read(feed: str, reading: Reading) -> Bars:
    connections.refresh()
    try:
        symbols = reading.symbols
        codes = Symbol.objects.order_by().values_list("code", flat=True) if symbols is None else symbols
        return storage().read_minutes_of(sorted(codes), feed, reading.start_us, reading.end_us)
    except Exception:
        connections.drop()
        raise
