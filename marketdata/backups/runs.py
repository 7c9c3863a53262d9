"""Takes a backup, restores it beside the original, compares, and only then says `verified`; lets the old ones go. What
is due is `plan`'s, what a database does `marketdata.storage.backups`'s."""

from __future__ import annotations

import datetime
import errno
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from marketdata import alarms
from marketdata.backups import comparison, container, plan
from marketdata.backups.container import Manifest, Tampered
from marketdata.backups.plan import BrokenChain, Choice, Known, Plan
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases
from marketdata.models import BackupRun
from marketdata.storage import StorageError, storage
from marketdata.storage.backups import Backup, BackupError, ProgramMissing, Programs, Progress, Unable, backup_of
from marketdata.storage.base import DAILY

log = logging.getLogger(__name__)

LEASE = "backup"
FAILED, UNVERIFIED, OVERDUE = "backup_failed", "backup_unverified", "backup_overdue"
CHANGED, SHRUNK = "history_changed", "backup_shrunk"
"""Codes of alarms."""
UPKEEP_PATIENCE_S = 900.0
LEASE_TTL_S = 60.0
CHECK_S = 5.0
GONE = (DatabaseError, InterfaceError)


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


def silent(step: str, done: int = 0, total: int | None = None) -> None:
    """For work that nobody watches."""


# --- making -----------------------------------------------------------------------------------------------------------


def run_due(now: datetime.datetime, *, given: Options | None = None, progress: Progress = silent) -> BackupRun | None:
    """Make the backup that is due, or verify the one that is not yet; None when nothing is, or another process is at
    it. May be called at any time by anybody."""
    given = given or options()
    known = _known(given)
    if plan.overdue(now, known, given.plan) and any(one.has_archive for one in known):
        alarms.sound(OVERDUE, f"no backup was verified for more than {given.plan.every * 1.5}")
    waiting = [one for one in known if one.state == plan.STORED and one.has_archive]
    if not plan.due(now, known, given.plan) and not waiting:
        return None
    try:
        with leases.hold(LEASE, ttl_s=LEASE_TTL_S) as lease:
            known = _known(given)  # another process may just have made it
            if plan.due(now, known, given.plan):
                return _make(None, now, given, _watched(progress, lease))
            waiting = [one for one in known if one.state == plan.STORED and one.has_archive]
            if not waiting:
                return None
            newest = BackupRun.objects.get(name=max(waiting, key=lambda one: one.started_at).name)
            _verify_row(newest, now, given, _watched(progress, lease))
            return newest
    except leases.HeldElsewhere as error:
        log.info("backup put off reason=%s", error)
        return None


def make(
    now: datetime.datetime, *, kind: str | None = None, given: Options | None = None, progress: Progress = silent
) -> BackupRun:
    """Make a backup now and verify it. `kind` is chosen by the plan unless given. HeldElsewhere if one is being made;
    what goes wrong otherwise is in the run's state and error."""
    given = given or options()
    with leases.hold(LEASE, ttl_s=LEASE_TTL_S) as lease:
        return _make(kind, now, given, _watched(progress, lease))


def _make(kind: str | None, now: datetime.datetime, given: Options, progress: Progress) -> BackupRun:
    _reconcile(given)
    backup = backup_of(connection.vendor, given.programs, given.account)
    choice = _choose(kind, now, given, backup)
    log.info("backup begins kind=%s reason=%s", choice.kind, choice.why)
    run = BackupRun.objects.create(
        kind=choice.kind,
        base=BackupRun.objects.get(name=choice.base.name) if choice.base else None,
        vendor=connection.vendor,
        name=_name(choice.kind, now, given),
        started_at=now,
    )
    try:
        _take(run, choice, given, backup, progress)
    except (StorageError, OSError, leases.HeldElsewhere, leases.LeaseLost, *GONE) as error:
        _failed(run, given, _told(error, given.folder))
        return run
    except BaseException as error:  # a time limit, Ctrl-C: leave nothing half done, and go
        _failed(run, given, f"중단됨 / interrupted: {type(error).__name__}")
        raise
    _verify_row(run, now, given, progress)
    if run.state == BackupRun.State.VERIFIED:
        _expire(now, given)
    return run


