"""Which files a replay has sent and how far it got: kept beside its spool, so that a replay which was killed goes on
instead of starting over, and a file is not sent twice by mistake."""

import hashlib
import json
import os
from pathlib import Path
from typing import Final, TypedDict

from terminals.spool import Spool
from terminals.wire.language import gettext as _

_NAME: Final = "replay.json"
_REMEMBERED: Final = 1000  # files; the oldest are forgotten


class AlreadySent(Exception):
    """Rows of this file were sent before; sending them again would double their volume."""


class _Kept(TypedDict):
    epoch: str
    rows: int  # taken before `since`
    since: int | None  # rows of the spool when this file went on; None: another file went on after it, or it is done
    done: bool


class Checkpoint:
    """Counts by the spool itself: the rows it took since this file's replay began. Needs a spool that drops nothing."""

    def __init__(self, spool: Spool, file: Path) -> None:
        self._spool = spool
        self._path = spool.path / _NAME
        self._file = _fingerprint(file)

    def begin(self, rows: int, *, anew: bool = False, again: bool = False) -> int:
        """How many rows of this file, which has `rows`, were already taken and are to be left out.

        All of them if the spool was opened with batches that wait for their commitment. `again` sends a finished file
        once more; with `anew` it starts from the first row in any case. AlreadySent if rows would be sent twice without
        `again`.
        """
        files = self._read()
        kept = files.get(self._file)
        if kept is not None and kept["epoch"] != self._spool.origin and not kept["done"]:
            if not again:
                raise AlreadySent(
                    _(
                        "it was interrupted, and the spool has begun a new epoch since, so it is not known how many"
                        " rows were sent; --again sends it from the first row"
                    )
                )
            kept = None
        taken = 0 if kept is None else self._taken(kept)
        if kept is not None and kept["done"] and not again:
            if not self._spool.settled_before:
                return rows
            raise AlreadySent(_("all its {rows} rows were sent before; --again sends them once more").format(rows=rows))
        if kept is not None and not kept["done"] and anew and taken and not again:
            told = _("{rows} of its rows were sent before; --from-start --again sends them once more")
            raise AlreadySent(told.format(rows=taken))
        if kept is None or kept["done"] or anew:
            taken = 0
        self._write(files, _Kept(epoch=self._spool.origin, rows=taken, since=self._spool.rows_total, done=False))
        return taken

    def finish(self) -> None:
        """The whole file is in the spool."""
        files = self._read()
        kept = files.get(self._file)
        if kept is None or not kept["done"]:
            taken = 0 if kept is None else self._taken(kept)
            self._write(files, _Kept(epoch=self._spool.origin, rows=taken, since=None, done=True))

    def _taken(self, kept: _Kept) -> int:
        since = kept["since"]
        return kept["rows"] + (0 if since is None else self._spool.rows_total - since)

    def _read(self) -> dict[str, _Kept]:
        """What is known of each file, by the SHA-256 of its content; the one that went on last stands last."""
        try:
            content = json.loads(self._path.read_bytes())
            if "file" in content:  # as it was written when only one file was remembered
                content["files"] = {content["file"]: {**content, "rows": 0, "since": content["rows_before"]}}
            return {
                str(file): _Kept(
                    epoch=str(kept["epoch"]),
                    rows=int(kept["rows"]),
                    since=None if kept["since"] is None else int(kept["since"]),
                    done=bool(kept["done"]),
                )
                for file, kept in content["files"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, files: dict[str, _Kept], kept: _Kept) -> None:
        for name, other in files.items():  # what the spool takes from now on is no row of theirs
            if other["since"] is not None:
                files[name] = _Kept(epoch=other["epoch"], rows=self._taken(other), since=None, done=other["done"])
        files.pop(self._file, None)
        files[self._file] = kept
        for name in list(files)[:-_REMEMBERED]:
            del files[name]
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(json.dumps({"files": files}).encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _fingerprint(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
