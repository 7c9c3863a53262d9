"""A part of the benchmarks in a process of its own, and what processes cost: user and system time of a process with all
it started, those that ended included."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import psutil

from marketdata.launcher import child_process

CLEAN_UP_S = 60.0


def run_apart(module: Sequence[str]) -> int:
    """The status of `python -m` this. Ctrl-C reaches this process alone, which hands it on once and waits for the other
    to clean up."""
    command = child_process.command([sys.executable, "-m", *module])
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        print("ending the servers and processes", file=sys.stderr, flush=True)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(CLEAN_UP_S)
        finally:
            process.kill()
        raise


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
