"""HTTP on a fixed number of threads. Django's own handler makes a thread, and so a database connection, per request,
and crosses to it three times and back."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http.response import FileResponse, HttpResponseBase
from django.urls import set_script_prefix


class Threads:
    """Some threads; whoever comes when all are busy waits his turn."""

    def __init__(self, count: int, name: str) -> None:
        self._idle = [ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-{n}") for n in range(count)]
        self._room = asyncio.Semaphore(count)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[ThreadPoolExecutor]:
        """One of them, for one request. Where the request was given up, its view may still run: the thread is idle once
        it comes to what stands in its queue behind that."""
        await self._room.acquire()
        executor = self._idle.pop()
        try:
            yield executor
        except BaseException:
            executor.submit(asyncio.get_running_loop().call_soon_threadsafe, self._give_back, executor)
            raise
        self._give_back(executor)

    def _give_back(self, executor: ThreadPoolExecutor) -> None:
        self._idle.append(executor)
        self._room.release()


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
        async with self._apart.get(scope["path"], self._threads).borrow() as thread:
            await self._serve(thread, scope, receive, send)

    async def _serve(self, thread: ThreadPoolExecutor, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """One request, made and answered in one call on its thread; nothing but an answer that is still being made
        while it is sent needs the thread afterwards, and notices that its caller left."""
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        try:
            loop, context = asyncio.get_running_loop(), contextvars.copy_context()
            response = await loop.run_in_executor(thread, context.run, self._answer, scope, body)
            if response.streaming:
                async with ThreadSensitiveContext(executor=thread):
                    await self._stream(response, receive, send)
            else:
                await self.send_response(response, send)
        finally:
            body.close()

    def _answer(self, scope: dict[str, Any], body: Any) -> Any:
        """The answer; one that is whole is closed, which ends the request for Django."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refused = self.create_request(scope, body)
        response: Any = refused if request is None else self.get_response(request)
        response._handler_class = self.__class__  # the sender of request_finished
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
        return response

    async def _stream(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        """Send until it ends or the caller leaves, which is the only thing that can still be received."""
        sending = asyncio.ensure_future(self.send_response(response, send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            try:
                leaving.cancel()
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
            finally:
                await sync_to_async(response.close, thread_sensitive=True)()

    @classmethod
    def chunk_bytes(cls, data: Any) -> Iterator[tuple[Any, bool]]:
        """In one piece: Daphne keeps what it cannot send yet all the same."""
        yield data, True
