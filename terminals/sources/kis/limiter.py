"""Calls a second for one appkey, counted over all processes of this machine.

A bucket has as many tokens as calls are allowed in a second. A call takes one, and it comes back one second after the
answer is there. The service counts a call at some instant between its start and its answer, so that whatever the
network and the scheduler do, no second of the service's clock, sliding or not, can have more calls than there are
tokens. A bucket that is refilled by the clock cannot promise that: what it let go evenly may arrive together.
"""

import asyncio
import contextlib
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from terminals import private
from terminals.sources.kis import shared_files

_TOKEN: Final = struct.Struct("<Qd")  # which call has it; when it is back, in seconds since this machine was started
_WINDOW_S: Final = 1.0
_LEAST_WAIT_S, _MOST_WAIT_S = 0.002, 0.02


class CallLimiter:
    """`async with limiter.call():` around each call. One for each appkey and process; `folder` is the same for all."""

    def __init__(
        self, key_id: str, folder: Path, calls_per_s: Callable[[], int], *, longest_call_s: float = 15.0
    ) -> None:
        """A call that is not ended after `longest_call_s` seconds, because its process died, gives its token back."""
        private.make(folder)
        self._file, self._lock = folder / f"{key_id}.calls", folder / f"{key_id}.calls.lock"
        self._calls_per_s, self._lease_s = calls_per_s, longest_call_s + _WINDOW_S
        self._turn = asyncio.Lock()  # first come, first served within this process, and one that asks
        self.waits = 0
        self.waited_s = 0.0

    @contextlib.asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Wait for a token, have it while the call lasts. OSError if the shared file cannot be written."""
        token = await self._take()
        try:
            yield
        finally:
            await self._give_back(token)

    async def _take(self) -> int:
        token, began, waited = secrets.randbits(64), time.monotonic(), False
        async with self._turn:
            while True:
                async with shared_files.held(self._lock):
                    now = time.monotonic()
                    taken = self._read(now)
                    if len(taken) < self._calls_per_s():
                        self._write({**taken, token: now + self._lease_s})
                        break
                    first = min(taken.values())
                waited = True
                await asyncio.sleep(min(_MOST_WAIT_S, max(_LEAST_WAIT_S, first - now)))
        if waited:
            self.waits += 1
            self.waited_s += time.monotonic() - began
        return token

    async def _give_back(self, token: int) -> None:
        async with shared_files.held(self._lock):
            now = time.monotonic()
            self._write({**self._read(now), token: now + _WINDOW_S})

    def _read(self, now: float) -> dict[int, float]:
        """The tokens that are away. What cannot be, since the machine was started anew, is left out."""
        content = shared_files.read(self._file)
        if len(content) % _TOKEN.size:  # cut or not ours: nobody knows what was called in the last second
            self._write(dict.fromkeys(range(self._calls_per_s()), now + _WINDOW_S))
            content = shared_files.read(self._file)
        return {token: at for token, at in _TOKEN.iter_unpack(content) if now < at <= now + max(self._lease_s, 600.0)}

    def _write(self, taken: dict[int, float]) -> None:
        shared_files.replace(self._file, b"".join(_TOKEN.pack(token, at) for token, at in taken.items()))