def _choose(kind: str | None, now: datetime.datetime, given: Options, backup: Backup) -> Choice:
    if kind == plan.FULL:
        return Choice(plan.FULL, why="it was asked for")
    choice = plan.choose(now, _known(given, rows_only=True), given.plan)
    if choice.base is not None:
        try:
            obstacle = backup.obstacle(connection, choice.base.position)
        except DatabaseError as error:  # what is wrong will be told when the full one is tried
            obstacle = f"the database said: {error}"
        if obstacle:
            choice = Choice(plan.FULL, why=obstacle)
    if kind == plan.INCREMENTAL and choice.base is None:
        raise BackupError(f"증분 백업 불가 / no increment is possible, take a full one: {choice.why}")
    return choice


def _take(run: BackupRun, choice: Choice, given: Options, backup: Backup, progress: Progress) -> None:
    backup.ready(connection)
    _make_folder(given.folder)
    size = backup.size(connection)
    if choice.base is None:
        _need_room(given.work, size, "복사 / copying")
    store = storage()
    with _working(given) as work, ExitStack() as lease_ended:
        lease = lease_ended.enter_context(_upkeep())
        told = _watched(progress, lease)
        unkept = sorted(backup.unkept(connection))
        tables = sorted(set(connection.introspection.table_names()) - set(unkept))
        with store.patient():
            done = comparison.rolled_over()
            before = comparison.look(store, tables, step="이전 / before", progress=told, known=done)
        begun = comparison.ledger_now(connection.alias, batch_ledger.now_us())
        folder = work / "taken"
        folder.mkdir(mode=0o700)
        since = choice.base.position if choice.base else ""
        taken = backup.take(connection, folder, since=since, progress=told)
        with store.patient():
            after = comparison.look(store, tables, step="이후 / after", progress=told, known=done)
        lease.check()
        lease_ended.close()
        packed, raw, sha256 = container.pack(folder, given.folder, run.name, level=given.level, progress=progress)
    ended = datetime.datetime.now(datetime.UTC)
    manifest = Manifest(
        name=run.name,
        kind=run.kind,
        vendor=run.vendor,
        base=choice.base.name if choice.base else "",
        started_at=run.started_at.isoformat(),
        ended_at=ended.isoformat(),
        position=taken.position,
        bytes=packed,
        raw_bytes=raw,
        sha256=sha256,
        facts={**taken.facts, "database": str(connection.settings_dict["NAME"])},
        taken={"before": before, "after": after, "ledger": begun, "unkept": unkept},
    )
    container.write(given.folder, manifest)
    run.state, run.position, run.bytes, run.raw_bytes = BackupRun.State.STORED, taken.position, packed, raw
    run.sha256, run.ended_at = sha256, ended
    run.save()
    backup.stored(connection, taken.position)
    alarms.clear(FAILED)


def _failed(run: BackupRun, given: Options, error: str) -> None:
    with _quietly("files"):
        container.remove(given.folder, run.name)
    log.error("backup failed name=%s error=%s", run.name, error)
    try:
        run.state, run.error, run.ended_at = BackupRun.State.FAILED, error, datetime.datetime.now(datetime.UTC)
        run.save()
        alarms.sound(FAILED, f"{run.name}: {error}")
    except GONE as gone:  # the database went away: its row is set right by the next run
        log.warning("backup not noted name=%s error=%s", run.name, type(gone).__name__)
        connection.close()


def _told(error: BaseException, folder: Path) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"공간 부족 / no room left on the disk of {folder}: {_free(folder)} free. Nothing was kept; make room"
    if isinstance(error, OperationalError | InterfaceError):
        return f"데이터베이스 연결 실패 / the database cannot be reached: {error}"
    if isinstance(error, DatabaseError):
        return f"데이터베이스 오류 / the database said: {error}"
    return str(error) or type(error).__name__


