"""Processes that stand still as on a host that does: there, and doing nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until

STILL = "tTZX"  # stopped, or over (proc(5), the states in `stat`)


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until all its threads stand still. The signal wakes one thread, which tells the others; until a
    busy machine lets it run they go on, and a server answers what it was asked after it had been "stopped"."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: _stands_still(pid), seconds=60, what=f"process {pid} stands still", every=0.002)
    except BaseException:
        thaw(pid)
        raise


def thaw(pid: int) -> None:
    """Let it go on, if it still is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Inside, a process and all that it started do nothing, and the host goes on taking connections for them."""
    stopped, ahead = list[int](), [pid]
    try:
        while ahead:
            one = ahead.pop()
            with suppress(ProcessLookupError):  # it ended meanwhile
                freeze(one)  # before its children are read: it starts no more of them
                stopped.append(one)
                ahead += _children(one)
        yield
    finally:
        for one in reversed(stopped):
            thaw(one)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path("/proc", str(pid), "task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in children.read_text(encoding="ascii").split()]
    return found


def _stands_still(pid: int) -> bool:
    states = []
    for thread in Path("/proc", str(pid), "task").glob("*/stat"):
        with suppress(OSError):
            states.append(thread.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1])
    return all(state in STILL for state in states)
