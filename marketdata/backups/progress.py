"""How far a backup is: for nobody, with a look at the lease, or as lines for a person (step, percent, bytes, seconds),
not more often than they can be read."""

from __future__ import annotations

import time
from collections.abc import Callable

from marketdata.maintenance.leases import Lease
from marketdata.storage.backups import Progress

CHECK_S = 5.0
EVERY_S = 1.0
FEWEST_BYTES = 100_000
"""Smaller numbers count tables or batches, not bytes."""


class Lines:
    """Called as `marketdata.storage.backups.Progress`."""

    def __init__(self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._began = clock()
        self._last, self._step = -EVERY_S, ""

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._began

    def __call__(self, step: str, done: int = 0, total: int | None = None) -> None:
        if step == self._step and self.elapsed_s - self._last < EVERY_S:
            return
        self._step, self._last = step, self.elapsed_s
        self._write(line(self.elapsed_s, step, done, total))


def line(elapsed_s: float, step: str, done: int, total: int | None) -> str:
    """Such as `  12.3 s  45 %  12.3 MB  packing`."""
    percent = f"{min(done * 100 // total, 100):3d} %" if total else "     "
    amount = f"{done / 1e6:,.1f} MB" if done >= FEWEST_BYTES else ""
    return f"{elapsed_s:7.1f} s  {percent}  {amount:>12}  {step}"


def silent(step: str, done: int = 0, total: int | None = None) -> None:
    """For work that nobody watches."""


def watched(progress: Progress, lease: Lease) -> Progress:
    """Progress that also sees, every few seconds, that the lease is still ours; LeaseLost ends the work."""
    last = time.monotonic()

    def tell(step: str, done: int = 0, total: int | None = None) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECK_S:
            lease.check()
            last = time.monotonic()
        progress(step, done, total)

    return tell
