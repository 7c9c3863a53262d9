"""Backups as a person meets them, and whatever may go wrong with them. What depends on the database is in
tests/contract/test_backups.py; here any will do, and the quickest is SQLite."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import translation

from marketdata import backups
from marketdata.backups import container, taking
from marketdata.maintenance import leases, rollover
from marketdata.models import Alarm, BackupRun, JobLease
from marketdata.storage import StorageError, storage
from marketdata.storage.base import DAILY, HISTORY, TEMP
from tests import upkeep
from tests.backup import DAY, HOUR, NOW, batch, given, verified
from tests.builders import commit

__all__ = ["given"]

pytestmark = pytest.mark.once


@pytest.fixture
def store(given):
    return storage()


@pytest.fixture
def commands(given, settings) -> None:
    """The commands use the same folders as the test."""
    settings.BACKUP_DIR, settings.BACKUP_WORK_DIR = str(given.folder), str(given.work)


def test_nothing_is_restored_over_something(store, given, tmp_path):
    run = verified(backups.make(NOW, given=given))
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_text("kept")

    with pytest.raises(StorageError, match="is not empty"):
        backups.restore(run.name, target, given=given)

    assert [path.name for path in target.iterdir()] == ["precious"]


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_changed_archive_is_found_and_nothing_of_it_is_restored(store, given, tmp_path, harm):
    run = verified(backups.make(NOW, given=given))
    path = container.path_of(given.folder, run.name)
    content = path.read_bytes()
    if harm == "flip":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif harm == "cut":
        path.write_bytes(content[:-100])
    else:
        path.unlink()

    if harm == "remove":
        with pytest.raises(StorageError, match="is missing"):
            backups.restore(run.name, tmp_path / "target", given=given)
    else:
        with pytest.raises(container.Tampered):
            backups.restore(run.name, tmp_path / "target", given=given)
    report = backups.verify(run.name, given=given)

    assert report["problems"]
    assert not (tmp_path / "target").exists()
    assert BackupRun.objects.get().state == "failed"
    assert Alarm.objects.get(code="backup_unverified").subject == run.name
    assert verified(backups.make(NOW + DAY, given=given)).kind == "full"


def test_a_manifest_that_was_made_to_fit_a_changed_archive_is_found(store, given):
    run = verified(backups.make(NOW, given=given))
    path = container.path_of(given.folder, run.name)
    path.write_bytes(path.read_bytes()[:-1])
    manifest = container.read(given.folder, run.name)
    manifest.bytes -= 1
    manifest.sha256 = "0" * 64
    container.write(given.folder, manifest)

    assert "another SHA-256" in backups.verify(run.name, given=given)["problems"][0]


def test_a_backup_is_verified_again_without_its_database_having_changed_nothing(store, given):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    commit(store, batch(2))

    report = backups.verify(run.name, given=given)

    assert report["problems"] == []
    assert report["tables"][TEMP]["2026-03-16"][0] == 50


def test_a_row_that_differs_from_the_original_makes_the_backup_fail(store, given):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    manifest = container.read(given.folder, run.name)
    for look in ("before", "after"):
        manifest.taken[look][TEMP]["2026-03-16"][1] ^= 1
    manifest.report = {}
    container.write(given.folder, manifest)

    report = backups.verify(run.name, given=given)

    assert any(TEMP in problem for problem in report["problems"])
    assert report["tables"][TEMP]["2026-03-16"][2] == "different"


def test_what_was_ended_in_the_middle_is_set_right_by_the_next_run(store, given):
    left = BackupRun.objects.create(
        kind="full", vendor=connection.vendor, name="naru-20260316T000000Z-full", started_at=NOW - DAY
    )
    given.folder.mkdir()
    (given.folder / f"{left.name}.tar.zst.part").write_bytes(b"half")

    verified(backups.make(NOW, given=given))

    left.refresh_from_db()
    assert left.state == "failed"
    assert not list(given.folder.glob("*.part"))


def test_a_backup_that_is_not_due_is_not_made_and_one_that_failed_is_tried_again(store, given):
    assert verified(backups.run_due(NOW, given=given)).kind == "full"
    assert backups.run_due(NOW + HOUR, given=given) is None

    BackupRun.objects.update(state="failed")

    assert verified(backups.run_due(NOW + HOUR, given=given)).kind == "full"


def test_a_backup_that_waits_to_be_verified_is_verified_and_not_made_again(store, given):
    run = verified(backups.make(NOW, given=given))
    BackupRun.objects.update(state="stored")

    again = verified(backups.run_due(NOW + HOUR, given=given))

    assert again.name == run.name


def test_two_cannot_be_made_at_once(store, given):
    with leases.hold("backup"):
        assert backups.run_due(NOW, given=given) is None
        with pytest.raises(leases.LeaseHeld):
            backups.make(NOW, given=given)


def test_old_backups_go_and_the_last_good_one_stays(store, given):
    old = verified(backups.make(NOW - 60 * DAY, given=given))
    new = verified(backups.make(NOW, kind="full", given=given))

    old.refresh_from_db()
    assert old.state == "expired"
    assert container.names(given.folder) == [new.name]

    last = verified(backups.make(NOW + 90 * DAY, kind="full", given=given))
    assert container.names(given.folder) == [last.name]


def rolled_over() -> None:
    upkeep.commit(upkeep.FIRST)
    rollover.run_one(upkeep.FIRST, clock=upkeep.Clock("2026-03-17 08:05"))


def test_a_backup_of_a_fuller_database_outlives_those_of_one_that_was_begun_anew(store, given):
    rolled_over()
    old = verified(backups.make(NOW - 60 * DAY, given=given))
    with connection.cursor() as cursor:
        for table in (DAILY, HISTORY, "market_data_minute", "ingest_batch", "ingest_batch_day", "rollover_run"):
            cursor.execute(f"DELETE FROM {table}")

    new = verified(backups.make(NOW, kind="full", given=given))
    last = verified(backups.make(NOW + 40 * DAY, kind="full", given=given))

    assert container.names(given.folder) == [old.name, last.name]
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.state, new.state) == ("verified", "expired")
    assert f"{old.name} has 2" in Alarm.objects.get(code="backup_shrunk", cleared_at=None).message

    rolled_over()
    end = verified(backups.make(NOW + 80 * DAY, kind="full", given=given))
    assert container.names(given.folder) == [end.name]
    assert not Alarm.objects.filter(code="backup_shrunk", cleared_at=None).exists()


def test_a_backup_of_before_history_was_found_changed_stays_until_that_is_settled(store, given):
    rolled_over()
    old = verified(backups.make(NOW - 60 * DAY, given=given))
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {HISTORY} WHERE symbol = '000660'")

    new = verified(backups.make(NOW, kind="full", given=given))
    assert container.names(given.folder) == [old.name, new.name]
    rollover.run_one(upkeep.FIRST, clock=upkeep.Clock("2026-03-18 09:00"), accept="it stays so")

    last = verified(backups.make(NOW + 40 * DAY, kind="full", given=given))
    assert container.names(given.folder) == [last.name]


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine mounts nothing")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_full_keeps_no_half_backup_and_says_so(store, given, small_disk):
    for seq in range(1, 30):
        commit(store, batch(seq, rows=200))

    run = backups.make(NOW, given=dataclasses.replace(given, folder=small_disk))

    assert (run.state, list(small_disk.iterdir())) == ("failed", [])
    assert "no room left" in run.error
    assert "make room" in Alarm.objects.get(code="backup_failed").message
    assert verified(backups.make(NOW + HOUR, given=given)).kind == "full"
    assert Alarm.objects.get(code="backup_failed").cleared_at is not None


def test_too_little_room_to_restore_leaves_the_backup_waiting(store, given, small_disk):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    BackupRun.objects.update(state="stored")

    waiting = backups.run_due(NOW + HOUR, given=dataclasses.replace(given, work=small_disk))

    assert waiting is not None
    assert (waiting.name, waiting.state) == (run.name, "stored")
    assert "not enough room" in Alarm.objects.get(code="backup_unverified").message
    assert verified(backups.run_due(NOW + 2 * HOUR, given=given)).name == run.name
    assert Alarm.objects.get(code="backup_unverified").cleared_at is not None


def test_too_little_room_to_copy_is_found_before_anything_is_written(store, given, small_disk):
    run = backups.make(NOW, given=dataclasses.replace(given, work=small_disk))

    assert (run.state, "not enough room" in run.error) == ("failed", True)
    assert list(small_disk.iterdir()) == []


def test_a_restore_that_runs_out_of_room_leaves_its_folder_as_it_was(store, given, small_disk):
    run = verified(backups.make(NOW, given=given))

    with pytest.raises(StorageError, match="not enough room"):
        backups.restore(run.name, small_disk, given=given)

    assert list(small_disk.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(store, given, tmp_path):
    (tmp_path / "file").touch()

    run = backups.make(NOW, given=dataclasses.replace(given, folder=tmp_path / "file/backups"))

    assert (run.state, "BACKUP_DIR" in run.error) == ("failed", True)


def test_why_a_backup_failed_is_kept_for_readers_of_each_language(store, given, tmp_path):
    (tmp_path / "file").touch()

    with translation.override("ko"):  # of the worker, which is nobody's
        run = backups.make(NOW, given=dataclasses.replace(given, folder=tmp_path / "file/backups"))

    run.refresh_from_db()
    alarm = Alarm.objects.get(code="backup_failed")
    english = f"{tmp_path}/file/backups cannot be made: Not a directory. BACKUP_DIR names it"
    korean = f"{tmp_path}/file/backups 폴더를 만들 수 없습니다: Not a directory. BACKUP_DIR에서 정합니다"
    assert (run.error, alarm.message) == (english, f"{run.name}: {english}")
    assert (run.texts, alarm.texts) == ({"ko": korean}, {"ko": f"{run.name}: {korean}"})
    assert run.shown == run.error
    with translation.override("ko"):
        assert run.shown == korean


def test_an_increment_where_there_are_none_is_refused_in_words(store, given, commands):
    with pytest.raises(CommandError, match="no increment is possible"):
        call_command("backup", "--incremental")

    assert not BackupRun.objects.exists()


def test_a_backup_that_is_killed_leaves_nothing_that_the_next_one_minds(store, given, commands):
    commit(store, batch(1))
    script = (
        "import os, signal, django; django.setup()\n"
        "from marketdata.backups import container\n"
        "container.pack = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from django.core.management import call_command; call_command('backup')\n"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}",
        "BACKUP_DIR": str(given.folder),
        "BACKUP_WORK_DIR": str(given.work),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }

    died = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert BackupRun.objects.get().state == "running"
    assert list(given.work.glob("work-*"))
    JobLease.objects.update(until_us=0)  # they run out by themselves within a minute
    verified(backups.make(NOW + HOUR, given=given))
    assert BackupRun.objects.order_by("id")[0].state == "failed"
    assert not list(given.work.glob("work-*"))


def test_a_backup_waits_for_a_rollover_only_so_long(store, given, monkeypatch):
    monkeypatch.setattr(taking, "UPKEEP_PATIENCE_S", 0.0)

    with leases.hold(leases.UPKEEP):
        run = backups.make(NOW, given=given)

    assert (run.state, leases.UPKEEP in run.error) == ("failed", True)


def test_a_database_restored_from_a_backup_goes_on_with_a_full_one(store, given):
    run = verified(backups.make(NOW, given=given))
    BackupRun.objects.update(state="running", report={})  # as it was while the backup was made

    following = verified(backups.run_due(NOW + DAY, given=given))

    run.refresh_from_db()
    assert (run.state, run.position, following.kind) == ("verified", "", "full")


# --- the commands ---------------------------------------------------------------------------------------------------


def test_the_commands_make_verify_and_restore_and_say_how_far_they_are(store, given, commands, capsys):
    commit(store, batch(1))

    call_command("backup")
    call_command("backup", "--due")
    call_command("verify_backup")
    call_command("restore", "latest", "--to", str(given.work / "target"))

    said = capsys.readouterr().out
    assert "verified: naru-" in said
    assert "no backup is due" in said
    assert "temp_market_data           2026-03-16             50" in said
    assert "restored: naru-" in said
    assert "packing" in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["verify_backup", "naru-nothing"], "there is no such backup"),
        (["verify_backup", "../../etc/passwd"], "there is no such backup"),
        (["restore", "naru-nothing", "--to", "there"], "there is no such backup"),
        (["verify_backup"], "there is no verified backup"),
        (["restore", "latest", "--to", "there"], "there is no verified backup"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(given, commands, command, said):
    with pytest.raises(CommandError, match=said):
        call_command(*command)

    assert not Path("there").exists()


def test_a_backup_that_fails_ends_the_command_with_an_error(given, commands, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.BACKUP_DIR = str(tmp_path / "file/backups")

    with pytest.raises(CommandError, match="cannot be made"):
        call_command("backup")


def test_a_changed_archive_ends_verify_backup_with_an_error(given, commands, capsys):
    call_command("backup")
    (path,) = given.folder.glob("*.tar.zst")
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(CommandError, match="is not what was backed up"):
        call_command("verify_backup")

    assert "as stored" in capsys.readouterr().err
