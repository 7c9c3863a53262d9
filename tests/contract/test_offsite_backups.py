"""What a backup in another place promises on every database: it is restored from there alone, with a key that the
server does not have, and whatever was changed there is refused."""

import dataclasses
import json
import shutil
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from marketdata import backups
from marketdata.backups import comparison, container, offsite
from marketdata.backups.container import Tampered
from marketdata.backups.offsite import copying, fetching, manifests, places, restoring, sealing
from marketdata.backups.offsite.sealing import NoKey
from marketdata.backups.offsite.signatures import Unsigned
from marketdata.models import Alarm, BackupRun, IngestBatch
from marketdata.storage.backups import BackupError, backup_of
from tests import offsite as elsewhere
from tests.backup import DAY, HOUR, NOW, batch, given, verified
from tests.builders import commit

__all__ = ["given"]


@pytest.fixture
def owned(tmp_path):
    return elsewhere.keys(tmp_path / "vault")


@pytest.fixture
def where(given, owned):
    found = elsewhere.signed_by(elsewhere.to_folder(given.work / "elsewhere", owned), owned)
    places.begin(found.place(), NOW)
    return found


def raised(code):
    return Alarm.objects.filter(code=code, cleared_at=None).first()


def copied(store, given, where, *, number=2):
    """So many backups, each with a batch more, copied and proven."""
    runs = []
    for at in range(number):
        commit(store, batch(1 + at, days=at))
        runs.append(verified(backups.make(NOW + at * DAY, given=given)))
        assert offsite.run_due(NOW + at * DAY + HOUR, given=given, where=where) == [runs[-1].name]
    assert (raised(copying.FAILED), raised(copying.WRONG)) == (None, None)
    return [BackupRun.objects.get(pk=run.pk) for run in runs]


@contextmanager
def opened(run, target, given):
    with (
        backup_of(run.vendor, given.programs).opened(target) as entry,
        comparison.opened({"NAME": connection.settings_dict["NAME"], **entry}) as restored,
    ):
        yield restored


def test_a_backup_is_restored_from_the_other_place_alone_with_a_key_the_server_does_not_have(
    store, given, where, owned
):
    runs = copied(store, given, where)
    assert [(run.copy_signer, run.copy_restored) for run in runs] == [("vault", True)] * 2
    batches = list(IngestBatch.objects.values())
    shutil.rmtree(given.folder)  # nothing of the server is left, and its key went with it
    place, target = where.place(), given.work / "target"

    name = restoring.latest(place, owned.trust, now=NOW + DAY + HOUR, given=given)
    restoring.restore(place, name, target, owned.identity, owned.trust, given=given)

    assert name == runs[-1].name
    with opened(runs[-1], target, given) as restored:
        assert list(IngestBatch.objects.using(restored.alias).values()) == batches
    assert not [path for path in given.work.iterdir() if path.name.startswith(".")]


def test_no_file_there_has_anything_in_the_clear_but_the_manifest(store, given, where, tmp_path):
    (run,) = copied(store, given, where, number=1)

    there = elsewhere.contents(where.place(), tmp_path)

    assert set(there) == {
        places.MARK, f"{run.name}.tar.zst.age", f"{run.name}.json.age", f"{run.name}.copy.json",
        f"{run.name}.copy.json.sig",
    }  # fmt: skip
    assert all(there[name].startswith(b"age-encryption.org/v1\n") for name in manifests.files_of(run.name))
    shown = json.loads(there[f"{run.name}.copy.json"])
    assert set(shown) == {
        "what", "format", "name", "kind", "vendor", "started_at", "place", "base", "base_sha256", "recipients", "files",
    }  # fmt: skip


