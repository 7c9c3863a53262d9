"""Background jobs of one event loop: a failure is in the log, and a vital job that ends says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger(__name__)


class Jobs:
    """The jobs of a process, on the running loop."""

    def __init__(self) -> None:
        self.broken = asyncio.Event()
        """Set when a vital job has ended by itself."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def spawn(self, job: Coroutine[None, None, None], *, vital: bool = False) -> asyncio.Task[None]:
        """Begin a job; `vital`: the process is of no use without it."""
        task: asyncio.Task[None] = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._vital_finished if vital else self._finished)
        return task

    async def cancel(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background job failed", exc_info=error)

    def _vital_finished(self, task: asyncio.Task[None]) -> None:
        """Without its timers or its ledger a server only looks alive: better it ends and is started again."""
        self._finished(task)
        if not task.cancelled():
            self.broken.set()
