"""What is looked at again and again: memory, file descriptors and threads of every process of a run, what its Redis and
its database say of themselves."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.processes import family

MIB = float(1 << 20)
_RUNNING = re.compile(r"^(?:\w+:)?(\S+)\s+RUNNING\s+pid (\d+)", re.MULTILINE)
Sample = tuple[float, float]  # seconds since the beginning, value


@dataclass(slots=True)
class Life:
    """One process while it lived: of which program, since which second, and what was seen of it."""

    program: str
    since: float
    rss_mib: list[Sample] = field(default_factory=list)
    fds: list[Sample] = field(default_factory=list)
    threads: list[Sample] = field(default_factory=list)


class Watch:
    """Call `look` at a steady pace. `servers` are processes that the supervisor does not know, by name; `asked` are
    numbers of theirs, by name."""

    def __init__(
        self, conf: Path, run: int, *, servers: dict[str, int], asked: Callable[[], dict[str, float]], began: float
    ) -> None:
        self._conf, self._run, self._servers, self._asked, self._began = conf, run, servers, asked, began
        self.lives: dict[tuple[int, float], Life] = {}
        self.programs: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        self.numbers: dict[str, list[Sample]] = defaultdict(list)
        self._parents: dict[str, int] = {}

    def look(self) -> None:
        """One sample of everything."""
        at = time.monotonic() - self._began
        if not self._parents or any(not psutil.pid_exists(pid) for pid in self._parents.values()):
            self._parents = self._found()
        told: set[int] = set()
        for program, pid in self._parents.items():
            members = [one for one in family(pid) if one not in told]
            told.update(members)
            self._program(program, members, at)
        for name, value in self._asked().items():
            self.numbers[name].append((at, value))

    def _found(self) -> dict[str, int]:
        """The first process of each program, those below others first. RuntimeError when the supervisor is silent."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._conf), "status"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        found = {name: int(pid) for name, pid in _RUNNING.findall(done.stdout)}
        if not found:
            raise RuntimeError(f"the supervisor told of no process:\n{done.stdout}{done.stderr}")
        return {**found, **self._servers, "launcher": self._run}

    def _program(self, program: str, members: Iterable[int], at: float) -> None:
        sums = dict.fromkeys(("rss_mib", "fds", "threads", "cpu_s"), 0.0)
        for pid in members:
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    sums["cpu_s"] += times.user + times.system + times.children_user + times.children_system
                    seen = {
                        "rss_mib": process.memory_info().rss / MIB,
                        "fds": float(process.num_fds()),
                        "threads": float(process.num_threads()),
                    }
                    born = process.create_time()
            except psutil.Error:
                continue  # it ended meanwhile
            life = self.lives.setdefault((pid, born), Life(program, at))
            for name, value in seen.items():
                getattr(life, name).append((at, value))
                sums[name] += value
        for name, value in sums.items():
            self.programs[program][name].append((at, value))
