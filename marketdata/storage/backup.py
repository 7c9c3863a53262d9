"""What a database's backup does: take one, put a chain of them together again, and open the result on a private server
beside the original. When, where and whether it counts is `marketdata.backups`'s business."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage.base import StorageError
from marketdata.storage.programs import Programs


class BackupError(StorageError):
    """A backup could not be taken or restored; the message says what to do."""


class BackupUnavailable(BackupError):
    """This machine cannot restore as it is now; that says nothing about the backup."""


class Progress(Protocol):
    """Told now and then, with bytes done and, where it is known, of how many. May raise to end the work."""

    def __call__(self, step: str, done: int = 0, total: int | None = None) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a backup is: `position` is where the next increment begins ("" where there are none)."""

    position: str
    facts: dict[str, str] = field(default_factory=dict)


class Backup(abc.ABC):
    """Backups of one kind of database. Everything but `taking` works without the original."""

    vendor: ClassVar[str]

    def __init__(self, programs: Programs, account: Mapping[str, Any] | None = None) -> None:
        """`account` is a Django database entry: with whose name and password a backup is taken."""
        self.programs = programs
        self.account = dict(account or {})

    # --- taking, with a connection to the original --------------------------------------------------------------------

    @abc.abstractmethod
    def ready(self, connection: BaseDatabaseWrapper) -> None:
        """See that a backup can be taken from here; BackupError naming what is missing."""

    @abc.abstractmethod
    def size(self, connection: BaseDatabaseWrapper) -> int:
        """About how many bytes a full backup has before it is packed."""

    def excluded_tables(self, connection: BaseDatabaseWrapper) -> set[str]:
        """Tables whose rows no backup has, because they are in memory only."""
        return set()

    def blocking_reason(self, connection: BaseDatabaseWrapper, position: str) -> str:
        """Why no increment can begin at `position`; "" if it can."""
        return f"{self.vendor} has full backups only"

    @abc.abstractmethod
    def take(self, connection: BaseDatabaseWrapper, folder: Path, *, since: str, progress: Progress) -> Taken:
        """Put a full backup, or with `since` an increment from that position, into an empty folder. Others write
        meanwhile."""

    def stored(self, connection: BaseDatabaseWrapper, position: str) -> None:  # noqa: B027 - most keep nothing
        """A backup that ends at `position` is safe: what the database kept for it may go."""

    # --- restoring ----------------------------------------------------------------------------------------------------

    def restorable(self) -> None:  # noqa: B027 - nothing is missing where no program is needed
        """See that a backup can be restored here; BackupError naming what is missing."""

    @abc.abstractmethod
    def begin(self, target: Path, *, progress: Progress) -> None:
        """`target` has the files of a full backup: make increments possible."""

    def apply(self, target: Path, increment: Path, *, progress: Progress) -> None:
        """Bring the files of an increment into `target`; what is left of `increment` is of no more use. BackupError
        where the database has none."""
        raise BackupError(f"{self.vendor} has no increments")

    @abc.abstractmethod
    def finish(self, target: Path, *, progress: Progress) -> None:
        """After the last increment: make `target` what a server starts from."""

    @abc.abstractmethod
    def opened(self, target: Path) -> AbstractContextManager[dict[str, Any]]:
        """A private server on a restored folder, reachable on this machine and for this user only; gives what Django
        wants to know of it (ENGINE, NAME, USER, …)."""

    @abc.abstractmethod
    def examine(self, connection: BaseDatabaseWrapper) -> list[str]:
        """What the database itself finds wrong with its files; [] is good."""

    @abc.abstractmethod
    def advice(self, target: Path) -> str:
        """For a person: what to do with a restored folder."""


def folder_bytes(folder: Path) -> int:
    """How many bytes the files below a folder have."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:  # it went away between the two questions
            continue
    return total
