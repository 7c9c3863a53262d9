"""Processes that stand still as on a host that does: there, and doing nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waiting import until

STILL = "tTZX"  # stopped, or over (proc(5), the states in `stat`)


def tree(pid: int) -> list[int]:
    """A process and all that it started and what those started, as far as they run."""
    found, ahead = [], [pid]
    while ahead:
        found.append(ahead.pop())
        for children in Path("/proc", str(found[-1]), "task").glob("*/children"):
            with suppress(OSError):
                ahead += [int(word) for word in children.read_text(encoding="ascii").split()]
    return found


def freeze(*pids: int) -> None:
    """SIGSTOP, and wait until all their threads stand still. The signal wakes one thread, which tells the others; until
    a busy machine lets it run they go on, and a server answers what it was asked after it had been "stopped"."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_stands_still(pid) for pid in pids), seconds=60, what="processes that stand still", every=0.002)


def thaw(*pids: int) -> None:
    """Let them go on, those first that were frozen last."""
    for pid in reversed(pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Inside, a process and its children do nothing, and the host goes on taking connections for them."""
    pids = tree(pid)
    freeze(*pids)
    try:
        yield
    finally:
        thaw(*pids)


def _stands_still(pid: int) -> bool:
    states = []
    for thread in Path("/proc", str(pid), "task").glob("*/stat"):
        with suppress(OSError):
            states.append(thread.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1])
    return all(state in STILL for state in states)
