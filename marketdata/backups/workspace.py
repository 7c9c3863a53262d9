"""Where backups lie and how they are made, and the folder that one is made or restored in."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from marketdata.backups.plan import Plan
from marketdata.models.texts import Text
from marketdata.storage.backups import BackupUnavailable, Programs


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where backups lie and how they are made."""

    folder: Path
    work: Path
    plan: Plan
    level: int
    programs: Programs
    account: Mapping[str, Any]


def options() -> Options:
    """As the settings have it."""
    return Options(
        folder=Path(settings.BACKUP_DIR),
        work=Path(settings.BACKUP_WORK_DIR or settings.BACKUP_DIR),
        plan=Plan(
            time=settings.BACKUP_TIME,
            every=datetime.timedelta(hours=settings.BACKUP_EVERY_H),
            full_every=datetime.timedelta(days=settings.BACKUP_FULL_EVERY_DAYS),
            keep=datetime.timedelta(days=settings.RETENTION_BACKUPS_DAYS),
        ),
        level=settings.BACKUP_ZSTD_LEVEL,
        programs=Programs(settings.BACKUP_PROGRAMS),
        account=settings.BACKUP_DATABASE,
    )


class NoRoom(BackupUnavailable):
    """A disk has too little room; found before anything was written."""


def make_folder(folder: Path) -> None:
    """See that there is a folder that this user may write; BackupUnavailable if there cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # as below: not to be read, but to be passed through
    except OSError as error:
        raise BackupUnavailable(
            _("{folder} cannot be made: {strerror}. BACKUP_DIR names it"), folder=folder, strerror=error.strerror
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BackupUnavailable(_("{folder} may not be written by this user. BACKUP_DIR names it"), folder=folder)


@contextmanager
def working(given: Options) -> Iterator[Path]:
    """A folder of its own for one piece of work, gone when the block ends. BackupUnavailable if it cannot be made."""
    make_folder(given.work)
    folder = Path(tempfile.mkdtemp(prefix=f"work-{host()}-{os.getpid()}-", dir=given.work))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # a server that refuses to run as root reaches what is its own below
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def host() -> str:
    """This machine, as a working folder names it."""
    return socket.gethostname()[:40]


def need_room(folder: Path, wanted: int, purpose: Text) -> None:
    """NoRoom unless the disk of a folder has `wanted` bytes free."""
    if not folder.exists():
        make_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise NoRoom(
            _(
                "not enough room on the disk of {folder} for {purpose}: about {wanted:,.0f} MB wanted, "
                "{free:,.0f} MB free"
            ),
            folder=folder,
            purpose=purpose,
            wanted=wanted / 1e6,
            free=free / 1e6,
        )


def free(folder: Path) -> str:
    """How much of the disk of a folder is free, for a person."""
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB"
    except OSError:
        return "?"
