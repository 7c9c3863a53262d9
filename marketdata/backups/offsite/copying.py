"""Copies what was verified to the other place, has it signed and proves it from there; lets old copies go. Each step
does whatever is still due, so that a run that was cut off is gone on with by the next."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata import alarms
from marketdata.backups import container, plan, register, streams, workspace
from marketdata.backups.offsite import fetching, manifests, places, restoring, sealing, signatures
from marketdata.backups.offsite.fetching import Trust
from marketdata.backups.offsite.manifests import Copy
from marketdata.backups.offsite.options import Offsite, offsite
from marketdata.backups.offsite.places import Miscopied, Place
from marketdata.backups.plan import BrokenChain, Known
from marketdata.backups.progress import silent, watched
from marketdata.backups.workspace import Options, options
from marketdata.maintenance import leases
from marketdata.models import BackupRun
from marketdata.models.texts import Text, joined, of_error
from marketdata.storage import StorageError
from marketdata.storage.backups import BackupError, BackupUnavailable, ProgramMissing, Progress

log = logging.getLogger(__name__)
LEASE = "backup_copy"
AGAIN = datetime.timedelta(hours=6)
"""After which what was found wrong in the other place is fetched once more: it may be hundreds of gigabytes."""
FAILED, WRONG = "backup_copy_failed", "backup_copy_wrong"
"""Codes of alarms."""
FOLDER, IDENTITY = "offsite", ".identity"


def run_due(
    now: datetime.datetime, *, given: Options | None = None, where: Offsite | None = None, at_once: bool = False,
    progress: Progress = silent,
) -> list[str] | None:  # fmt: skip
    """Copy, have signed, prove and expire what is due; what was copied. None without another place, or while another
    process is at it. What goes wrong is an alarm, and tried again by the next run; what was found wrong there, after
    AGAIN or with `at_once`."""
    given, where = given or options(), where or offsite()
    if where is None:
        alarms.resolve(FAILED)
        alarms.resolve(WRONG)
        return None
    try:
        with leases.hold(LEASE, ttl_s=register.LEASE_TTL_S) as lease:
            return _run(now, given, where, at_once, watched(progress, lease))
    except leases.LeaseHeld as error:
        log.info("copies put off reason=%s", error)
        return None


def _run(now: datetime.datetime, given: Options, where: Offsite, at_once: bool, progress: Progress) -> list[str]:
    copied: list[str] = []
    failed: list[Text] = []
    place_id = ""
    with _noting(failed, given.folder):
        place = where.place()
        place_id = places.identify(place)
        for run in _due(given, place_id):
            _copy(run, place, place_id, given, where, progress)
            copied.append(run.name)
    if place_id:
        with _noting(failed, given.folder):
            _sign(place, place_id, where)
        newest = next(iter(_runs(place_id)), None)
        if newest is not None and (at_once or not _found_wrong(newest)):
            with _noting(failed, given.work):
                if _prove_due(newest, now, place, place_id, given, where, progress):
                    expire(now, place, place_id, given, where)
    with register.quietly("alarm"):
        if failed:
            alarms.raise_alarm(FAILED, joined(failed))
        else:
            alarms.resolve(FAILED)
    _sweep(given)
    return copied


@contextmanager
def _noting(failed: list[Text], folder: Path) -> Iterator[None]:
    """What goes wrong is noted, and the next step tried: one that a signer who is away holds up is no reason not to
    prove. `folder` is where there may be no room."""
    try:
        yield
    except (StorageError, OSError, leases.LeaseLost, *register.GONE) as error:
        failed.append(register.explain(error, folder))
        log.warning("copies failed error=%s", alarms.english(failed[-1]))


def _runs(place_id: str) -> list[BackupRun]:
    """What lies in this place as far as the database knows, the newest first."""
    there = BackupRun.objects.filter(vendor=connection.vendor, copy_place=place_id)
    return sorted(there, key=lambda run: run.started_at, reverse=True)


def _due(given: Options, place_id: str) -> list[BackupRun]:
    """What is verified and not copied, each after what it builds on; the chain of the newest first."""
    known = {one.name: one for one in register.known(given)}
    verified = sorted(
        (one for one in known.values() if one.state == plan.VERIFIED and one.has_archive),
        key=lambda one: one.started_at,
    )
    names: dict[str, None] = {}
    for one in [*verified[-1:], *verified]:
        try:
            needed = plan.chain(one.name, known)
        except BrokenChain:
            continue
        if all(part.state == plan.VERIFIED for part in needed):
            names |= dict.fromkeys(part.name for part in needed)
    rows = {run.name: run for run in BackupRun.objects.filter(name__in=names).exclude(copy_place=place_id)}
    return [rows[name] for name in names if name in rows]


def _copy(
    run: BackupRun, place: Place, place_id: str, given: Options, where: Offsite, progress: Progress
) -> None:  # fmt: skip
    """Encrypt a backup, send it and note it. What was encrypted stays until it is there, so that what was sent already
    is not sent again."""
    outbox = _home(given) / run.name
    base = BackupRun.objects.get(pk=run.base_id) if run.base_id else None
    copy, content = _sealed(run, base, outbox, place_id, given, where, progress)
    there = set(place.names())
    manifest = manifests.path_of(run.name)
    if manifest in there and place.read(manifest) != content:
        raise Miscopied(
            gettext_lazy(
                "{place} has another backup called {name}: does another installation copy to it? Each needs a folder or"
                " prefix of its own"
            ),
            place=place.shown,
            name=run.name,
        )
    for name in copy.files:
        if manifest not in there:
            place.upload(outbox / name, name, progress=progress)
    place.write(manifest, content)
    run.copy_place, run.copy_sha256, run.copy_bytes = place_id, manifests.digest(content), copy.bytes
    run.copy_signer, run.copy_proven_at, run.copy_restored = "", None, False
    run.copied_at = datetime.datetime.now(datetime.UTC)
    run.save(update_fields=_FIELDS)
    shutil.rmtree(outbox, ignore_errors=True)
    log.info("backup copied name=%s bytes=%s", run.name, copy.bytes)


_FIELDS = (
    "copy_place", "copy_sha256", "copy_bytes", "copy_signer", "copy_proven_at", "copy_restored", "copied_at",
)  # fmt: skip


def forget(name: str, given: Options, where: Offsite) -> list[str]:
    """Delete a copy, and those that build on it, in the other place, so that the next run copies them anew; their
    names. LeaseHeld while another process copies; BackupError if one of them is not here any more."""
    with leases.hold(LEASE, ttl_s=register.LEASE_TTL_S):
        place = where.place()
        there = _runs(places.identify(place))
        names = {run.name for run in there if run.name == name}
        if not names:
            raise BackupError(gettext_lazy("{name} was not copied to {place}"), name=name, place=place.shown)
        for run in reversed(there):  # the oldest first: what builds on one of them is one of them
            if run.base is not None and run.base.name in names:
                names.add(run.name)
        gone = [one for one in names if not container.path_of(given.folder, one).is_file()]
        if gone:
            raise BackupError(
                gettext_lazy("{name} is not here any more: what the other place has of it is the only copy"),
                name=gone[0],
            )
        for run in there:
            if run.name in names:
                _remove(run, place)
        return sorted(names)


def _remove(run: BackupRun, place: Place) -> None:
    """The manifest last: as long as it is there, somebody is told what is missing."""
    for file in (*manifests.files_of(run.name), f"{manifests.path_of(run.name)}{signatures.SUFFIX}"):
        place.remove(file)
    place.remove(manifests.path_of(run.name))
    run.copy_place, run.copy_sha256, run.copied_at, run.copy_proven_at = "", "", None, None
    run.save(update_fields=["copy_place", "copy_sha256", "copied_at", "copy_proven_at"])


def _sealed(
    run: BackupRun, base: BackupRun | None, outbox: Path, place_id: str, given: Options, where: Offsite,
    progress: Progress,
) -> tuple[Copy, bytes]:  # fmt: skip
    """The files of a copy and its manifest, in the outbox: as an earlier attempt left them, or made now."""
    manifest = outbox / manifests.path_of(run.name)
    base_sha256 = base.copy_sha256 if base is not None else ""
    if manifest.is_file():
        content = manifest.read_bytes()
        copy = manifests.parse(content, run.name)
        if (copy.place, copy.base_sha256, copy.recipients) == (place_id, base_sha256, where.recipients):
            return copy, content
    shutil.rmtree(outbox, ignore_errors=True)
    workspace.make_folder(given.folder)
    outbox.mkdir(parents=True, mode=0o700)
    sources = [container.path_of(given.folder, run.name), given.folder / f"{run.name}{container.MANIFEST}"]
    workspace.need_room(outbox, sum(path.stat().st_size for path in sources), _("encrypting"))
    container.check(given.folder, container.read(given.folder, run.name), progress=progress)
    keys = [*sealing.recipients(where.recipients), *_own_key(run, given)]
    files = {
        name: sealing.encrypt(source, outbox / name, keys, progress=progress)
        for name, source in zip(manifests.files_of(run.name), sources, strict=True)
    }
    copy = Copy(
        name=run.name, kind=run.kind, vendor=run.vendor, started_at=run.started_at.isoformat(), place=place_id,
        base=base.name if base is not None else "", base_sha256=base_sha256, recipients=where.recipients, files=files,
    )  # fmt: skip
    content = manifests.to_bytes(copy)
    with streams.create(manifest) as file:
        file.write(content)
        streams.sync(file)
    streams.sync_folder(outbox)
    return copy, content


def _home(given: Options) -> Path:
    return given.folder / FOLDER


def _own_key(run: BackupRun, given: Options) -> list[Any]:
    """The public half of a key by which this server can open the copies of a chain: to prove them by restoring. It lies
    beside the chain as it is, unencrypted, and goes with it: who can read the one can read the other."""
    file = _key_file(run, given)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.is_file():
        sealing.new_identity(file)
    return sealing.recipients(sealing.public_of(file))


def _key_file(run: BackupRun, given: Options) -> Path:
    """Of the chain that a backup is part of, by its full one."""
    while run.base_id and run.base is not None:
        run = run.base
    return _home(given) / f"{run.name}{IDENTITY}"


def _sign(place: Place, place_id: str, where: Offsite) -> None:
    """Have manifests signed that nobody signed yet, and note who signed others meanwhile."""
    if where.signers is None:
        return
    for run in _runs(place_id):
        if run.copy_signer:
            continue
        content = place.read(manifests.path_of(run.name))
        if manifests.digest(content) != run.copy_sha256:
            continue  # the proof tells of it; and it is not signed
        signer = fetching.signer_of(place, run.name, content, where.signers)
        if not signer and where.sign_command:
            signature = signatures.sign(content, where.sign_command)
            signer = signatures.verify(content, signature, where.signers)
            place.write(f"{manifests.path_of(run.name)}{signatures.SUFFIX}", signature)
        if signer:
            run.copy_signer = signer[:120]
            run.save(update_fields=["copy_signer"])


def _found_wrong(run: BackupRun) -> bool:
    """Whether a copy was found wrong so lately that it is not fetched again yet."""
    limit = datetime.datetime.now(datetime.UTC) - AGAIN
    return any(one.code == WRONG and one.subject == run.name and one.seen_at > limit for one in alarms.active())


def _prove_due(
    newest: BackupRun, now: datetime.datetime, place: Place, place_id: str, given: Options, where: Offsite,
    progress: Progress,
) -> bool:  # fmt: skip
    """Prove the newest copy from there, if that is due; whether it is proven now. BackupUnavailable and its like where
    that cannot be said."""
    if newest.copy_proven_at is not None and now - newest.copy_proven_at < where.prove_every:
        return True
    try:
        problems = prove(newest, now, place, place_id, given, where, progress)
    except (BackupUnavailable, ProgramMissing):  # says nothing about the copy
        raise
    except StorageError as error:
        problems = [of_error(error)]
    if problems:
        with register.quietly("alarm"):
            alarms.raise_alarm(WRONG, register.about(newest, joined(problems)), subject=newest.name)
        return False
    alarms.resolve(WRONG)
    return True


def prove(
    run: BackupRun, now: datetime.datetime, place: Place, place_id: str, given: Options, where: Offsite,
    progress: Progress,
) -> list[Text]:  # fmt: skip
    """Fetch a copy with its chain, restore it beside the original and compare; what is wrong. BackupError where the
    place has something else than what was sent."""
    known = {one.name: one.copy_sha256 for one in _runs(place_id)}
    key = _key_file(run, given)
    keys = sealing.identities(key) if key.is_file() else []
    trust = Trust(signers=where.signers, unsigned=True, known=known)
    _pieces, report = restoring.prove(place, run.name, lambda copy: keys, trust, given=given, progress=progress)
    problems: list[Text] = list(report.get("problems", ()))
    if not problems:
        run.copy_proven_at, run.copy_restored = now, bool(report)
        run.save(update_fields=["copy_proven_at", "copy_restored"])
        log.info("copy proven name=%s restored=%s", run.name, bool(report))
    return problems


def expire(now: datetime.datetime, place: Place, place_id: str, given: Options, where: Offsite) -> None:
    """Delete copies that are past their time. The newest proven one with its chain stays, what a younger one needs,
    what is still kept here, and whatever the database does not know. PlaceUnavailable where we may not."""
    if where.keep is None:
        return
    rows = {run.name: run for run in _runs(place_id)}
    here = set(container.names(given.folder))
    for name in plan.expired(now, _known(rows), dataclasses.replace(given.plan, keep=where.keep)):
        if name in here:
            continue
        _remove(rows[name], place)
        log.info("copy expired name=%s", name)


def _known(rows: Mapping[str, BackupRun]) -> Sequence[Known]:
    """Copies as the plan sees them: proven ones are what counts there."""
    bases = dict(BackupRun.objects.filter(name__in=rows).values_list("name", "base__name"))
    return [
        Known(
            name=name, kind=run.kind, state=plan.VERIFIED if run.copy_proven_at else plan.STORED,
            started_at=run.started_at, base=bases.get(name) or "",
        )
        for name, run in rows.items()
    ]  # fmt: skip


def _sweep(given: Options) -> None:
    """Remove what belongs to backups that are not here any more: keys of their chains, files not sent."""
    here = set(container.names(given.folder))
    if not _home(given).is_dir():
        return
    for left in _home(given).iterdir():
        if left.name.removesuffix(IDENTITY) in here:
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
