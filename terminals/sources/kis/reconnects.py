"""How long to wait before the next connection. KIS blocks the address and the appkey of who connects and closes without
end (notice of 2026-02-24): so there is a floor, each failure doubles it, and a restart of the program forgets nothing.
"""

import json
import logging
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminals import private

log = logging.getLogger("naru.kis")

FLOOR_S: Final = 10.0
MOST_S: Final = 300.0
_DOUBLINGS: Final = 10


@dataclass(slots=True)
class _Kept:
    attempts: int = 0
    last_at: float = 0.0
    """Seconds since 1970."""


class Reconnects:
    """Of one appkey, kept in `file`; its connection owner alone writes it. Times in seconds since 1970."""

    def __init__(self, file: Path, *, rng: random.Random, floor_s: float = FLOOR_S, most_s: float = MOST_S) -> None:
        self._file, self._rng, self._floor_s, self._most_s = file, rng, floor_s, most_s
        self._kept = self._read()
        self._wait_s = self._draw()

    @property
    def attempts(self) -> int:
        """Connections since the last one that held."""
        return self._kept.attempts

    def wait_s(self, now: float, at_least_s: float = 0.0) -> float:
        """Seconds until the next connection may begin: none for the first, then at least the floor since the last."""
        if not self._kept.attempts:
            return 0.0
        since = max(0.0, now - self._kept.last_at)  # a clock that was set back must not lengthen the wait
        return max(0.0, max(self._wait_s, at_least_s) - since)

    def begin(self, now: float) -> None:
        """A connection is begun; written before it is, so that one that kills the program counts."""
        self._kept = _Kept(self._kept.attempts + 1, now)
        self._wait_s = self._draw()
        self._write()

    def held(self) -> None:
        """The connection has brought data for a while."""
        if self._kept.attempts != 1:
            # The next one still keeps the floor from the last.
            self._kept = _Kept(1, self._kept.last_at)
            self._wait_s = self._draw()
            self._write()

    def _draw(self) -> float:
        doublings = min(max(0, self._kept.attempts - 1), _DOUBLINGS)
        wait_s = min(self._most_s, self._floor_s * 2.0**doublings)
        return wait_s * self._rng.uniform(1.0, 1.25)

    def _read(self) -> _Kept:
        try:
            content = json.loads(self._file.read_bytes())
            return _Kept(max(0, int(content["attempts"])), float(content["last_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return _Kept()

    def _write(self) -> None:
        """What a full disk has no room for is known to this process, and forgotten by its restart."""
        new = self._file.with_suffix(".new")
        data = json.dumps({"attempts": self._kept.attempts, "last_at": self._kept.last_at}).encode()
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private.FILE_MODE)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
            new.replace(self._file)
        except OSError as error:
            log.error("kis_attempts_not_kept reason=%r", str(error))
