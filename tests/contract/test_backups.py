"""What a backup promises on every database: it is what was there, whoever writes meanwhile; and it can be put together
again."""

import dataclasses
import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from analytics import voids
from ingest import requeue, tasks
from ingest.requeue import runs
from ingest.rights import Rights
from marketdata import backups
from marketdata.backups import comparison, container
from marketdata.ledger import set_aside
from marketdata.maintenance import dropped, leases, rollover
from marketdata.models import Alarm, BackupRun, Client, IngestBatch, IngestStream, RolloverRun, Source, VendorMinute
from marketdata.reference.symbols import Directory
from marketdata.storage import storage, storage_of
from marketdata.storage.backups import BackupError, Programs, backup_of
from marketdata.storage.base import BOOKS, EVENTS, HISTORY, PRICES, TEMP
from marketdata.types.order_books import MarketEvent, OrderBook
from marketdata.types.tick_arrays import TICK_BITS, batch_number
from tests import market, order_books, upkeep, waiting
from tests.backup import DAY, NOW, batch, given, verified
from tests.builders import commit
from tests.market import NINE_US, tick_id

__all__ = ["given"]


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
    assert set(connection.introspection.table_names()) == {*run.report["tables"], *run.report["excluded_tables"]}
    assert not list(given.work.glob("work-*"))
    assert [path.stat().st_mode & 0o077 for path in given.folder.iterdir()] == [0, 0]


def test_prices_books_events_and_a_vendors_minutes_come_back_from_a_backup_whole(store, given):
    commit(store, batch(1))
    polled = market.ticks(
        [{"kind": 3, "price": 1, "open": at, "cum_value": at, "tick_id": tick_id(9, at)} for at in range(1, 40)]
    )
    book = OrderBook(
        symbol="005930", feed="krx", source_id=3, time_us=NINE_US, tick_id=tick_id(10, 0), trade_date=20_528,
        bids=(("69900.5", "10"),), bid_total=7, mid_price=-1,
    )  # fmt: skip
    event = MarketEvent(
        time_us=NINE_US, event_id=tick_id(11, 0), trade_date=20_528, feed="krx", source_id=3, kind="vi", body={"값": 1}
    )
    store.ensure_partitions([upkeep.FIRST], (PRICES, BOOKS, EVENTS))
    with store.transaction():
        store.load_prices(polled, {"005930": "kospi"})
        order_books.store(store, [book])
        store.store_events([event])
    VendorMinute.objects.create(
        symbol="005930", feed="krx", minute_us=NINE_US, vendor="kis", trade_date=upkeep.FIRST, volume=5, fetched_at=NOW
    )
    prices = store.read_prices("005930", "krx", NINE_US, NINE_US + 1)

    run = verified(backups.make(NOW, given=given))

    kept = (PRICES, BOOKS, EVENTS, "vendor_minute")
    assert [run.report["tables"][table]["2026-03-16"][::2] for table in kept] == [
        [39, "equal"], *[[1, "equal"]] * 3
    ]  # fmt: skip
    target = given.work / "target"
    backups.restore(run.name, target, given=given)
    with (
        backup_of(run.vendor, given.programs).opened(target) as entry,
        comparison.opened({"NAME": connection.settings_dict["NAME"], **entry}) as restored,
    ):
        there = storage_of(restored)
        assert there.read_prices("005930", "krx", NINE_US, NINE_US + 1) == prices
        assert there.read_books("005930", "krx", NINE_US, NINE_US + 1, limit=5) == [book]
        assert there.read_events(NINE_US, NINE_US + 1, limit=5) == [event]
        bars = VendorMinute.objects.using(restored.alias)
        assert list(bars.values()) == list(VendorMinute.objects.values())


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


def test_an_increment_that_does_not_begin_where_the_one_before_ended_is_not_restored(store, given):
    if not has_increments():
        pytest.skip("there are no increments")
    verified(backups.make(NOW, given=given))
    run = verified(backups.make(NOW + DAY, given=given))
    assert run.kind == "incremental"
    manifest = container.read(given.folder, run.name)
    assert manifest.facts["from"] == BackupRun.objects.get(base=None).position
    manifest.facts["from"] = manifest.facts["from"].replace(":", "0:", 1)
    container.write(given.folder, manifest)

    with pytest.raises(BackupError, match="does not begin where"):
        backups.restore(run.name, given.work / "target", given=given)

    assert not (given.work / "target").exists()


