"""A finished day as a Parquet file: every number as in the database, whole or not there, and found out when changed."""

import datetime
import importlib
import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from marketdata.archive import exports, files, manifests, parquet, verification
from marketdata.maintenance import leases, rollover
from marketdata.models import Alarm, Client, IngestStream, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import HISTORY
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import ABSENT
from tests import market
from tests.builders import commit
from tests.integration import readers
from tests.market import NINE_US, price, tick_id
from tests.upkeep import Clock

pytestmark = pytest.mark.usefixtures("road_database")
pytest.importorskip("pyarrow")

DAY = datetime.date(2026, 3, 16)
TUESDAY = "2026-03-17 09:00"
CODES = ("000660", "005930")


@pytest.fixture(autouse=True)
def _folder(road_database, settings, tmp_path):
    settings.ARCHIVE_DIR, settings.ARCHIVE = str(tmp_path / "archive"), True
    Symbol.objects.bulk_create([Symbol(code=code, market_id="KRX") for code in CODES])


def batch(seq: int, *, rows: int = 40, feed: str = "krx", source_id: int = 4, stream: int = 1):
    """Trades of two symbols with a quote now and then."""
    made = []
    for at in range(rows):
        quote = at % 5 == 4
        given = {"kind": 2, "bid": price("69950"), "ask": price("70000.00000001"), "bid_size": 5} if quote else {}
        made.append(
            {
                "symbol": CODES[at % 2],
                "time_us": NINE_US + (seq * rows + at) * 1_000_001,
                "tick_id": tick_id(seq, at, stream=stream),
                "seq": seq * 1000 + at,
                **(given or {"price": price(str(70_000 + at)), "side": at % 3}),
            }
        )
    return market.ticks(made, feed=feed, source_id=source_id)


def noise(seq: int):
    """A batch that cannot be made smaller."""
    made, numbers = batch(seq, rows=900), np.random.default_rng(seq)
    made.price, made.bid = (numbers.integers(1, 10**17, len(made)) for _ in range(2))
    return made


def finished(*batches) -> None:
    """These batches, committed and rolled over."""
    for one in batches or (batch(1), batch(2), batch(3, feed="nxt")):
        commit(storage(), one)
    rollover.run_due(clock=Clock(TUESDAY))
    assert RolloverRun.objects.get(trade_date=DAY).state == "done"


def everything(path: Path) -> Figure:
    return checksums.total(one for part in verification.read(path) for one in checksums.of_ticks(part).values())


def run(*words: str) -> str:
    out = StringIO()
    call_command("archive", *words, stdout=out)
    return out.getvalue()


# --- what is written --------------------------------------------------------------------------------------------------


def test_an_archived_day_has_every_tick_of_the_database_to_the_last_digit():
    finished()

    manifest = exports.make(DAY)

    stored = {
        (symbol, feed): market.rows_of(storage().read_day_ticks(DAY, symbol, feed))
        for symbol, feed in storage().day_series(DAY)
    }
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for part in verification.read(manifests.path_of(DAY)):
        for row in market.rows_of(part):
            found.setdefault((row["symbol"], part.feed), []).append(row)
    assert found == stored
    assert (
        manifest.figure == checksums.total(storage().tick_figures(DAY).values()) == everything(manifests.path_of(DAY))
    )
    assert manifests.path_of(DAY).parent.name == "trade_date=2026-03-16"
    assert RolloverRun.objects.get(trade_date=DAY).archived_at is not None


@pytest.mark.once
def test_the_manifest_says_what_is_in_the_file():
    finished()

    manifest = exports.make(DAY)

    said = json.loads((manifests.folder_of(DAY) / "_ticks.json").read_text())
    assert (said["trade_date"], said["rows"], said["row_groups"], said["format"]) == ("2026-03-16", 120, 1, 1)
    assert said["bytes"] == manifests.path_of(DAY).stat().st_size == manifest.bytes
    assert said["versions"].keys() == {"pyarrow", "parquet"}
    assert sorted(path.name for path in manifests.folder_of(DAY).iterdir()) == ["_ticks.json", "ticks.parquet"]
    assert verification.verify(DAY) == manifest


@pytest.mark.once
def test_duckdb_and_polars_read_the_same_numbers():
    finished()
    exports.make(DAY)

    duck, bear = readers.ask(str(manifests.folder_of(DAY).parent / "*/*.parquet"))

    assert duck == bear
    every = sorted(
        (
            {**row, "feed": feed}
            for symbol, feed in storage().day_series(DAY)
            for row in market.rows_of(storage().read_day_ticks(DAY, symbol, feed))
        ),
        key=lambda row: row["tick_id"],
    )
    assert len(duck) == len(every) == 120

    def decimal(value: int, scale: int) -> str | None:
        return None if value == ABSENT else f"{Decimal(value).scaleb(-scale):.{scale}f}"

    assert duck == [
        [
            row["symbol"],
            row["feed"],
            ("trade", "quote")[row["kind"] - 1],
            (None, "buy", "sell")[row["side"]],
            "REPLAY",
            decimal(row["price"], 8),
            decimal(row["size"], 6),
            decimal(row["bid"], 8),
            decimal(row["ask"], 8),
            str(row["seq"]),
            str(row["tick_id"]),
            "2026-03-16",
            str(row["time_us"]),
        ]
        for row in every
    ]


