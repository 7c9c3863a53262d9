"""HTTP on a fixed number of threads. Django's own handler makes a thread, and so a database connection, per request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Threads:
    """Some threads; whoever comes when all are busy waits his turn."""

    def __init__(self, count: int, name: str) -> None:
        self._idle = [ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-{n}") for n in range(count)]
        self._room = asyncio.Semaphore(count)

    async def run(self, handler: ASGIHandler, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request on one thread from its beginning to its end."""
        async with self._room:
            executor = self._idle.pop()
            try:
                async with ThreadSensitiveContext(executor=executor):
                    await handler.handle(scope, receive, send)
            finally:
                self._idle.append(executor)


class Application(ASGIHandler):
    """Each request borrows one of `API_THREADS` threads for as long as it runs. Whether the process lives and whether
    it can serve are asked on threads of their own, so that both are answered while all others are busy."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        # Every middleware and every view here is plain: in a chain of coroutines each would cross between the loop and
        # the thread twice.
        self.load_middleware(is_async=False)
        self._threads = Threads(threads or settings.API_THREADS, "api")
        self._apart: Mapping[str, Threads] = {path: Threads(1, path) for path in ("/healthz", "/readyz")}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"only HTTP belongs here, not {scope['type']}")
        await self._apart.get(scope["path"], self._threads).run(self, scope, receive, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """The whole chain on the request's thread."""
        response: HttpResponseBase = await sync_to_async(self.get_response, thread_sensitive=True)(request)
        return response