def test_what_is_committed_while_a_backup_is_made_is_in_it_wholly_or_not_at_all(store, given):
    stop = threading.Event()
    committed: list[int] = []

    def write() -> None:
        try:
            while not stop.is_set():
                seq = len(committed) + 1
                commit(storage(), batch(seq, rows=200, stream=2))
                committed.append(seq)
                time.sleep(0.03)
        finally:
            connections.close_all()

    def backup_after_commits(number: int) -> BackupRun:
        enough = len(committed) + 2  # the second of them began after the backup before had ended
        waiting.until(lambda: len(committed) >= enough, seconds=60, what="commits beside a backup")
        return verified(backups.make(NOW + number * DAY, given=given))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        runs = [backup_after_commits(number) for number in range(2)]
    finally:
        stop.set()
        writer.join(300)

    for run in runs:
        assert run.report["checks"]["batches"] > 0
    assert runs[1].report["checks"]["batches"] > runs[0].report["checks"]["batches"]


def refused(seq: int) -> None:
    """A stored batch, one row of which was refused and would pass now."""
    ticks = batch(seq, rows=3)
    commit(storage(), ticks.take(np.arange(2)))
    number = int(ticks.tick_id[2]) >> TICK_BITS
    row = {"symbol": "005930", "time": int(ticks.time_us[2]), "price": "70002", "size": "1"}
    set_aside.keep_rejects([(number, 2, "symbol_unknown", json.dumps(row))])
    IngestBatch.objects.filter(pk=number).update(rows=3, rejected=1, captured_us=1)


def test_what_is_judged_again_or_voided_while_a_backup_is_made_is_no_difference(store, given, redis, monkeypatch):
    """While it is copied that waits, and what it changes before the comparison is known."""
    client, _ = Client.objects.create_with_secret(
        name="desk", source=Source.objects.get(code="REPLAY"), may_send=True, feeds="*", shares_feeds=True
    )
    IngestStream.objects.create(id=1, client=client, epoch="1" * 16)
    monkeypatch.setattr(runs, "UPKEEP_PATIENCE_S", 0.0)
    monkeypatch.setattr(tasks, "directory", Directory(retry_s=0.0))
    monkeypatch.setattr(tasks, "rights", Rights(keep_s=-1.0))
    for seq in range(1, 4):
        refused(seq)
    waited: list[str] = []
    changed: list[int] = []

    def judged_again(seq: int) -> int:
        chosen = requeue.Selection(batches=(batch_number(1, seq),))
        return sum(one.stored for one in requeue.run(chosen, asked_by="test"))

    def progress(step: str, done: int = 0, total: int | None = None) -> None:
        copying = step.startswith(("before", "after"))
        if copying and step not in waited:
            waited.append(step)
            with pytest.raises(leases.LeaseHeld):
                judged_again(1)
        if step.startswith("packing") and not changed:
            changed.append(judged_again(2))
            changed.append(voids.void(voids.Selection(batches=(batch_number(1, 3),)), reason="wrong", by="boss").ticks)

    run = verified(backups.make(NOW, given=given, progress=progress))

    assert (len(waited), changed) == (2, [1, 2])
    assert run.report["checks"]["batches_compared"] == 3
    assert judged_again(1) == 1
    assert verified(backups.make(NOW + DAY, given=given)).report["tables"][TEMP]["2026-03-16"][0] == 6


def test_a_batch_that_differs_from_the_original_and_was_not_corrected_makes_the_backup_fail(store, given):
    commit(store, batch(1))

    def progress(step: str, done: int = 0, total: int | None = None) -> None:
        if step.startswith("packing"):
            IngestBatch.objects.update(stored=49)

    run = backups.make(NOW, given=given, progress=progress)

    assert (run.state, "1 batches are not what the original has" in run.error) == ("failed", True)
    assert "배치 1개가 원본과 다릅니다" in (run.texts or {})["ko"]
    assert "; ".join(run.report["problems"]) == run.error


def test_late_ticks_of_a_dropped_day_that_come_meanwhile_are_no_difference(store, given):
    upkeep.commit(upkeep.FIRST)
    rollover.run_one(upkeep.FIRST, clock=upkeep.Clock("2026-03-17 08:05"))
    dropped.note_ticks([upkeep.FIRST], NOW)
    store.drop_days(HISTORY, [upkeep.FIRST])
    came: list[object] = []

    def progress(step: str, done: int = 0, total: int | None = None) -> None:
        if step.startswith("after") and not came:
            came.append(upkeep.commit(upkeep.FIRST, 3))

    run = verified(backups.make(NOW, given=given, progress=progress))

    assert len(came) == 1
    assert run.report["tables"]["dropped_day"][upkeep.FIRST.isoformat()][2] == "equal"