def test_a_series_that_two_sources_fed_keeps_both():
    for stream, source_id in ((1, 4), (2, 3)):
        client, _ = Client.objects.create_with_secret(name=f"c{stream}", source_id=source_id)
        IngestStream.objects.create(id=stream, client=client, epoch=f"{stream:016x}")
    finished(batch(1), batch(1, source_id=3, stream=2))

    exports.make(DAY)

    sources = {part.source_id: len(part) for part in verification.read(manifests.path_of(DAY)) if part.symbols}
    assert sources == {3: 40, 4: 40}
    assert everything(manifests.path_of(DAY)) == checksums.total(storage().tick_figures(DAY).values())


def test_a_day_without_ticks_is_archived_as_a_file_without_rows():
    RolloverRun.objects.create(trade_date=DAY, state="done", rows=0, checksum=0)

    assert exports.make(DAY).rows == 0

    assert list(verification.read(manifests.path_of(DAY))) == []
    assert verification.verify(DAY).rows == 0


# --- when -------------------------------------------------------------------------------------------------------------


def test_what_is_due_is_archived_once_however_often_it_is_asked_for():
    finished()

    assert exports.run_due() == [DAY]
    assert exports.run_due() == []

    RolloverRun.objects.update(archived_at=None)  # as if killed between the file and the note
    before = manifests.path_of(DAY).stat().st_mtime_ns
    assert exports.run_due() == [DAY]
    assert manifests.path_of(DAY).stat().st_mtime_ns == before


def test_nothing_is_archived_by_itself_unless_the_setting_says_so(settings):
    settings.ARCHIVE = False
    finished()

    assert exports.run_due() == []
    assert exports.due() == [DAY]


def test_late_ticks_make_the_day_due_again_once_they_are_moved():
    finished()
    exports.run_due()
    commit(storage(), batch(9, rows=6))

    assert exports.due() == []
    with pytest.raises(files.ArchiveError, match="late ticks wait to be moved"):
        exports.make(DAY)
    rollover.run_due(clock=Clock("2026-03-17 10:00"))
    with pytest.raises(files.ArchiveError, match="makes it anew"):
        verification.verify(DAY)

    assert exports.run_due() == [DAY]
    assert verification.verify(DAY).rows == 126


def test_a_copy_elsewhere_is_no_archive_of_the_day(tmp_path):
    finished()

    run("2026-03-16", "--to", str(tmp_path / "copy"))

    assert verification.verify(DAY, folder=tmp_path / "copy").rows == 120
    assert exports.due() == [DAY]


def test_only_one_process_archives_at_a_time():
    finished()

    with leases.hold(exports.LEASE):
        assert exports.run_due() == []
        with pytest.raises(CommandError, match="another process is at it"):
            run("2026-03-16")
    assert exports.run_due() == [DAY]


def test_a_day_that_fails_rings_and_holds_up_no_other():
    finished()
    RolloverRun.objects.create(trade_date=datetime.date(2026, 3, 13), state="done", rows=5, checksum=1)

    assert exports.run_due() == [DAY]

    alarm = Alarm.objects.get(code="archive_failed", cleared_at=None)
    assert alarm.subject == "2026-03-13"
    assert "verify_day 2026-03-13" in alarm.message


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "fields", "says"),
    [
        ("open", {}, "manage.py rollover --date 2026-03-16"),
        ("moved", {}, "only a day that is done"),
        ("done", {"rows": 7}, "verify_day 2026-03-16"),
        ("done", {"dropped_at": datetime.datetime(2026, 3, 20, tzinfo=datetime.UTC)}, "RETENTION_TICKS_DAYS"),
    ],
)
def test_a_day_that_is_not_finished_or_not_whole_is_refused(state, fields, says):
    finished()
    RolloverRun.objects.filter(trade_date=DAY).update(state=state, **fields)

    with pytest.raises(CommandError, match=says):
        run("2026-03-16")
    assert not manifests.folder_of(DAY).exists()