def _reconcile(given: Options) -> None:
    """Set right what a run left that ended before its end. We hold the lease, so nobody is running."""
    for run in BackupRun.objects.filter(state=BackupRun.State.RUNNING):
        try:
            manifest = container.read(given.folder, run.name)
        except BackupError:
            _failed(run, given, "끝나기 전에 종료됨 / ended before its end")
            continue
        # Stored, but the row does not say so: killed in between, or this database was restored from that very backup.
        # Without a position nothing will build on it.
        run.state, run.sha256 = BackupRun.State(manifest.state), manifest.sha256
        run.bytes, run.raw_bytes, run.report = manifest.bytes, manifest.raw_bytes, manifest.report
        run.save()
    if given.work.is_dir():
        for left in given.work.glob(f"work-{_host()}-*"):
            pid = left.name.rsplit("-", 2)[-2]
            if pid.isdigit() and not Path("/proc", pid).exists():
                shutil.rmtree(left, ignore_errors=True)


# --- verifying --------------------------------------------------------------------------------------------------------


def _verify_row(run: BackupRun, now: datetime.datetime, given: Options, progress: Progress) -> None:
    """Restore and compare, and write down what came of it, in the row and beside the archive."""
    started = time.monotonic()
    try:
        manifest = container.read(given.folder, run.name)
        if run.sha256 and manifest.sha256 != run.sha256:
            raise Tampered(f"{run.name} 손상됨 / its manifest names another SHA-256 than the database")
        report = check(run.name, given=given, progress=progress, original=connection.alias)
        error = "; ".join(report["problems"])
        state = BackupRun.State.FAILED if error else BackupRun.State.VERIFIED
    except (ProgramMissing, Unable, OSError, leases.LeaseLost, *GONE) as reason:  # says nothing about the backup
        report, state, error = {}, BackupRun.State.STORED, _told(reason, given.work)
    except (StorageError, BrokenChain) as reason:
        report, state, error = {}, BackupRun.State.FAILED, str(reason)
    seconds = round(time.monotonic() - started, 1)
    run.state, run.error = state, error
    if report:
        run.report = {**report, "seconds": seconds}
    if state == BackupRun.State.VERIFIED:
        run.verified_at = datetime.datetime.now(datetime.UTC)
        log.info("backup verified name=%s bytes=%s seconds=%s", run.name, run.bytes, seconds)
    try:
        run.save()
        if error:
            alarms.sound(UNVERIFIED, f"{run.name}: {error}", subject=run.name)
        else:
            alarms.clear(UNVERIFIED)
            alarms.clear(OVERDUE)
            alarms.clear(CHANGED)
            for words in report.get("changed", []):
                alarms.sound(CHANGED, words, subject=words.partition(":")[0])
    except GONE as gone:
        log.warning("backup not noted name=%s error=%s", run.name, type(gone).__name__)
        connection.close()
    with _quietly("manifest"):
        manifest = container.read(given.folder, run.name)
        manifest.state, manifest.report = str(state), run.report
        manifest.verified_at = run.verified_at.isoformat() if run.verified_at else ""
        container.write(given.folder, manifest)


