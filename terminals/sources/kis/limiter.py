"""Calls a second for one appkey, counted over all processes of this machine.

A bucket has as many tokens as calls are allowed in a second. A call takes one, and it comes back one second after the
answer is there. The service counts a call at some instant between its start and its answer, so that whatever the
network and the scheduler do, no second of the service's clock, sliding or not, can have more calls than there are
tokens. A bucket that is refilled by the clock cannot promise that: what it let go evenly may arrive together.
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from terminals import private
from terminals.lock import TurnLock

log = logging.getLogger("naru.kis")

_TOKEN: Final = struct.Struct("<Qd")  # which call has it; when it is back, in seconds since this machine was started
WINDOW_S: Final = 1.0
"""Over how long the service counts the calls: any second that slides."""
_MOST_TOKENS: Final = 4096
_LEAST_WAIT_S, _MOST_WAIT_S = 0.002, 0.02
_LONGEST_LEASE_S: Final = 3600.0


class CallLimiter:
    """`async with limiter.call():` around each call. One for each appkey and process; `folder` is the same for all."""

    def __init__(
        self,
        key_id: str,
        folder: Path,
        calls: Callable[[], int],
        *,
        longest_call_s: float = 15.0,
        window_s: float = WINDOW_S,
    ) -> None:
        """`calls` says how many there may be in any `window_s` seconds. A call that is not ended after `longest_call_s`
        seconds, because its process died, gives its token back. OSError if the shared file cannot be made."""
        private.make(folder)
        self._lock = TurnLock(folder / f"{key_id}.calls")
        self._calls, self._window_s, self._lease_s = calls, window_s, longest_call_s + window_s
        self._turn = asyncio.Lock()  # first come, first served within this process, and one that asks
        self.waits = 0
        self.not_written = 0
        self.waited_s = 0.0

    def close(self) -> None:
        """No further calls by this process."""
        self._lock.close()

    @contextlib.asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Wait for a token, have it while the call lasts. OSError if the shared file cannot be used."""
        token = await self._take()
        try:
            yield
        finally:
            await self._give_back(token)

    async def _take(self) -> int:
        token, began, waited = secrets.randbits(64), time.monotonic(), False
        async with self._turn:
            while True:
                async with self._held():
                    now = time.monotonic()
                    taken = self._read(now)
                    if len(taken) < self._calls():
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
        try:
            async with self._held():
                now = time.monotonic()
                self._write({**self._read(now), token: now + self._window_s})
        except OSError as error:
            # The call is made and has its answer. The token comes back by itself, when its longest time is over.
            self.not_written += 1
            if self.not_written == 1:
                log.error("kis_limit_not_written reason=%r", str(error))

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        """The shared file, alone. Nothing is awaited in here: another coroutine would have it, too."""
        while not self._lock.take():  # noqa: ASYNC110 - another process gives it back
            await asyncio.sleep(_LEAST_WAIT_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            yield
        finally:
            self._lock.give_back()

    def _read(self, now: float) -> dict[int, float]:
        """The tokens that are away. What cannot be is left out: it is of a time before the machine was started anew."""
        os.lseek(self._lock.descriptor, 0, os.SEEK_SET)
        content = os.read(self._lock.descriptor, _MOST_TOKENS * _TOKEN.size)
        whole = content[: len(content) // _TOKEN.size * _TOKEN.size]
        return {token: at for token, at in _TOKEN.iter_unpack(whole) if now < at <= now + _LONGEST_LEASE_S}

    def _write(self, taken: dict[int, float]) -> None:
        content = b"".join(_TOKEN.pack(token, at) for token, at in taken.items())
        # Over what was there, zeros behind it: to cut the file would cost a write of its own to the disk.
        before = os.fstat(self._lock.descriptor).st_size
        os.lseek(self._lock.descriptor, 0, os.SEEK_SET)
        os.write(self._lock.descriptor, content.ljust(before, b"\0"))
