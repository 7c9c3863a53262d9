"""What a backup promises on every database: it is what was there, whoever writes meanwhile; and one that is not is
found out."""

import dataclasses
import datetime
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections

from marketdata import backups, leases
from marketdata.backups import archive
from marketdata.models import Alarm, BackupRun, IngestBatch, Symbol
from marketdata.storage import StorageError, storage
from marketdata.storage.backups import Programs
from marketdata.storage.base import TEMP
from tests import market
from tests.commit import commit
from tests.market import DAY_US, NINE_US, price, tick_id
from tests.servers import ServerMissing, packages
from tests.servers.process import temporary_folder

NOW = datetime.datetime(2026, 3, 17, 3, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


def batch(seq: int, *, rows: int = 50, days: int = 0, stream: int = 1):
    """Trades of two symbols."""
    return market.ticks(
        [
            {
                "symbol": ("005930", "000660")[at % 2],
                "time_us": NINE_US + days * DAY_US + (seq * rows + at) * 100_000,
                "tick_id": tick_id(seq, at, stream=stream),
                "price": price(str(70_000 + at)),
            }
            for at in range(rows)
        ]
    )


@pytest.fixture
def given(store, tmp_path) -> Iterator[backups.Options]:
    """Backups into an empty folder, with the programs that this machine has."""
    for code in ("005930", "000660"):
        Symbol.objects.get_or_create(code=code, defaults={"market_id": "KRX"})
    work = temporary_folder("bk")
    work.chmod(0o711)  # PostgreSQL restores as a user of its own
    yield dataclasses.replace(
        backups.options(), folder=tmp_path / "backups", work=work, programs=Programs(folders()),
        account=connection.settings_dict,
    )  # fmt: skip
    for run in BackupRun.objects.order_by("-id"):  # increments before what they build on
        run.delete()
    shutil.rmtree(work)


def folders() -> list[Path]:
    """Where the private servers' programs are."""
    if connection.vendor != "mysql":
        return []
    try:
        return sorted({packages.need(program)[0].parent for program in ("mariadbd", "mariadb-backup")})
    except ServerMissing as error:
        pytest.skip(str(error))


def verified(run: BackupRun | None) -> BackupRun:
    assert run is not None
    assert (run.state, run.error) == ("verified", "")
    return run


def has_increments() -> bool:
    return connection.vendor != "sqlite"


def test_a_backup_is_restored_and_compared_before_it_counts(store, given):
    commit(store, batch(1))
    commit(store, batch(2, days=1))

    run = verified(backups.make(NOW, given=given))

    assert run.kind == "full"
    assert run.report["tables"][TEMP] == {
        "2026-03-16": [50, run.report["tables"][TEMP]["2026-03-16"][1], "equal"],
        "2026-03-17": [50, run.report["tables"][TEMP]["2026-03-17"][1], "equal"],
    }
    assert set(connection.introspection.table_names()) == {*run.report["tables"], *run.report["unkept"]}
    assert not list(given.work.glob("work-*"))
    assert [path.stat().st_mode & 0o077 for path in given.folder.iterdir()] == [0, 0]


def test_an_increment_builds_on_the_last_backup_where_the_database_has_them(store, given):
    commit(store, batch(1))
    full = verified(backups.make(NOW, given=given))
    for number in range(1, 4):
        commit(store, batch(1 + number, days=number))
        run = verified(backups.make(NOW + number * DAY, given=given))
        assert run.kind == ("incremental" if has_increments() else "full")

    assert sum(rows for rows, _, _ in run.report["tables"][TEMP].values()) == 200
    if has_increments():
        assert BackupRun.objects.get(base__base__base=full) == run


def test_what_is_committed_while_a_backup_is_made_is_in_it_wholly_or_not_at_all(store, given):
    stop, done = threading.Event(), threading.Event()

    def write() -> None:
        try:
            seq = 1
            while not stop.is_set():
                commit(storage(), batch(seq, rows=200, stream=2))
                done.set()
                seq += 1
                time.sleep(0.01)
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert done.wait(20)
        runs = [verified(backups.make(NOW + number * DAY, given=given)) for number in range(2)]
    finally:
        stop.set()
        writer.join(30)

    for run in runs:
        assert run.report["checks"]["batches"] > 0
    assert runs[1].report["checks"]["batches"] > runs[0].report["checks"]["batches"]


def test_a_restored_backup_is_the_database_that_was_backed_up(store, given, tmp_path):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    target = given.work / "target"

    backups.restore(run.name, target, given=given)

    from marketdata.backups import comparison
    from marketdata.storage.backups import backup_of

    with (
        backup_of(run.vendor, given.programs).opened(target) as entry,
        comparison.opened({"NAME": connection.settings_dict["NAME"], **entry}) as restored,
    ):
        assert list(IngestBatch.objects.using(restored.alias).values()) == list(IngestBatch.objects.values())


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
    path = archive.path_of(given.folder, run.name)
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
        with pytest.raises(archive.Tampered):
            backups.restore(run.name, tmp_path / "target", given=given)
    report = backups.verify(run.name, given=given)

    assert report["problems"]
    assert not (tmp_path / "target").exists()
    assert BackupRun.objects.get().state == "failed"
    assert Alarm.objects.get(code="backup_unverified").subject == run.name
    assert verified(backups.make(NOW + DAY, given=given)).kind == "full"


def test_a_manifest_that_was_made_to_fit_a_changed_archive_is_found(store, given):
    run = verified(backups.make(NOW, given=given))
    path = archive.path_of(given.folder, run.name)
    path.write_bytes(path.read_bytes()[:-1])
    manifest = archive.read(given.folder, run.name)
    manifest.bytes -= 1
    manifest.sha256 = "0" * 64
    archive.write(given.folder, manifest)

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
    manifest = archive.read(given.folder, run.name)
    for look in ("before", "after"):
        manifest.taken[look][TEMP]["2026-03-16"][1] ^= 1
    manifest.report = {}
    archive.write(given.folder, manifest)

    report = backups.verify(run.name, given=given)

    assert any(TEMP in problem for problem in report["problems"])
    assert report["tables"][TEMP]["2026-03-16"][2] == "different"


def test_a_program_that_is_missing_is_named_and_leaves_nothing_behind(store, given, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite needs no program")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("marketdata.storage.backups.programs.SYSTEM_FOLDERS", ())
    commit(store, batch(1))

    run = backups.make(NOW, given=dataclasses.replace(given, programs=Programs([])))

    if run.state == "failed":
        assert "is not installed" in run.error
        assert not list(given.folder.iterdir()) if given.folder.exists() else True
        assert Alarm.objects.get(code="backup_failed").cleared_at is None


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
        with pytest.raises(leases.HeldElsewhere):
            backups.make(NOW, given=given)


def test_old_backups_go_and_the_last_good_one_stays(store, given):
    old = verified(backups.make(NOW - 60 * DAY, given=given))
    new = verified(backups.make(NOW, kind="full", given=given))

    old.refresh_from_db()
    assert old.state == "expired"
    assert archive.names(given.folder) == [new.name]

    last = verified(backups.make(NOW + 90 * DAY, kind="full", given=given))
    assert archive.names(given.folder) == [last.name]


def test_the_commands_say_what_happens(store, given, settings, capsys):
    settings.BACKUP_DIR, settings.BACKUP_WORK_DIR = str(given.folder), str(given.work)
    settings.BACKUP_PROGRAMS, settings.BACKUP_DATABASE = [str(one) for one in folders()], connection.settings_dict
    commit(store, batch(1))

    call_command("backup")
    call_command("verify_backup")
    call_command("restore", "latest", "--to", str(given.work / "target"))

    said = capsys.readouterr().out
    assert "verified: naru-" in said
    assert "temp_market_data           2026-03-16             50" in said
    assert "restored: naru-" in said
