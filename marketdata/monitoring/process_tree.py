"""What this process and those it started cost the machine, from /proc: prometheus_client's own collector knows one
process, and a program of ours may be several. The names are those that every Prometheus knows."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric

from marketdata.monitoring import figures

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Behind the name in brackets, which may have blanks: proc_pid_stat(5), counted from the state (field 3).
_USER, _SYSTEM, _ENDED_USER, _ENDED_SYSTEM, _STARTED, _PAGES = 11, 12, 13, 14, 19, 21


class ProcessTree:
    """Of all processes of a program together. The time of those that ended is their starter's, so it never falls."""

    def __init__(self) -> None:
        self._root = os.getpid()
        # Once: the two clocks are read one after the other, and a start that moved would be another start.
        self._started_s = _booted_s() + _stat(self._root)[_STARTED] / _TICKS_PER_S

    def collect(self) -> Iterator[Metric]:
        """For a registry of prometheus_client."""
        cpu_ticks, pages, files, number = 0, 0, 0, 0
        for process in _tree(self._root):
            with suppress(OSError):  # it has just ended
                stat = _stat(process)
                cpu_ticks += stat[_USER] + stat[_SYSTEM] + stat[_ENDED_USER] + stat[_ENDED_SYSTEM]
                pages += stat[_PAGES]
                number += 1
                files = max(files, sum(1 for _ in Path("/proc", str(process), "fd").iterdir()))
        yield figures.CPU.of(cpu_ticks / _TICKS_PER_S)
        yield figures.RESIDENT.of(pages * _PAGE_BYTES)
        yield figures.OPEN_FILES.of(files)
        yield figures.MAX_FILES.of(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        yield figures.STARTED.of(self._started_s)
        yield figures.PROCESSES.of(number)


def _tree(root: int) -> Iterator[int]:
    yield root
    with suppress(OSError):
        for task in Path("/proc", str(root), "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _stat(process: int) -> dict[int, int]:
    fields = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()
    return {place: int(fields[place]) for place in range(1, len(fields))}


def _booted_s() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
