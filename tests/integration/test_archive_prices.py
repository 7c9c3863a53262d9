"""What snapshots told of a finished day as a Parquet file: every number as in the database, and found out when
changed."""

import datetime
import json
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from analytics import voids
from marketdata.archive import day_files, exports, files, tables, verification
from marketdata.calendar import trading_dates
from marketdata.maintenance import dropped, retention, rollover
from marketdata.models import RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import PRICES
from tests.integration.processing import EVER, process, rows, trade
from tests.integration.senders import Sender
from tests.market import NINE_US
from tests.upkeep import Clock, seoul

pytestmark = pytest.mark.usefixtures("worker")
pyarrow = pytest.importorskip("pyarrow.parquet")

DAY = datetime.date(2026, 3, 16)
DONE = "2026-04-02 08:05"
FULL = {
    "open": "69900.00000001", "high": "70500", "low": "69000", "prev_close": "69800", "upper_limit": "90700",
    "lower_limit": "48900", "change_rate": "-0.28571429", "cum_value": "1234567890123.45", "cum_volume": "98765.5",
    "bid": "69999", "ask": "70001",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(worker, settings, tmp_path):
    settings.ARCHIVE_DIR, settings.ARCHIVE = str(tmp_path / "archive"), True
    settings.RETENTION_PRICES_DAYS = 36_500
    trading_dates.forget()


def snapshot(at=0, **other):
    return trade(**{"kind": "snapshot", "size": None, "time": NINE_US + at, **other})


def archived() -> Path:
    rollover.run_one(DAY, clock=Clock(DONE))
    exports.make(DAY)
    return tables.PRICES.path_of(DAY)


def verified(part: int = 1) -> int:
    """How many rows a file has, each of them checked."""
    manifest = tables.PRICES.verify(DAY, part=part)
    assert manifest is not None
    return manifest.rows


def test_an_archived_day_has_what_its_snapshots_told_to_the_last_digit():
    process(rows(snapshot(**FULL), snapshot(5, open="1"), snapshot(1, symbol="000660", high="2"), trade()))
    process(rows(snapshot(3, open="4"), name="nxt", seq=2))

    found = pyarrow.read_table(archived()).to_pylist()

    assert [(row["symbol"], row["feed"], row["source"]) for row in found] == [
        ("000660", "krx", "REPLAY"), ("005930", "krx", "REPLAY"), ("005930", "krx", "REPLAY"),
        ("005930", "nxt", "REPLAY"),
    ]  # fmt: skip
    whole = found[1]
    expected = {prices_name(name): Decimal(text) for name, text in FULL.items()}
    assert {name: whole[name] for name in expected} == expected
    assert (whole["current_price"], whole["category"], whole["trade_date"]) == (Decimal(70_000), "unknown", DAY)
    assert whole["timestamp"] == datetime.datetime.fromtimestamp(NINE_US / 1e6, datetime.UTC)
    assert found[0]["open_price"] is None
    (stored,) = storage().read_prices("000660", "krx", *EVER)
    assert found[0]["tick_id"] == stored.tick_id
    manifest = json.loads((archived().parent / "_prices.json").read_text())
    assert (manifest["rows"], manifest["trade_date"]) == (4, "2026-03-16")


def prices_name(name: str) -> str:
    """What a row's figure is called in the table."""
    return {"open": "open_price", "high": "high_price", "low": "low_price", "cum_value": "value"}.get(
        name, name.replace("cum_", "")
    )


def test_groups_of_rows_are_read_back_the_same(monkeypatch):
    monkeypatch.setattr(day_files, "GROUP_ROWS", 2)
    codes = [("000660", "005930")[at % 2] for at in range(9)]
    process(rows(*(snapshot(at, symbol=code, open=str(at + 1)) for at, code in enumerate(codes))))

    path = archived()

    assert pyarrow.read_metadata(path).num_row_groups == 2  # a series is never cut
    assert verified() == 9


def test_a_day_without_prices_has_no_file():
    process(rows(trade(), snapshot()))

    assert not archived().parent.exists()
    assert tables.PRICES.verify(DAY) is None
    assert verification.verify(DAY).rows == 2


def test_what_came_late_is_in_the_file_that_is_made_anew():
    process(rows(snapshot(open="1")))
    archived()
    process(rows(snapshot(1, open="2"), seq=2))

    archived()

    assert verified() == 2
    assert RolloverRun.objects.get(trade_date=DAY).archived_at is not None


def test_a_file_that_has_more_than_the_database_is_kept():
    process(rows(snapshot(open="1"), snapshot(1, open="2")))
    path = archived()
    before = path.read_bytes()
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {PRICES} WHERE open_price = {'2' if connection.vendor != 'sqlite' else '200000000'}"
        )

    with pytest.raises(files.ArchiveError, match="has 2 rows, the database 1"):
        exports.make(DAY)

    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["_prices.json", "prices.parquet"]


def test_what_no_file_has_is_archived_before_it_is_dropped(settings):
    settings.RETENTION_PRICES_DAYS = 30
    process(rows(snapshot(open="1"), snapshot(1, open="2"), snapshot(symbol="000660", open="3")))
    for path in archived().parent.iterdir():  # an older version did so without them
        path.unlink()

    retention.apply(seoul("2026-06-05 12:00"), progress=lambda _: None)

    assert storage().count(PRICES) == 0
    assert verified() == 3


def test_a_voided_snapshot_goes_from_the_file_as_well():
    sender = Sender("desk")
    wrong = sender.send({"kind": "snapshot", "size": None, "open": "9"})
    sender.send({"kind": "snapshot", "size": None, "open": "1"})
    archived()

    voids.void(voids.Selection(batches=(wrong,)), reason="wrong", by="boss")
    exports.make(DAY)

    assert verified() == 1


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_changed_file_is_found_by_whoever_verifies_the_day(harm):
    process(rows(snapshot(**FULL)))
    path = archived()
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        middle = len(content) // 2
        path.write_bytes(
            content[:middle] + (b"" if harm == "cut" else bytes([content[middle] ^ 1]) + content[middle + 1 :])
        )

    with pytest.raises(files.Tampered):
        tables.PRICES.verify(DAY)
    with pytest.raises(CommandError, match=r"prices\.parquet"):
        call_command("archive", "2026-03-16", "--verify", stdout=StringIO())


def test_prices_stay_until_their_days_are_archived(settings):
    settings.RETENTION_PRICES_DAYS, settings.RETENTION_TICKS_DAYS = 30, 365
    process(rows(snapshot(open="1")))
    rollover.run_one(DAY, clock=Clock(DONE))
    later = seoul("2026-06-05 12:00")

    retention.apply(later, progress=lambda _: None)
    assert storage().count(PRICES) == 1

    exports.make(DAY)
    retention.apply(later, progress=lambda _: None)
    assert storage().count(PRICES) == 0
    assert verified() == 1


def test_what_comes_after_the_day_was_dropped_is_a_part_of_its_own(settings):
    settings.RETENTION_PRICES_DAYS = settings.RETENTION_TICKS_DAYS = 30
    process(rows(snapshot(open="1"), snapshot(1, open="2")))
    archived()
    retention.apply(seoul("2026-06-05 12:00"), progress=lambda _: None)
    assert dropped.ticks_gone(DAY) == 1

    process(rows(snapshot(2, open="3"), seq=2))
    rollover.run_one(DAY, clock=Clock("2026-06-06 08:05"))
    exports.make(DAY)

    assert [verified(part) for part in (1, 2)] == [2, 1]
