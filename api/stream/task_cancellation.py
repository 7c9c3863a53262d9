"""Ending tasks for sure. A library that is just connecting may lose a cancellation, so it is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.2


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Returns when all of them have ended; what they raised is theirs."""
    me = asyncio.current_task()
    pending = {task for task in tasks if task is not None and task is not me and not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=AGAIN_S)