def test_a_day_of_history_is_compared_with_what_its_rollover_found(store, given):
    upkeep.commit(upkeep.FIRST)
    rollover.run_due(clock=upkeep.Clock("2026-03-17 08:05"))
    date = upkeep.FIRST.isoformat()
    run = verified(backups.make(NOW, given=given))
    assert run.report["tables"]["market_data_tick"][date] == [*row_of(date), "equal"]

    with connection.cursor() as cursor:
        cursor.execute("UPDATE market_data_tick SET price = price + 1 WHERE symbol = '000660'")
    verified(backups.make(NOW + DAY, given=given))  # it is what the original is

    alarm = Alarm.objects.get(code="history_changed", subject=date)
    assert (alarm.cleared_at, "4 ticks" in alarm.message) == (None, True)
    rollover.run_one(upkeep.FIRST, clock=upkeep.Clock("2026-03-18 09:00"), accept="the exchange corrected it")
    assert RolloverRun.objects.get(trade_date=date).accepted.startswith("+0 rows")
    verified(backups.make(NOW + 2 * DAY, given=given))
    assert not Alarm.objects.filter(code="history_changed", cleared_at=None).exists()


def row_of(date: str) -> tuple[int | None, int | None]:
    run = RolloverRun.objects.get(trade_date=date)
    return run.rows, run.checksum


def test_a_restored_backup_is_the_database_that_was_backed_up(store, given, tmp_path):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    target = given.work / "target"

    backups.restore(run.name, target, given=given)

    with (
        backup_of(run.vendor, given.programs).opened(target) as entry,
        comparison.opened({"NAME": connection.settings_dict["NAME"], **entry}) as restored,
    ):
        assert list(IngestBatch.objects.using(restored.alias).values()) == list(IngestBatch.objects.values())


def test_what_is_left_out_has_the_name_of_the_version_before_too(store, given):
    commit(store, batch(1))

    run = verified(backups.make(NOW, given=given))

    left_out = run.report["excluded_tables"]
    manifest = container.read(given.folder, run.name)
    assert run.report["unkept"] == manifest.taken["unkept"] == manifest.taken["excluded_tables"] == left_out
    before = {name: what for name, what in manifest.taken.items() if name != "excluded_tables"}
    assert comparison.excluded(before) == left_out


def test_a_program_that_is_missing_is_named_and_leaves_nothing_behind(store, given, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite needs no program")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("marketdata.storage.programs.SYSTEM_FOLDERS", ())
    commit(store, batch(1))

    run = backups.make(NOW, given=dataclasses.replace(given, programs=Programs([])))

    if run.state == "failed":
        assert "is not installed" in run.error
        assert not list(given.folder.iterdir()) if given.folder.exists() else True
        assert Alarm.objects.get(code="backup_failed").cleared_at is None


def test_a_backup_is_verified_and_restored_when_its_database_is_gone(store, given, monkeypatch, settings):
    commit(store, batch(1))
    run = verified(backups.make(NOW, given=given))
    settings.BACKUP_DIR, settings.BACKUP_WORK_DIR = str(given.folder), str(given.work)
    connection.close()
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", "1")
        if connection.vendor == "sqlite":
            patched.setitem(connection.settings_dict, "NAME", "/nowhere/naru.sqlite3")

        with pytest.raises(CommandError, match="cannot be reached"):
            call_command("backup")
        report = backups.verify(run.name, given=given)
        backups.restore(run.name, given.work / "target", given=given)
        connection.close()

    assert report["problems"] == []
    assert any((given.work / "target").iterdir())


def test_an_account_with_the_documented_rights_suffices_and_its_password_is_on_no_command_line(store, given, request):
    if connection.vendor != "mysql":
        pytest.skip("MariaDB's own rights")
    rights = "RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR"  # docs/backups.md
    request.getfixturevalue("mariadb_server").sql(
        "CREATE OR REPLACE USER backup@'127.0.0.1' IDENTIFIED BY 'p\"ä\\'ss\\\\wo#rd; x';"
        f"GRANT {rights} ON *.* TO backup@'127.0.0.1';"
    )
    account = {**given.account, "USER": "backup", "PASSWORD": "p\"ä'ss\\wo#rd; x"}
    seen: set[bytes] = set()

    def look(step: str, done: int = 0, total: int | None = None) -> None:
        if "copying" in step or "preparing" in step:
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(place.read_bytes())

    verified(backups.make(NOW, given=dataclasses.replace(given, account=account), progress=look))
    refused = backups.make(NOW + DAY, given=dataclasses.replace(given, account={**account, "PASSWORD": "wrong-pass"}))

    assert any(b"--backup" in line for line in seen)
    assert not any(b"wo#rd" in line for line in seen)
    assert (refused.state, "Access denied" in refused.error) == ("failed", True)
    assert "wrong-pass" not in refused.error
