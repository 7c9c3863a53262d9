"""What the one-command run of a VAR_DIR was given and chose, kept in a file of this user's for the commands beside it.
Standard library only, so that settings can ask it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_FILE = "instance.json"


@contextmanager
def told(run: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, commands of this user with the same VAR_DIR find `variables`. The lock on the file goes with the process,
    however it ends, so that nobody believes what a killed one left."""
    file, partial = run / _FILE, run / f"{_FILE}.partial"
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        json.dump(variables, output)
        output.flush()
        fcntl.flock(output, fcntl.LOCK_EX)
        partial.rename(file)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def variables(home: Path) -> dict[str, str]:
    """The variables of the run of this VAR_DIR; none if nothing runs there, or only another user's."""
    try:
        with (home / "run" / _FILE).open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid != os.geteuid():
                return {}
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # the run holds it
                return dict(json.load(file))
    except (OSError, ValueError):
        pass
    return {}
