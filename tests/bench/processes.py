"""What processes cost: user and system time of a process with all it started, those that ended included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds used so far by these processes alone, and by those children of theirs that have ended."""
    used = 0.0
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def family_cpu_s(parents: Mapping[str, int]) -> dict[str, float]:
    """Seconds used so far by each of `parents` (name and process id) with all its descendants."""
    return {name: cpu_s(family(pid)) for name, pid in parents.items()}


def family(parent: int) -> list[int]:
    """A process and its descendants; none when it has ended."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(parent)
        return [parent, *(child.pid for child in process.children(recursive=True))]
    return []
