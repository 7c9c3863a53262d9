"""HTTP on a fixed number of threads. Django's own handler makes a thread, and so a database connection, per request."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler


class Application(ASGIHandler):
    """Each request borrows one of `API_THREADS` threads for as long as it runs; further ones wait their turn."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        count = threads or settings.API_THREADS
        self._idle = [ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"api-{n}") for n in range(count)]
        self._room = asyncio.Semaphore(count)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only HTTP belongs here, not {scope['type']}")
        async with self._room:
            executor = self._idle.pop()
            try:
                async with ThreadSensitiveContext(executor=executor):
                    await self.handle(scope, receive, send)
            finally:
                self._idle.append(executor)
