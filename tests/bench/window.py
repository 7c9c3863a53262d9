"""A stretch of time in which ticks are committed: how many, and what they cost each kind of process."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.stack import Stack


@dataclass(slots=True)
class Spent:
    """CPU per committed tick in microseconds by kind of process, and how many ticks that is of."""

    us_per_tick: dict[str, float]
    ticks: int


class Window:
    """Begins when it is made; `close` while the terminals still run, `spent` when everything is committed."""

    def __init__(self, stack: Stack, terminals: int) -> None:
        self._stack, self._terminals = stack, terminals
        self._from_us, self._before = time.time_ns() // 1000, stack.cpu_s(terminals)
        self._until_us, self._after = self._from_us, self._before

    def close(self) -> None:
        """The end of the stretch."""
        self._until_us, self._after = time.time_ns() // 1000, self._stack.cpu_s(self._terminals)

    def spent(self) -> Spent:
        """What was used between the two. RuntimeError when nothing was committed in it."""
        ticks = self._stack.committed(self._from_us, self._until_us)
        if not ticks:
            raise RuntimeError("no tick was committed while CPU was measured")
        return Spent({name: (self._after[name] - self._before[name]) * 1e6 / ticks for name in self._after}, ticks)
