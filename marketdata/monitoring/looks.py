"""Parts of a deployment or of a host that are looked at when Prometheus asks. One that cannot be looked at, or answers
too late, is said to be so and holds up no other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import Metric

from marketdata import connections
from marketdata.monitoring import figures

log = logging.getLogger(__name__)

KEEP_S = 5.0
"""An answer so young is given again, whoever asks."""
WAIT_S = 3.0
"""How long a look is waited for; Prometheus gives up after 4 s at the earliest (docker/prometheus)."""
Look = Callable[[], Iterable[Metric]]
Down = Mapping[str, tuple[figures.Figure, tuple[str, ...]]]
"""By part, the figure that is told as 0 if it failed before it told it, with the values of its labels."""


class Looks:
    """Each part is looked at in a thread of its own, so that a server that is frozen is told as away while it is, and
    all others as they are; what is not whole after `wait_s` has failed."""

    def __init__(self, looks: Mapping[str, Look], *, down: Down | None = None, wait_s: float = WAIT_S) -> None:
        self._looks, self._down, self._wait_s = looks, down or {}, wait_s
        self._going: dict[str, _Going] = {}
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._looked_at = float("-inf")

    def collect(self) -> Iterator[Metric]:
        """For a registry of prometheus_client."""
        with self._lock:
            if time.monotonic() - self._looked_at > KEEP_S:
                self._kept = self._look()
                self._looked_at = time.monotonic()
            yield from self._kept

    def _look(self) -> list[Metric]:
        for part, look in self._looks.items():
            if part not in self._going or self._going[part].ended.is_set():  # one thread of a part, however frozen
                self._going[part] = _Going(part, look)
        until_s = time.monotonic() + self._wait_s
        found: dict[str, Metric] = {}
        took: dict[tuple[str, ...], float] = {}
        failed: dict[tuple[str, ...], float] = {}
        for part, going in self._going.items():
            is_whole = going.ended.wait(max(until_s - time.monotonic(), 0)) and going.is_whole
            told = list(going.found)
            took[part,], failed[part,] = going.took_s, float(not is_whole)
            if not is_whole and part in self._down:
                figure, labels = self._down[part]
                told += [figure.family({labels: 0})] if figure.name not in {one.name for one in told} else []
            for one in told:  # two servers tell the same of themselves
                found.setdefault(one.name, Metric(one.name, one.documentation, one.type)).samples.extend(one.samples)
        return [*found.values(), figures.LOOK_SECONDS.family(took), figures.LOOK_FAILED.family(failed)]


class _Going:
    """A look at a part that is going on."""

    def __init__(self, part: str, look: Look) -> None:
        self._part, self._look = part, look
        self._began = time.monotonic()
        self._took_s = 0.0
        self.found: list[Metric] = []
        self.is_whole = False
        self.ended = threading.Event()
        threading.Thread(target=self._run, name=f"look at {part}", daemon=True).start()

    @property
    def took_s(self) -> float:
        """Until its end, or until now."""
        return self._took_s if self.ended.is_set() else time.monotonic() - self._began

    def _run(self) -> None:
        try:
            for one in self._look():
                self.found.append(one)
            self.is_whole = True
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are told
            log.info("not looked at part=%s error=%s", self._part, type(error).__name__)
        finally:
            connections.drop()  # of this thread, which is over
            self._took_s = time.monotonic() - self._began
            self.ended.set()
