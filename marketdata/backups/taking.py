"""Takes a backup of the database: a full one, or what came since another."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import DatabaseError, connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata import alarms
from marketdata.backups import comparison, container, plan, register, workspace
from marketdata.backups.container import Manifest
from marketdata.backups.plan import Choice
from marketdata.backups.progress import watched
from marketdata.backups.workspace import Options
from marketdata.ledger import batch_ledger
from marketdata.maintenance import leases
from marketdata.models import BackupRun
from marketdata.storage import storage
from marketdata.storage.backups import Backup, BackupError, Progress

UPKEEP_PATIENCE_S = 900.0


def choose(kind: str | None, now: datetime.datetime, given: Options, backup: Backup) -> Choice:
    """What to take: what is asked for, else what the plan says and the database allows. BackupError if an increment was
    asked for and none is possible."""
    if kind == plan.FULL:
        return Choice(plan.FULL, why="it was asked for")
    choice = plan.choose(now, register.known(given, rows_only=True), given.plan)
    if choice.base is not None:
        try:
            blocking_reason = backup.blocking_reason(connection, choice.base.position)
        except DatabaseError as error:  # what is wrong will be told when the full one is tried
            blocking_reason = f"the database said: {error}"
        if blocking_reason:
            choice = Choice(plan.FULL, why=blocking_reason)
    if kind == plan.INCREMENTAL and choice.base is None:
        raise BackupError(gettext_lazy("no increment is possible, take a full one: {why}"), why=choice.why)
    return choice


def take(run: BackupRun, choice: Choice, given: Options, backup: Backup, progress: Progress) -> None:
    """Copy the database, pack the copy, and note it as stored. LeaseHeld or LeaseLost where the upkeep is not ours,
    BackupError, OSError or what the database raises where it cannot be taken."""
    backup.ready(connection)
    workspace.make_folder(given.folder)
    size = backup.size(connection)
    if choice.base is None:
        workspace.need_room(given.work, size, gettext_lazy("copying"))
    store = storage()
    with workspace.working(given) as work, ExitStack() as lease_ended:
        lease = lease_ended.enter_context(_upkeep())
        told = watched(progress, lease)
        excluded_tables = sorted(backup.excluded_tables(connection))
        tables = sorted(set(connection.introspection.table_names()) - set(excluded_tables))
        with store.long_running():
            done = comparison.rolled_over()
            before = comparison.look(store, tables, step=_("before"), progress=told, known=done)
        begun = comparison.ledger_now(connection.alias, batch_ledger.now_us())
        folder = work / "taken"
        folder.mkdir(mode=0o700)
        since = choice.base.position if choice.base else ""
        taken = backup.take(connection, folder, since=since, progress=told)
        with store.long_running():
            after = comparison.look(store, tables, step=_("after"), progress=told, known=done)
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
        taken={"before": before, "after": after, "ledger": begun, **comparison.naming(excluded_tables)},
    )
    container.write(given.folder, manifest)
    run.state, run.position, run.bytes, run.raw_bytes = BackupRun.State.STORED, taken.position, packed, raw
    run.sha256, run.ended_at = sha256, ended
    run.save()
    backup.stored(connection, taken.position)
    alarms.resolve(register.FAILED)


@contextmanager
def _upkeep() -> Iterator[leases.Lease]:
    """The lease under which no partition changes; waits for a rollover that is under way."""
    limit = time.monotonic() + UPKEEP_PATIENCE_S
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(leases.hold(leases.UPKEEP, ttl_s=register.LEASE_TTL_S))
                break
            except leases.LeaseHeld:
                if time.monotonic() > limit:
                    raise
                time.sleep(1.0)
        yield lease
