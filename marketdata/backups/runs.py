"""Makes the backup that is due and has it verified, one at a time; sets right what an earlier run left."""

from __future__ import annotations

import datetime
import logging
import shutil
from pathlib import Path

from django.db import connection
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.backups import container, expiry, plan, register, taking, verification, workspace
from marketdata.backups.progress import silent, watched
from marketdata.backups.workspace import Options, options
from marketdata.maintenance import leases
from marketdata.models import BackupRun
from marketdata.models.texts import Text
from marketdata.storage import StorageError
from marketdata.storage.backups import BackupError, Progress, backup_of

log = logging.getLogger(__name__)


def check_overdue(now: datetime.datetime, *, given: Options | None = None) -> None:
    """Raise an alarm when no backup was verified for one and a half turns, though there is something to keep; resolve
    it otherwise. Asked also by who makes none, and maybe by several at once."""
    given = given or options()
    if plan.overdue(now, register.age_from(), given.plan):
        hours = given.plan.patience.total_seconds() / 3600
        told = format_lazy(_("no backup was verified for more than {hours:g} hours"), hours=hours)
        alarms.raise_alarm(register.OVERDUE, told)
    else:
        alarms.resolve(register.OVERDUE)


def run_due(now: datetime.datetime, *, given: Options | None = None, progress: Progress = silent) -> BackupRun | None:
    """Make the backup that is due, or verify the one that is not yet; None when nothing is, or another process is at
    it. May be called at any time by anybody."""
    given = given or options()
    check_overdue(now, given=given)
    known = register.known(given)
    waiting = [one for one in known if one.state == plan.STORED and one.has_archive]
    if not plan.due(now, known, given.plan) and not waiting:
        return None
    try:
        with leases.hold(register.LEASE, ttl_s=register.LEASE_TTL_S) as lease:
            known = register.known(given)  # another process may just have made it
            if plan.due(now, known, given.plan):
                return _make(None, now, given, watched(progress, lease))
            waiting = [one for one in known if one.state == plan.STORED and one.has_archive]
            if not waiting:
                return None
            newest = BackupRun.objects.get(name=max(waiting, key=lambda one: one.started_at).name)
            verification.verify_row(newest, now, given, watched(progress, lease))
            return newest
    except leases.LeaseHeld as error:
        log.info("backup put off reason=%s", error)
        return None


def make(
    now: datetime.datetime, *, kind: str | None = None, given: Options | None = None, progress: Progress = silent
) -> BackupRun:
    """Make a backup now and verify it. `kind` is chosen by the plan unless given. LeaseHeld if one is being made;
    what goes wrong otherwise is in the run's state and error."""
    given = given or options()
    with leases.hold(register.LEASE, ttl_s=register.LEASE_TTL_S) as lease:
        return _make(kind, now, given, watched(progress, lease))


def _make(kind: str | None, now: datetime.datetime, given: Options, progress: Progress) -> BackupRun:
    _reconcile(given)
    backup = backup_of(connection.vendor, given.programs, given.account)
    choice = taking.choose(kind, now, given, backup)
    log.info("backup begins kind=%s reason=%s", choice.kind, choice.why)
    run = BackupRun.objects.create(
        kind=choice.kind,
        base=BackupRun.objects.get(name=choice.base.name) if choice.base else None,
        vendor=connection.vendor,
        name=register.new_name(choice.kind, now, given),
        started_at=now,
    )
    try:
        taking.take(run, choice, given, backup, progress)
    except (StorageError, OSError, leases.LeaseHeld, leases.LeaseLost, *register.GONE) as error:
        _failed(run, given, register.explain(error, given.folder))
        return run
    except BaseException as error:  # a time limit, Ctrl-C: leave nothing half done, and go
        _failed(run, given, format_lazy(_("interrupted: {reason}"), reason=type(error).__name__))
        raise
    verification.verify_row(run, now, given, progress)
    if run.state == BackupRun.State.VERIFIED:
        expiry.expire(now, given)
    return run


def _failed(run: BackupRun, given: Options, error: Text) -> None:
    with register.quietly("files"):
        container.remove(given.folder, run.name)
    log.error("backup failed name=%s error=%s", run.name, alarms.english(error))
    try:
        run.state, run.ended_at = BackupRun.State.FAILED, datetime.datetime.now(datetime.UTC)
        register.note(run, error)
        run.save()
        alarms.raise_alarm(register.FAILED, register.about(run, error))
    except register.GONE as gone:  # the database went away: its row is set right by the next run
        log.warning("backup not noted name=%s error=%s", run.name, type(gone).__name__)
        connection.close()


def _reconcile(given: Options) -> None:
    """Set right what a run left that ended before its end. We hold the lease, so nobody is running."""
    for run in BackupRun.objects.filter(state=BackupRun.State.RUNNING):
        try:
            manifest = container.read(given.folder, run.name)
        except BackupError:
            _failed(run, given, _("ended before its end"))
            continue
        # Stored, but the row does not say so: killed in between, or this database was restored from that very backup.
        # Without a position nothing will build on it.
        run.state, run.sha256 = BackupRun.State(manifest.state), manifest.sha256
        run.bytes, run.raw_bytes, run.report = manifest.bytes, manifest.raw_bytes, manifest.report
        run.save()
    if given.work.is_dir():
        for left in given.work.glob(f"work-{workspace.host()}-*"):
            pid = left.name.rsplit("-", 2)[-2]
            if pid.isdigit() and not Path("/proc", pid).exists():
                shutil.rmtree(left, ignore_errors=True)