def test_every_changed_cut_or_missing_file_there_is_refused_and_named(store, given, where, owned):
    run = copied(store, given, where)[-1]
    place, folder = where.place(), given.work / "elsewhere"
    chain = [piece.copy.name for piece in fetching.chain(place, run.name, owned.trust)]
    files = sorted(path for path in folder.iterdir() if path.name.partition(".")[0] in chain)
    assert len(files) == 4 * len(chain)

    def refusal():
        with pytest.raises(BackupError) as caught:
            restoring.restore(place, run.name, given.work / "target", owned.identity, owned.trust, given=given)
        assert not (given.work / "target").exists()
        return str(caught.value)

    for path in files:
        content = path.read_bytes()
        for changed in (
            content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :],
            content[: len(content) // 2],
            b"",
        ):
            path.write_bytes(changed)
            assert path.name.partition(".")[0] in refusal()
        path.unlink()
        assert path.name.partition(".")[0] in refusal()
        path.write_bytes(content)

    assert restoring.restore(place, run.name, given.work / "target", owned.identity, owned.trust, given=given)


def test_two_increments_that_change_places_are_refused(store, given, where, owned):
    runs = copied(store, given, where, number=3)
    folder = given.work / "elsewhere"
    first, second = runs[1].name, runs[2].name
    suffixes = (".tar.zst.age", ".json.age", ".copy.json", ".copy.json.sig")

    def exchange(some):
        for suffix in some:
            one, other = folder / f"{first}{suffix}", folder / f"{second}{suffix}"
            kept = one.read_bytes()
            one.write_bytes(other.read_bytes())
            other.write_bytes(kept)

    for some in (suffixes[:1], suffixes[:2], suffixes[2:], suffixes):
        exchange(some)
        with pytest.raises(Tampered):
            restoring.restore(where.place(), second, given.work / "target", owned.identity, owned.trust, given=given)
        exchange(some)
    if connection.vendor == "sqlite":
        return
    (folder / f"{first}.copy.json").unlink()
    with pytest.raises(BackupError, match=f"{first}, which it builds on, is missing"):
        restoring.restore(where.place(), second, given.work / "target", owned.identity, owned.trust, given=given)


