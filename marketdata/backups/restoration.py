"""Restores a backup, with what it builds on, into an empty folder."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path

from django.utils.translation import gettext_lazy as _

from marketdata.backups import container, plan, workspace
from marketdata.backups.container import Manifest
from marketdata.backups.plan import BrokenChain
from marketdata.backups.progress import silent
from marketdata.backups.workspace import Options, options
from marketdata.models.texts import of_error
from marketdata.storage.backups import Backup, BackupError, Progress, backup_of


def restore(name: str, target: Path, *, given: Options | None = None, progress: Progress = silent) -> str:
    """Restore a backup into a folder that is empty or not there; what to do next, for a person. Needs no database.
    BackupError if the folder is not empty or something cannot be restored."""
    given = given or options()
    needed = chain(name, given)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupError(_("{target} is not empty: nothing is ever overwritten. Name an empty folder"), target=target)
    backup = backup_of(needed[-1].vendor, given.programs, given.account)
    backup.restorable()
    existed = target.exists()
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        workspace.need_room(target, sum(one.raw_bytes for one in needed), _("restoring"))
        with tempfile.TemporaryDirectory(prefix=".restoring-", dir=target.parent) as beside:
            restore_chain(needed, target, Path(beside), given, backup, progress)
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
        raise BackupError(_("there is no verified backup in {folder}"), folder=given.folder)
    return max(verified, key=lambda one: one.started_at).name


def chain(name: str, given: Options) -> list[Manifest]:
    """The manifests of a backup and of what it builds on, the full one first. BackupError if one of them is missing."""
    container.read(given.folder, name)
    try:
        return [container.read(given.folder, one.name) for one in plan.chain(name, container.everything(given.folder))]
    except BrokenChain as error:
        raise BackupError(
            _("{name} cannot be restored: {error} from {folder}"),
            name=name,
            error=of_error(error),
            folder=given.folder,
        ) from error


def restore_chain(
    needed: list[Manifest], target: Path, work: Path, given: Options, backup: Backup, progress: Progress
) -> None:
    """Check all archives of a chain, then restore one upon the other into `target`; `work` is for what lies between.
    BackupError if one does not begin where the one before ended."""
    for earlier, later in itertools.pairwise(needed):
        if later.facts.get("from", earlier.position) != earlier.position:
            raise BackupError(
                _("{later} does not begin where {earlier} ended: it is of another server, or builds on another backup"),
                later=later.name,
                earlier=earlier.name,
            )
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
