"""Room on the disks of this machine, and whether the archive that it sees is the one that was made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.archive import manifests
from marketdata.doctor.findings import Finding, Level
from marketdata.models import RolloverRun

GIB = 1 << 30
LEAST_FREE = 0.05  # of a disk


@dataclass(frozen=True, slots=True)
class Disk:
    """Room, in bytes, where this machine writes `name`."""

    name: str | Promise
    free: int
    total: int

    @property
    def is_short(self) -> bool:
        return self.free < GIB or self.free < LEAST_FREE * self.total


def room() -> Iterator[Disk]:
    """The disks this machine writes to. A database on another machine is looked after there."""
    places: dict[str | Promise, Any] = {"VAR_DIR": settings.VAR_DIR, "BACKUP_DIR": settings.BACKUP_DIR}
    if connection.vendor == "sqlite":
        places[_("database file")] = Path(str(connection.settings_dict["NAME"])).parent
    if settings.ARCHIVE:
        places["ARCHIVE_DIR"] = settings.ARCHIVE_DIR
    for name, place in places.items():
        folder = Path(place)
        while not folder.exists():
            folder = folder.parent
        usage = shutil.disk_usage(folder)
        yield Disk(name, usage.free, usage.total)


def disks() -> Iterator[Finding]:
    """Whether there is room enough on them."""
    for disk in room():
        yield Finding(
            what=format_lazy(_("free disk of {name}"), name=disk.name),
            value=f"{disk.free / GIB:.1f} GiB ({100 * disk.free // disk.total} %)",
            wanted=format_lazy(_("1 GiB and {share:.0%} at least"), share=LEAST_FREE),
            level=Level.WARNING if disk.is_short else Level.OK, remedy=_("make room, or move it"),
        )  # fmt: skip


def archive() -> Iterator[Finding]:
    """Whether the archive that counts as made is what this machine sees: backups, upkeep and who looks need one."""
    if not settings.ARCHIVE:
        return
    made = RolloverRun.objects.exclude(archived_at=None).order_by("-archived_at").values_list("trade_date", flat=True)
    newest, folder = made.first(), Path(settings.ARCHIVE_DIR)
    is_there = newest is None or bool(manifests.parts_of(newest, folder))
    if newest is None:
        value = _("{folder}, no day archived yet")
    else:
        value = _("{folder}, with {date}") if is_there else _("{folder}, without {date}")
    yield Finding(
        what="ARCHIVE_DIR", value=format_lazy(value, folder=folder, date=newest),
        wanted=_("the newest archived day in it"), level=Level.OK if is_there else Level.ERROR,
        remedy=_("let every machine that makes backups or does upkeep see the same folder under ARCHIVE_DIR"),
    )  # fmt: skip
