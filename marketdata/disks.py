"""Room on the disks that this machine writes to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

GIB = 1 << 30
LEAST_FREE = 0.05  # of a disk; docker/prometheus/rules/stores.yml has both


@dataclass(frozen=True, slots=True)
class Disk:
    """Room, in bytes, where this machine writes `name`."""

    name: str | Promise
    free: int
    total: int

    @property
    def is_short(self) -> bool:
        return self.free < GIB or self.free < LEAST_FREE * self.total


def room(*, backups: bool = True) -> Iterator[Disk]:
    """The disks this machine writes to, with `backups` where those and the archive go to. A database on another machine
    is looked after there. OSError for a disk that cannot be asked."""
    places: dict[str | Promise, Any] = {"VAR_DIR": settings.VAR_DIR}
    if settings.LOG_DIR:
        places["LOG_DIR"] = settings.LOG_DIR
    if backups:
        places["BACKUP_DIR"] = settings.BACKUP_DIR
    if connection.vendor == "sqlite":
        places[_("database file")] = Path(str(connection.settings_dict["NAME"])).parent
    if settings.ARCHIVE and backups:
        places["ARCHIVE_DIR"] = settings.ARCHIVE_DIR
    for name, place in places.items():
        folder = Path(place)
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        yield Disk(name, usage.free, usage.total)
