"""How the copies in another place stand, as the database knows it: for pages, metrics and the doctor."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import Min

from marketdata.models import BackupRun

SHOWN = 10
"""Characters of a public key at each end, by which a person recognises it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`newest` and `proven` are the newest backup that was copied, and that was proven from there; `waiting` counts
    those that are verified and not copied, `unsigned` copies that nobody signed where somebody should. The age of what
    is proven counts from `age_from`: when that backup began, and before there is one, when the first was copied."""

    newest: BackupRun | None
    proven: BackupRun | None
    proven_at: datetime.datetime | None
    age_from: datetime.datetime | None
    waiting: int
    unsigned: int


def state() -> State:
    """Of the place that was copied to last."""
    runs = BackupRun.objects.filter(vendor=connection.vendor).defer("report")
    newest = runs.exclude(copied_at=None).order_by("-copied_at").first()
    place = newest.copy_place if newest is not None else ""
    there = runs.filter(copy_place=place) if place else runs.none()
    shown = there.order_by("-started_at")
    proven = shown.exclude(copy_proven_at=None)
    latest, last = proven.order_by("-copy_proven_at").first(), proven.first()
    return State(
        newest=shown.first(), proven=last, proven_at=latest.copy_proven_at if latest is not None else None,
        age_from=there.aggregate(first=Min("copied_at"))["first"] if last is None else last.started_at,
        waiting=runs.filter(state=BackupRun.State.VERIFIED).exclude(pk__in=there.values("pk")).count(),
        unsigned=there.filter(copy_signer="").count() if settings.BACKUP_SIGNERS_FILE else 0,
    )  # fmt: skip


def recipients() -> list[str]:
    """Public keys as a person recognises them."""
    keys = [word.split()[1] if word.startswith("ssh-") and " " in word else word for word in settings.BACKUP_RECIPIENTS]
    return [key if len(key) <= 2 * SHOWN else f"{key[:SHOWN]}…{key[-SHOWN:]}" for key in keys]
