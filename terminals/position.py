"""How far a replay got: kept beside its spool, so that a replay which was killed goes on instead of starting over."""

import hashlib
import json
import os
from pathlib import Path
from typing import TypedDict

from terminals.spool import Spool

_NAME = "replay.json"


class _Kept(TypedDict):
    epoch: str
    file: str
    rows_before: int
    done: bool


class Position:
    """Counts by the spool itself: the rows it took since this file's replay began. Needs a spool that drops nothing."""

    def __init__(self, spool: Spool, file: Path) -> None:
        self._spool = spool
        self._path = spool.path / _NAME
        self._file = _fingerprint(file)

    def begin(self, *, anew: bool = False) -> int:
        """How many rows of this file were already taken; 0 for another file, a finished replay, or `anew`."""
        kept = self._read()
        if not anew and kept is not None and not kept["done"]:
            return self._spool.rows_total - kept["rows_before"]
        self._write(self._spool.rows_total, done=False)
        return 0

    def finish(self) -> None:
        """The whole file is in the spool: the next replay of it starts over."""
        self._write(self._spool.rows_total, done=True)

    def _read(self) -> _Kept | None:
        try:
            content = json.loads(self._path.read_bytes())
            kept = _Kept(
                epoch=str(content["epoch"]),
                file=str(content["file"]),
                rows_before=int(content["rows_before"]),
                done=bool(content["done"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return kept if kept["epoch"] == self._spool.epoch and kept["file"] == self._file else None

    def _write(self, rows_before: int, *, done: bool) -> None:
        content = _Kept(epoch=self._spool.epoch, file=self._file, rows_before=rows_before, done=done)
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(json.dumps(content).encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _fingerprint(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
