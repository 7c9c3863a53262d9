"""How each database is backed up and restored; `backup` has the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketdata.storage.backup import Backup, BackupError, BackupUnavailable, Progress, Taken
from marketdata.storage.mariadb.backup import MariaDBBackup
from marketdata.storage.postgresql.backup import PostgreSQLBackup
from marketdata.storage.programs import ProgramFailed, ProgramMissing, Programs
from marketdata.storage.sqlite.backup import SQLiteBackup

BACKUPS: dict[str, type[Backup]] = {"sqlite": SQLiteBackup, "mysql": MariaDBBackup, "postgresql": PostgreSQLBackup}

__all__ = [
    "BACKUPS", "Backup", "BackupError", "BackupUnavailable", "ProgramFailed", "ProgramMissing", "Programs", "Progress",
    "Taken",
    "backup_of",
]  # fmt: skip


def backup_of(vendor: str, programs: Programs, account: Mapping[str, Any] | None = None) -> Backup:
    """The backups of a kind of database; BackupError for one Naru does not know."""
    try:
        return BACKUPS[vendor](programs, account)
    except KeyError:
        raise BackupError(f"{vendor!r} has no backups here; known: {', '.join(sorted(BACKUPS))}") from None