def verify(name: str, *, given: Options | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Restore a backup once more and compare it with what was found the first time; without a database that knows of
    it, too. The report; its `problems` are empty when all is well."""
    given = given or options()
    manifest = container.read(given.folder, name)
    row = _row(name)
    if row is not None and row.state == BackupRun.State.STORED:
        with leases.hold(LEASE, ttl_s=LEASE_TTL_S) as lease:
            _verify_row(row, datetime.datetime.now(datetime.UTC), given, _watched(progress, lease))
        if row.state == BackupRun.State.STORED:
            raise BackupError(row.error)
        return dict(row.report or {"tables": {}, "checks": {}, "unkept": []}) | {
            "problems": [row.error] if row.error else []
        }
    try:
        if row is not None and row.sha256 and row.sha256 != manifest.sha256:
            raise Tampered(f"{name} 손상됨 / its manifest names another SHA-256 than the database")
        report = check(name, given=given, progress=progress, original=connection.alias if row is not None else None)
    except (ProgramMissing, Unable):
        raise
    except StorageError as error:
        report = {"tables": {}, "checks": {}, "unkept": [], "problems": [str(error)]}
    _note(row, manifest, report, given)
    return report


def _note(row: BackupRun | None, manifest: Manifest, report: dict[str, Any], given: Options) -> None:
    """Write down what verifying once more found. The first report stays: it is what later ones are compared with."""
    error, now = "; ".join(report["problems"]), datetime.datetime.now(datetime.UTC)
    with _quietly("manifest"):
        manifest.state = plan.FAILED if error else plan.VERIFIED
        if not error:
            manifest.report, manifest.verified_at = manifest.report or report, now.isoformat()
        container.write(given.folder, manifest)
    if row is None:
        return
    with _quietly("row"):
        row.state, row.error = BackupRun.State(manifest.state), error
        if not error:
            row.verified_at, row.report = now, row.report or report
        row.save()
        if error:
            alarms.sound(UNVERIFIED, f"{row.name}: {error}", subject=row.name)
        else:
            alarms.clear(UNVERIFIED, subject=row.name)


def check(name: str, *, given: Options, progress: Progress, original: str | None) -> dict[str, Any]:
    """Restore `name` with what it builds on to a private server and compare. The report."""
    needed = _chain(name, given)
    manifest = needed[-1]
    backup = backup_of(manifest.vendor, given.programs, given.account)
    backup.restorable()
    _make_folder(given.work)
    _need_room(given.work, sum(one.raw_bytes for one in needed), "복원 / restoring")
    with _working(given) as work:
        target = work / "restored"
        _restore(needed, target, work, given, backup, progress)
        progress("복원본 열기 / opening what was restored")
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


def restore(name: str, target: Path, *, given: Options | None = None, progress: Progress = silent) -> str:
    """Restore a backup into a folder that is empty or not there; what to do next, for a person. Needs no database."""
    given = given or options()
    needed = _chain(name, given)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(f"{target} 비어 있지 않음 / is not empty: nothing is ever overwritten. Name an empty folder")
    backup = backup_of(needed[-1].vendor, given.programs, given.account)
    backup.restorable()
    existed = target.exists()
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        _need_room(target, sum(one.raw_bytes for one in needed), "복원 / restoring")
        with tempfile.TemporaryDirectory(prefix=".restoring-", dir=target.parent) as beside:
            _restore(needed, target, Path(beside), given, backup, progress)
        os.sync()
    except BaseException:
        for left in target.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        if not existed:
            target.rmdir()
        raise
    return backup.advice(target)


def latest(given: Options | None = None) -> str:
    """The name of the newest verified backup; BackupError if there is none."""
    given = given or options()
    verified = [one for one in container.everything(given.folder).values() if one.state == plan.VERIFIED]
    if not verified:
        raise BackupError(f"검증된 백업 없음 / there is no verified backup in {given.folder}")
    return max(verified, key=lambda one: one.started_at).name


def _chain(name: str, given: Options) -> list[Manifest]:
    container.read(given.folder, name)
    try:
        return [container.read(given.folder, one.name) for one in plan.chain(name, container.everything(given.folder))]
    except BrokenChain as error:
        raise BackupError(f"{name} 복원 불가 / cannot be restored: {error} from {given.folder}") from error


def _restore(
    needed: list[Manifest], target: Path, work: Path, given: Options, backup: Backup, progress: Progress
) -> None:
    for manifest in needed:
        container.check(given.folder, manifest, progress=progress)
    target.mkdir(exist_ok=True, mode=0o700)
    for manifest in needed:
        if manifest.kind == plan.FULL:
            container.unpack(given.folder, manifest, target, progress=progress)
            backup.begin(target, progress=progress)
            continue
        increment = work / "increment"
        increment.mkdir(mode=0o700)
        container.unpack(given.folder, manifest, increment, progress=progress)
        backup.apply(target, increment, progress=progress)
        shutil.rmtree(increment)
    backup.finish(target, progress=progress)


# --- letting go -------------------------------------------------------------------------------------------------------


def _expire(now: datetime.datetime, given: Options) -> None:
    known = {one.name: one for one in container.everything(given.folder).values()}
    known |= {one.name: one for one in _known(given, rows_only=True)}
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
        alarms.sound(
            SHRUNK,
            f"{newest} has {_daily(reports[newest]):,} daily candles, {wanted[0]} has {_daily(reports[wanted[0]]):,}:"
            " was the database lost or begun anew? That backup is kept whatever its age. If nobody wants it, remove its"
            f" two files from {given.folder}",
        )
    else:
        alarms.clear(SHRUNK)
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


# --- what all of them need --------------------------------------------------------------------------------------------


class _NoRoom(Unable):
    """A disk has too little room; found before anything was written."""


def _known(given: Options, *, rows_only: bool = False) -> list[Known]:
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


def _row(name: str) -> BackupRun | None:
    try:
        return BackupRun.objects.filter(name=name).first()
    except GONE as error:
        log.warning("backup not looked up name=%s error=%s", name, type(error).__name__)
        return None


@contextmanager
def _quietly(what: str) -> Iterator[None]:
    """A database or a disk that does not answer is no reason to forget what was found."""
    try:
        yield
    except (StorageError, OSError, *GONE) as error:
        log.warning("backup not noted what=%s error=%s", what, type(error).__name__)


def _name(kind: str, now: datetime.datetime, given: Options) -> str:
    stem = f"naru-{now.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}-{kind}"
    taken = {
        *container.names(given.folder),
        *BackupRun.objects.filter(name__startswith=stem).values_list("name", flat=True),
    }
    return next(name for number in range(1, 1000) if (name := f"{stem}-{number}" if number > 1 else stem) not in taken)


def _watched(progress: Progress, lease: leases.Lease) -> Progress:
    """Progress that also sees, every few seconds, that the lease is still ours; LeaseLost ends the work."""
    last = time.monotonic()

    def tell(step: str, done: int = 0, total: int | None = None) -> None:
        nonlocal last
        if time.monotonic() - last >= CHECK_S:
            lease.check()
            last = time.monotonic()
        progress(step, done, total)

    return tell


@contextmanager
def _upkeep() -> Iterator[leases.Lease]:
    """The lease under which no partition changes; waits for a rollover that is under way."""
    limit = time.monotonic() + UPKEEP_PATIENCE_S
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(leases.hold(leases.UPKEEP, ttl_s=LEASE_TTL_S))
                break
            except leases.HeldElsewhere:
                if time.monotonic() > limit:
                    raise
                time.sleep(1.0)
        yield lease


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # as below: not to be read, but to be passed through
    except OSError as error:
        raise BackupError(f"{folder} 만들 수 없음 / cannot be made: {error.strerror}. BACKUP_DIR names it") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BackupError(f"{folder} 쓰기 권한 없음 / may not be written by this user. BACKUP_DIR names it")


@contextmanager
def _working(given: Options) -> Iterator[Path]:
    _make_folder(given.work)
    folder = Path(tempfile.mkdtemp(prefix=f"work-{_host()}-{os.getpid()}-", dir=given.work))
    if os.geteuid() == 0:
        folder.chmod(0o711)  # a server that refuses to run as root reaches what is its own below
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return socket.gethostname()[:40]


def _need_room(folder: Path, wanted: int, purpose: str) -> None:
    if not folder.exists():
        _make_folder(folder)
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise _NoRoom(
            f"공간 부족 / not enough room on the disk of {folder} for {purpose}: about {wanted / 1e6:,.0f} MB wanted,"
            f" {free / 1e6:,.0f} MB free"
        )


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB"
    except OSError:
        return "?"
