"""What the database knows of its backups. It may be away, and what was found is kept beside the archive then."""

from __future__ import annotations

import datetime
import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.models import Max, Min
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.backups import container, workspace
from marketdata.backups.plan import Known
from marketdata.backups.workspace import Options
from marketdata.models import BackupRun, IngestBatch
from marketdata.models.texts import Text, of_error
from marketdata.storage import StorageError

log = logging.getLogger(__name__)
LEASE, LEASE_TTL_S = "backup", 60.0
GONE = (DatabaseError, InterfaceError)
"""A database that cannot be asked."""
FAILED, UNVERIFIED, OVERDUE = "backup_failed", "backup_unverified", "backup_overdue"
CHANGED, SHRUNK = "history_changed", "backup_shrunk"
"""Codes of alarms."""


def known(given: Options, *, rows_only: bool = False) -> list[Known]:
    """What the database knows, with what lies in the folder."""
    rows = BackupRun.objects.filter(vendor=connection.vendor).exclude(state=BackupRun.State.EXPIRED)
    fields = ("name", "kind", "state", "started_at", "base__name", "position")
    return [
        Known(
            name=name,
            kind=kind,
            state=state,
            started_at=started_at,
            base=base or "",
            position=position,
            has_archive=container.path_of(given.folder, name).is_file(),
        )
        for name, kind, state, started_at, base, position in rows.values_list(*fields)
    ]


def age_from() -> datetime.datetime | None:
    """From when on the age of backups counts: when the newest verified one began, and before there is one, when the
    first batch of the ledger was committed. None while there is nothing to keep."""
    verified = BackupRun.objects.filter(vendor=connection.vendor, state=BackupRun.State.VERIFIED)
    began: datetime.datetime | None = verified.aggregate(newest=Max("started_at"))["newest"]
    if began is not None:
        return began
    first_us = IngestBatch.objects.aggregate(first=Min("committed_us"))["first"]
    return None if first_us is None else datetime.datetime.fromtimestamp(first_us / 1e6, datetime.UTC)


def row_of(name: str) -> BackupRun | None:
    """The row of a backup; None where there is none, or the database does not answer."""
    try:
        return BackupRun.objects.filter(name=name).first()
    except GONE as error:
        log.warning("backup not looked up name=%s error=%s", name, type(error).__name__)
        return None


def new_name(kind: str, now: datetime.datetime, given: Options) -> str:
    """A name that no other backup has or had."""
    stem = f"naru-{now.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}-{kind}"
    taken = {
        *container.names(given.folder),
        *BackupRun.objects.filter(name__startswith=stem).values_list("name", flat=True),
    }
    return next(name for number in range(1, 1000) if (name := f"{stem}-{number}" if number > 1 else stem) not in taken)


@contextmanager
def quietly(what: str) -> Iterator[None]:
    """A database or a disk that does not answer is no reason to forget what was found."""
    try:
        yield
    except (StorageError, OSError, *GONE) as error:
        log.warning("backup not noted what=%s error=%s", what, type(error).__name__)


def explain(error: BaseException, folder: Path) -> Text:
    """What a person is told of an error; `folder` is where there may be no room."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        free = workspace.free(folder)
        told = _("no room left on the disk of {folder}: {free} free. Nothing was kept; make room")
        return format_lazy(told, folder=folder, free=free)
    if isinstance(error, OperationalError | InterfaceError):
        return format_lazy(_("the database cannot be reached: {error}"), error=error)
    if isinstance(error, DatabaseError):
        return format_lazy(_("the database said: {error}"), error=error)
    return of_error(error)


def note(run: BackupRun, error: Text) -> None:
    """Put an error, "" for none, on a row that is not saved yet: in English, and by language beside it."""
    run.error, run.texts = alarms.english(error), alarms.translations(error)


def about(run: BackupRun, error: Text) -> Promise:
    """What an alarm says of an error of a backup."""
    return format_lazy("{name}: {error}", name=run.name, error=error)
