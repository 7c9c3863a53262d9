"""SQLite's backups: the online backup API, always full, page by page beside the writers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata.storage.backup import Backup, BackupError, Progress, Taken

NAME = "naru.sqlite3"
PAGES = 2_048
"""Copied at a time; when others write in between, SQLite begins anew. A connection that reads holds one picture of the
file, so nothing begins anew."""


class SQLiteBackup(Backup):
    """The file as it is at one moment."""

    vendor: ClassVar[str] = "sqlite"

    def ready(self, connection: BaseDatabaseWrapper) -> None:
        path = Path(str(connection.settings_dict["NAME"]))
        if not path.is_file():
            raise BackupError(gettext_lazy("{path}: there is no such database file: DATABASE_URL names it"), path=path)

    def size(self, connection: BaseDatabaseWrapper) -> int:
        return _pragma(connection, "page_size") * _pragma(connection, "page_count")

    def take(self, connection: BaseDatabaseWrapper, folder: Path, *, since: str, progress: Progress) -> Taken:
        path, target = Path(str(connection.settings_dict["NAME"])), folder / NAME
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=20)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.isolation_level = copy.isolation_level = None
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            page = int(source.execute("PRAGMA page_size").fetchone()[0])

            def tell(status: int, remaining: int, total: int) -> None:
                progress(_("copying"), (total - remaining) * page, total * page)

            try:
                source.backup(copy, pages=PAGES, progress=tell, sleep=0)
            except sqlite3.Error as error:
                raise BackupError(gettext_lazy("SQLite could not be copied: {error}"), error=error) from error
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return Taken(position="", facts={"version": sqlite3.sqlite_version})

    def begin(self, target: Path, *, progress: Progress) -> None:
        if not (target / NAME).is_file():
            raise BackupError(f"{target} has no {NAME}")

    def finish(self, target: Path, *, progress: Progress) -> None:
        return

    @contextmanager
    def opened(self, target: Path) -> Iterator[dict[str, Any]]:
        yield {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(target / NAME),
            "HOST": "",
            "USER": "",
            "PASSWORD": "",
        }

    def examine(self, connection: BaseDatabaseWrapper) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check(20)")
            said = [str(row[0]) for row in cursor.fetchall()]
            cursor.execute("PRAGMA foreign_key_check")
            said += [f"foreign key: {row}" for row in cursor.fetchall()[:20]]
        return [text for text in said if text != "ok"]

    def advice(self, target: Path) -> str:
        return _(
            "1. stop Naru and move the old database file aside, with its -wal and -shm\n"
            "2. put {target} in its place (DATABASE_URL names it)\n"
            "3. start Naru: terminals send again what the restored ledger lacks (24 h)"
        ).format(target=target / NAME)


def _pragma(connection: BaseDatabaseWrapper, name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])
