"""A stretch of time in which ticks are committed: how many, and what they cost each kind of process."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from tests.bench.stack import Stack


@dataclass(slots=True)
class Spent:
    """CPU per committed tick in microseconds by kind of process, and how many ticks that is of."""

    us_per_tick: dict[str, float]
    ticks: int


class Window:
    """Begins when it is made, ends at the last `mark` before the terminals end; `spent` when all is committed."""

    def __init__(self, stack: Stack, terminals: subprocess.Popen[str]) -> None:
        self._stack, self._terminals = stack, terminals
        self._from_us, self._before = time.time_ns() // 1000, stack.cpu_s(terminals.pid)
        self._until_us, self._after = self._from_us, self._before

    def mark(self) -> None:
        """Now is the end of the stretch, unless the terminals have ended."""
        now_us, used = time.time_ns() // 1000, self._stack.cpu_s(self._terminals.pid)
        if self._terminals.poll() is None:
            self._until_us, self._after = now_us, used

    def spent(self) -> Spent:
        """What was used between the two. RuntimeError when nothing was committed in it."""
        ticks = self._stack.committed(self._from_us, self._until_us)
        if not ticks:
            raise RuntimeError("no tick was committed while CPU was measured")
        return Spent({name: (self._after[name] - self._before[name]) * 1e6 / ticks for name in self._after}, ticks)