def test_a_base_that_was_signed_but_is_another_one_is_refused(store, given, where, owned):
    """As somebody could do who keeps an older copy of the same name, with its good signature."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has full backups only")
    full, increment = copied(store, given, where)
    folder = given.work / "elsewhere"
    old = {path: path.read_bytes() for path in folder.glob(f"{full.name}.*")}
    for run in (increment, full):
        BackupRun.objects.filter(pk=run.pk).update(copy_place="")
        for path in folder.glob(f"{run.name}.*"):
            path.unlink()
    assert offsite.run_due(NOW + 2 * DAY, given=given, where=where) == [full.name, increment.name]
    for path, content in old.items():
        path.write_bytes(content)

    with pytest.raises(Tampered, match="its manifest was exchanged"):
        restoring.restore(
            where.place(), increment.name, given.work / "target", owned.identity, owned.trust, given=given
        )


def test_the_server_finds_what_was_changed_there_without_the_private_key(store, given, where):
    (run,) = copied(store, given, where, number=1)
    path = given.work / "elsewhere" / f"{run.name}.tar.zst.age"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    offsite.run_due(NOW + 8 * DAY, given=given, where=where)

    assert "is not what was stored there" in raised(copying.WRONG).message
    path.write_bytes(content)
    offsite.run_due(NOW + 8 * DAY + HOUR, given=given, where=where)
    assert raised(copying.WRONG) is not None  # it is not fetched again every quarter of an hour
    offsite.run_due(NOW + 8 * DAY + HOUR, given=given, where=where, at_once=True)
    assert raised(copying.WRONG) is None
    assert BackupRun.objects.get(pk=run.pk).copy_proven_at == NOW + 8 * DAY + HOUR


def test_a_copy_that_rotted_is_replaced_with_what_builds_on_it(store, given, where, owned):
    runs = copied(store, given, where)
    folder = given.work / "elsewhere"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    chained = connection.vendor != "sqlite"

    forgotten = copying.forget(runs[0].name, given, where)

    assert forgotten == ([run.name for run in runs] if chained else [runs[0].name])
    assert not [path for path in folder.iterdir() if path.name.partition(".")[0] in forgotten]
    assert sorted(offsite.run_due(NOW + 2 * DAY, given=given, where=where) or []) == forgotten
    assert {path.name for path in folder.iterdir()} == set(before)
    assert len(fetching.chain(where.place(), runs[-1].name, owned.trust)) == (2 if chained else 1)
    container.remove(given.folder, runs[-1].name)
    with pytest.raises(BackupError, match="the only copy"):
        copying.forget(runs[-1].name, given, where)


def test_a_forged_copy_that_nobody_trusted_signed_is_refused_and_not_the_newest(store, given, where, owned, tmp_path):
    (run,) = copied(store, given, where, number=1)
    place = where.place()
    stranger = elsewhere.keys(tmp_path / "stranger")
    copy = manifests.parse(place.read(f"{run.name}.copy.json"), run.name)
    forged = "naru-20260318T030000Z-full"
    files = dict(zip(manifests.files_of(forged), copy.files.values(), strict=True))
    began = (NOW + DAY).isoformat()
    content = manifests.to_bytes(dataclasses.replace(copy, name=forged, started_at=began, files=files))
    place.write(f"{forged}.copy.json", content)

    def refusal(error):
        with pytest.raises(error) as caught:
            fetching.chain(place, forged, owned.trust)
        return str(caught.value)

    assert "is not signed" in refusal(Unsigned)
    restoring.sign(place, [fetching.Piece(manifests.parse(content, forged), content, "")], stranger.signing)
    assert "nobody of" in refusal(Unsigned)
    assert restoring.latest(place, owned.trust, now=NOW + HOUR, given=given) == run.name
    with pytest.raises(BackupError, match="may have been taken away"):
        restoring.latest(place, owned.trust, now=NOW + 3 * DAY, given=given)


def test_another_private_key_opens_nothing(store, given, where, owned, tmp_path):
    (run,) = copied(store, given, where, number=1)
    sealing.new_identity(tmp_path / "other")

    with pytest.raises(NoKey, match="--identity"):
        restoring.restore(where.place(), run.name, given.work / "target", tmp_path / "other", owned.trust, given=given)


def test_who_has_the_key_proves_and_signs_by_command_what_the_server_left_unsigned(
    store, given, where, owned, settings, capsys
):
    (run,) = copied(store, given, dataclasses.replace(where, sign_command=()), number=1)
    assert (run.copy_signer, run.copy_restored) == ("", True)
    settings.BACKUP_WORK_DIR, settings.BACKUP_DIR = str(given.work), str(given.work / "none")
    settings.BACKUP_PROGRAMS = list(map(str, given.programs._folders))
    said = ["--from", where.url, "--identity", str(owned.identity), "--signers", str(owned.signers)]
    with pytest.raises(CommandError, match="is not signed"):
        call_command("restore", run.name, "--to", str(given.work / "target"), *said)

    call_command("prove_backup", run.name, *said, "--sign", str(owned.signing))
    call_command("restore", run.name, "--to", str(given.work / "target"), *said)

    assert f"proven from {where.url}: {run.name}" in capsys.readouterr().out
    offsite.run_due(NOW + 2 * HOUR, given=given, where=where)
    assert BackupRun.objects.get(pk=run.pk).copy_signer == "vault"


def test_old_copies_go_only_once_a_newer_one_is_proven_and_nobody_needs_them(store, given, where):
    where = dataclasses.replace(where, keep=DAY)
    (old,) = copied(store, given, where, number=1)
    commit(store, batch(9, days=9))
    new = verified(backups.make(NOW + 40 * DAY, given=given, kind="full"))
    container.remove(given.folder, old.name)
    folder = given.work / "elsewhere"

    # It is copied, and cannot be proven: it can be restored nowhere.
    full = dataclasses.replace(given, work=given.work / "file")
    (given.work / "file").write_text("no folder")
    assert offsite.run_due(NOW + 40 * DAY, given=full, where=where) == [new.name]
    assert raised(copying.FAILED) is not None
    assert (folder / f"{old.name}.copy.json").exists()

    offsite.run_due(NOW + 40 * DAY, given=given, where=where)
    assert not list(folder.glob(f"{old.name}.*"))
    assert len(list(folder.glob(f"{new.name}.*"))) == 4
    assert BackupRun.objects.get(pk=old.pk).copy_place == ""
