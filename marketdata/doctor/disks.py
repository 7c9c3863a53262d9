"""Room on the disks of this machine, and whether the archive that it sees is the one that was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata.archive import manifests
from marketdata.disks import GIB, LEAST_FREE, room
from marketdata.doctor.findings import Finding, Level
from marketdata.models import RolloverRun


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
