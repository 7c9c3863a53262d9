"""Small files that all processes on a machine share, one short look at a time. Private to the user."""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

from terminals import private
from terminals.lock import FileLock, Locked


@contextlib.asynccontextmanager
async def held(path: Path, *, every_s: float = 0.002, most_s: float = 600.0) -> AsyncIterator[None]:
    """Hold the lock on `path`; asks again about every `every_s` seconds while another process has it. TimeoutError if
    that process does not let go of it within `most_s` seconds."""
    give_up_at = time.monotonic() + most_s
    while True:
        try:
            lock = FileLock(path)
            break
        except Locked as error:
            if time.monotonic() >= give_up_at:
                raise TimeoutError(f"{path.name}: {error}") from None
            await asyncio.sleep(every_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
    try:
        yield
    finally:
        lock.release()


def read(path: Path) -> bytes:
    """The content, empty if there is no such file. OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def replace(path: Path, content: bytes) -> None:
    """Write the whole file or nothing of it, readable for its owner only. The lock on it is held. OSError."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE_MODE)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    beside.replace(path)
