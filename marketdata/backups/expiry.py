"""Lets old backups go, save for those that have what newer ones lack."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.backups import container, plan, register
from marketdata.backups.plan import BrokenChain, Known
from marketdata.backups.workspace import Options
from marketdata.models import BackupRun
from marketdata.storage.backups import BackupError
from marketdata.storage.base import DAILY

log = logging.getLogger(__name__)


def expire(now: datetime.datetime, given: Options) -> None:
    """Remove the archives that are past their time and that nobody needs; their rows stay."""
    known = {one.name: one for one in container.everything(given.folder).values()}
    known |= {one.name: one for one in register.known(given, rows_only=True)}
    wanted = _still_wanted(known, given)
    for name in plan.expired(now, list(known.values()), given.plan):
        if name in wanted:
            continue
        container.remove(given.folder, name)
        BackupRun.objects.filter(name=name).update(state=BackupRun.State.EXPIRED, report={})
        log.info("backup expired name=%s", name)
    old = BackupRun.objects.filter(state=BackupRun.State.FAILED, started_at__lt=now - given.plan.keep)
    old.exclude(report={}).update(report={})


def _still_wanted(known: Mapping[str, Known], given: Options) -> set[str]:
    """Backups that have what the newest verified one lacks, with what they need: they stay whatever their age, for a
    good copy of a database that lost something is no copy of what it lost.

    Daily candles are kept for ever, so a backup with more of them is of a fuller database (an alarm); and one of before
    history was found changed may have the days as they were.
    """
    verified = sorted(
        (one for one in known.values() if one.state == plan.VERIFIED and one.has_archive),
        key=lambda one: one.started_at,
        reverse=True,
    )
    reports = {one.name: _report(given.folder, one.name) for one in verified}
    if not verified:
        return set()
    newest = verified[0].name
    fuller = [one.name for one in verified if _daily(reports[one.name]) > _daily(reports[newest])]
    wanted = sorted(fuller, key=lambda name: -_daily(reports[name]))[:1]
    if wanted:
        alarms.raise_alarm(
            register.SHRUNK,
            format_lazy(
                _(
                    "{newest} has {few:,} daily candles, {older} has {many:,}: was the database lost or begun anew?"
                    " That backup is kept whatever its age. If nobody wants it, remove its two files from {folder}"
                ),
                newest=newest,
                few=_daily(reports[newest]),
                older=wanted[0],
                many=_daily(reports[wanted[0]]),
                folder=given.folder,
            ),
        )
    else:
        alarms.resolve(register.SHRUNK)
    if reports[newest].get("changed"):
        wanted += [one.name for one in verified if not reports[one.name].get("changed")][:1]
    needed: set[str] = set()
    for name in wanted:
        with suppress(BrokenChain):
            needed |= {one.name for one in plan.chain(name, known)}
    return needed


def _report(folder: Path, name: str) -> dict[str, Any]:
    try:
        return container.read(folder, name).report
    except BackupError:
        return {}


def _daily(report: Mapping[str, Any]) -> int:
    """How many daily candles a backup was found to have."""
    return sum(int(rows) for rows, *_ in report.get("tables", {}).get(DAILY, {}).values())
