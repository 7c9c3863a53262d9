"""Ending tasks for sure. A cancellation may be lost on its way through a library that is just connecting, so it is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.2


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Returns when all of them have ended; what they raised is theirs."""
    pending = {task for task in tasks if task is not None and task is not asyncio.current_task() and not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