@pytest.mark.once
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["2026-03-11"], "no such day is known. Known: 2026-03-16 to"),
        (["16.3.2026"], "YYYY-MM-DD"),
        (["2026-03-16", "--verify"], "not archived"),
        (["--due", "--verify"], "--verify goes with"),
        (["--all"], "--all with --verify"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_so(words, says):
    finished()

    with pytest.raises(CommandError, match=says):
        run(*words)


def test_ticks_that_the_ledger_does_not_have_are_not_archived():
    finished()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ingest_batch_day WHERE batch = %s", [tick_id(1, 0) >> 13])

    with pytest.raises(files.ArchiveError, match=r"ledger has 80 ticks, stored are 120"):
        exports.make(DAY)


def test_a_difference_that_a_person_accepted_is_archived_and_remembered():
    for one in (batch(1), batch(2)):
        commit(storage(), one)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ingest_batch_day WHERE batch = %s", [tick_id(1, 0) >> 13])
    rollover.run_one(DAY, clock=Clock(TUESDAY), accept="disk replaced")

    manifest = exports.make(DAY)

    assert manifest.rows == 80
    assert manifest.accepted.endswith(": disk replaced")


def test_a_row_whose_source_is_not_its_clients_is_not_archived():
    finished()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {HISTORY} SET source = 3 WHERE tick_id = %s", [tick_id(1, 4)])
    total = checksums.total(storage().tick_figures(DAY).values())
    RolloverRun.objects.update(checksum=total.checksum, accepted=f"+0 rows, {_off(total):+d}: tested")

    with pytest.raises(files.ArchiveError, match="whose source is not that of their client"):
        exports.make(DAY)
    assert not manifests.folder_of(DAY).exists()


def _off(total: Figure) -> int:
    from marketdata.ledger import batch_ledger

    return (total.checksum - batch_ledger.day_figure(DAY).checksum) % checksums.PRIME


@pytest.mark.once
def test_without_pyarrow_the_message_says_how_to_get_it(monkeypatch):
    finished()

    def missing(name: str):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)

    with pytest.raises(parquet.Missing, match=r"pip install -r requirements/archive\.txt"):
        exports.make(DAY)
    assert exports.run_due() == []
    assert "requirements/archive.txt" in Alarm.objects.get(code="archive_failed").message


# --- disks ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.once
def test_a_disk_that_is_full_keeps_no_half_file_and_says_so(small_disk, settings):
    finished(*(noise(seq) for seq in range(1, 4)))
    settings.ARCHIVE_DIR = str(small_disk)

    with pytest.raises(CommandError, match="no room left"):
        run("--due")

    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    assert RolloverRun.objects.get(trade_date=DAY).archived_at is None


@pytest.mark.once
def test_a_folder_that_cannot_be_made_is_named(tmp_path, settings):
    finished()
    (tmp_path / "file").write_text("")
    settings.ARCHIVE_DIR = str(tmp_path / "file")

    with pytest.raises(CommandError, match=r"cannot write: .*file/ticks"):
        run("--due")


# --- what was changed since -------------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.once
@pytest.mark.parametrize("at", [0, 100, -1, -9])
def test_a_changed_byte_is_found(at):
    finished()
    exports.make(DAY)

    flip(manifests.path_of(DAY), at)

    with pytest.raises(CommandError, match="another SHA-256"):
        run("2026-03-16", "--verify")


@pytest.mark.once
@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda place: (place / "ticks.parquet").write_bytes(b"PAR1"), "has 4 bytes"),
        (lambda place: (place / "ticks.parquet").unlink(), "is not there"),
        (lambda place: (place / "_ticks.json").write_text("{"), "cannot be read"),
        (lambda place: (place / "_ticks.json").write_text('{"format": 9}'), "format 9"),
        (lambda place: (place / "_ticks.json").write_text("[]"), "cannot be read"),
    ],
)
def test_whatever_happened_to_an_archive_is_named_and_it_can_be_made_anew(harm, says):
    finished()
    exports.make(DAY)

    harm(manifests.folder_of(DAY))

    with pytest.raises(CommandError, match=says):
        run("--all", "--verify") if "cannot" not in says else run("2026-03-16", "--verify")
    run("2026-03-16")
    assert verification.verify(DAY).rows == 120


def test_a_file_with_other_ticks_is_found_even_if_its_hash_was_made_to_fit():
    finished()
    exports.make(DAY)
    place = manifests.folder_of(DAY)
    other = batch(1)
    other.price[0] += 1
    with (place / "ticks.parquet").open("wb") as file:
        writer = parquet.Writer(file, sources={4: "REPLAY"})
        for index, symbol in enumerate(CODES):
            part = other.take(other.symbol == index)
            part.symbols, part.symbol = [symbol], part.symbol * 0
            writer.add([part])
        writer.close()
    said = json.loads((place / "_ticks.json").read_text())
    said |= {"sha256": files.sha256(place / "ticks.parquet"), "bytes": (place / "ticks.parquet").stat().st_size}
    (place / "_ticks.json").write_text(json.dumps(said))

    with pytest.raises(files.Tampered, match="not 120"):
        verification.verify(DAY)


@pytest.mark.once
def test_the_command_tells_what_it_did():
    finished()

    first, again = run("--due"), run("--due")

    assert "120 ticks" in first
    assert "a tick), SHA-256" in first
    assert "nothing is due" in again
    assert "120 ticks" in run("--all", "--verify")
