"""A file by which somebody outside sees that a process's main loop turns: its time of change. Standard library only."""

from __future__ import annotations

import logging
import time
from pathlib import Path

log = logging.getLogger(__name__)
EVERY_S = 5.0
"""How often it is renewed."""

_renewed: dict[str, float] = {}


def renew(file: str) -> None:
    """Say that the loop that calls this turns; as often as it likes, the file is touched every `EVERY_S`. Nothing
    happens without a file, and a folder that is not there stops nobody."""
    now = time.monotonic()
    if not file or now - _renewed.get(file, -EVERY_S) < EVERY_S:
        return
    _renewed[file] = now
    try:
        Path(file).touch()
    except OSError as error:
        log.warning("cannot say that it lives file=%s error=%s", file, error.strerror)
