"""Restores a backup beside the original and compares the two: only what was compared counts as verified."""

from __future__ import annotations

import datetime
import logging
import time
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata import alarms
from marketdata.backups import comparison, container, plan, register, restoration, workspace
from marketdata.backups.container import Manifest, Tampered
from marketdata.backups.plan import BrokenChain
from marketdata.backups.progress import silent, watched
from marketdata.backups.workspace import Options, options
from marketdata.maintenance import leases
from marketdata.models import BackupRun
from marketdata.models.texts import joined, kept, of_error
from marketdata.storage import StorageError
from marketdata.storage.backups import BackupError, BackupUnavailable, ProgramMissing, Progress, backup_of

log = logging.getLogger(__name__)


def verify_row(run: BackupRun, now: datetime.datetime, given: Options, progress: Progress) -> None:
    """Restore and compare, and write down what came of it, in the row and beside the archive."""
    started = time.monotonic()
    try:
        manifest = container.read(given.folder, run.name)
        if run.sha256 and manifest.sha256 != run.sha256:
            raise Tampered(gettext_lazy("{name}: its manifest names another SHA-256 than the database"), name=run.name)
        report = check(run.name, given=given, progress=progress, original=connection.alias)
        error = joined(report["problems"])
        state = BackupRun.State.FAILED if error else BackupRun.State.VERIFIED
    except (ProgramMissing, BackupUnavailable, OSError, leases.LeaseLost, *register.GONE) as reason:
        # says nothing about the backup
        report, state, error = {}, BackupRun.State.STORED, register.explain(reason, given.work)
    except (StorageError, BrokenChain) as reason:
        report, state, error = {}, BackupRun.State.FAILED, of_error(reason)
    seconds = round(time.monotonic() - started, 1)
    run.state = state
    register.note(run, error)
    if report:
        run.report = _as_kept(report) | {"seconds": seconds}
    if state == BackupRun.State.VERIFIED:
        run.verified_at = datetime.datetime.now(datetime.UTC)
        log.info("backup verified name=%s bytes=%s seconds=%s", run.name, run.bytes, seconds)
    try:
        run.save()
        if error:
            alarms.raise_alarm(register.UNVERIFIED, register.about(run, error), subject=run.name)
        else:
            alarms.resolve(register.UNVERIFIED)
            alarms.resolve(register.OVERDUE)
            alarms.resolve(register.CHANGED)
            for words in report.get("changed", []):
                alarms.raise_alarm(register.CHANGED, words, subject=alarms.english(words).partition(":")[0])
    except register.GONE as gone:
        log.warning("backup not noted name=%s error=%s", run.name, type(gone).__name__)
        connection.close()
    with register.quietly("manifest"):
        manifest = container.read(given.folder, run.name)
        manifest.state, manifest.report = str(state), run.report
        manifest.verified_at = run.verified_at.isoformat() if run.verified_at else ""
        container.write(given.folder, manifest)


def verify(name: str, *, given: Options | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Restore a backup once more and compare it with what was found the first time; without a database that knows of
    it, too. The report; its `problems` are empty when all is well. Tampered if the archive is not what was written,
    BackupError if it cannot be restored here."""
    given = given or options()
    manifest = container.read(given.folder, name)
    row = register.row_of(name)
    if row is not None and row.state == BackupRun.State.STORED:
        with leases.hold(register.LEASE, ttl_s=register.LEASE_TTL_S) as lease:
            verify_row(row, datetime.datetime.now(datetime.UTC), given, watched(progress, lease))
        if row.state == BackupRun.State.STORED:
            raise BackupError(kept(row.error, row.texts))
        return dict(row.report or {"tables": {}, "checks": {}, **comparison.naming(())}) | {
            "problems": [kept(row.error, row.texts)] if row.error else []
        }
    try:
        if row is not None and row.sha256 and row.sha256 != manifest.sha256:
            raise Tampered(gettext_lazy("{name}: its manifest names another SHA-256 than the database"), name=name)
        report = check(name, given=given, progress=progress, original=connection.alias if row is not None else None)
    except (ProgramMissing, BackupUnavailable):
        raise
    except StorageError as error:
        report = {"tables": {}, "checks": {}, **comparison.naming(()), "problems": [of_error(error)]}
    _note(row, manifest, report, given)
    return report


def _note(row: BackupRun | None, manifest: Manifest, report: dict[str, Any], given: Options) -> None:
    """Write down what verifying once more found. The first report stays: it is what later ones are compared with."""
    error, now = joined(report["problems"]), datetime.datetime.now(datetime.UTC)
    with register.quietly("manifest"):
        manifest.state = plan.FAILED if error else plan.VERIFIED
        if not error:
            manifest.report, manifest.verified_at = manifest.report or _as_kept(report), now.isoformat()
        container.write(given.folder, manifest)
    if row is None:
        return
    with register.quietly("row"):
        row.state = BackupRun.State(manifest.state)
        register.note(row, error)
        if not error:
            row.verified_at, row.report = now, row.report or _as_kept(report)
        row.save()
        if error:
            alarms.raise_alarm(register.UNVERIFIED, register.about(row, error), subject=row.name)
        else:
            alarms.resolve(register.UNVERIFIED, subject=row.name)


def _as_kept(report: dict[str, Any]) -> dict[str, Any]:
    """A report as it is kept in JSON: its texts in English."""
    texts = {name: [alarms.english(one) for one in report.get(name, ())] for name in ("problems", "changed")}
    return {**report, **{name: told for name, told in texts.items() if name in report}}


def check(name: str, *, given: Options, progress: Progress, original: str | None) -> dict[str, Any]:
    """Restore `name` with what it builds on to a private server and compare. The report."""
    needed = restoration.chain(name, given)
    manifest = needed[-1]
    backup = backup_of(manifest.vendor, given.programs, given.account)
    backup.restorable()
    workspace.make_folder(given.work)
    workspace.need_room(given.work, sum(one.raw_bytes for one in needed), gettext_lazy("restoring"))
    with workspace.working(given) as work:
        target = work / "restored"
        restoration.restore_chain(needed, target, work, given, backup, progress)
        progress(_("opening what was restored"))
        with (
            backup.opened(target) as entry,
            comparison.opened({"NAME": manifest.facts.get("database", ""), **entry}) as restored,
        ):
            wrong = backup.examine(restored)
            if manifest.report.get("tables") and not manifest.report.get("problems"):
                report = comparison.again(manifest.report, restored, progress=progress)
            else:
                report = comparison.first(manifest.taken, restored, original, progress=progress)
    report["problems"] = [*wrong, *report["problems"]]
    return report
