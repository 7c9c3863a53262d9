"""A thread of its own for what the stream reads from the database, so that the event loop waits for nothing and logins
do not wait for candles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from marketdata import connections

T = TypeVar("T")


class DatabaseThread:
    """One thread with a lasting connection, started when something is first asked and ended by `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None

    async def ask(self, question: Callable[..., T], *given: object) -> T:
        """The answer to a question, after those that were asked before. Errors of the database are raised; the next
        question then begins with a new connection."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._thread, _asked, question, *given)

    async def close(self) -> None:
        """End the thread and its connection."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, connections.drop)
            thread.shutdown(wait=False)


def _asked(question: Callable[..., T], *given: object) -> T:
    connections.refresh()
    try:
        return question(*given)
    except Exception:
        connections.drop()
        raise
