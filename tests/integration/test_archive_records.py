"""Order books and events of a finished day as Parquet files, made with its ticks: as in the database, kept until they
are archived, and never replaced by less."""

import datetime
import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from marketdata.archive import day_files, exports, files, tables, verification
from marketdata.archive.tables import BOOKS, EVENTS
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention, rollover
from marketdata.models import Alarm
from marketdata.storage import storage
from terminals import wire
from tests.integration.processing import process, rows, trade
from tests.market import NINE_US, price, size
from tests.upkeep import Clock, seoul

pytestmark = pytest.mark.usefixtures("worker")
pyarrow = pytest.importorskip("pyarrow.parquet")

DAY = datetime.date(2026, 3, 16)
DONE = "2026-04-02 08:05"


@pytest.fixture(autouse=True)
def _folder(worker, settings, tmp_path):
    settings.ARCHIVE_DIR, settings.ARCHIVE = str(tmp_path / "archive"), True
    settings.RETENTION_BOOKS_DAYS = settings.RETENTION_EVENTS_DAYS = 36_500
    trading_dates.forget()


def sent() -> None:
    """Ticks, five order books of two symbols and three events, two of them at the same time."""
    books, events = wire.Books(), wire.Events()
    for at, symbol in enumerate(("005930", "000660", "005930", "005930", "000660")):
        level = ((price("70000.5"), size("1.25") + at),)
        books.append(symbol=symbol, time_us=NINE_US + at // 2, bids=level, bid_total=size("7") if at else None)
    for at, body in enumerate(({"값": 1}, {}, {"a": [1.5, "x\ny"]})):
        events.append(event="vi", time_us=NINE_US + at // 2, symbol="005930" if at else None, body=body)
    process(rows(trade()), books.encode(2, "krx", 1), events.encode(3, "krx", 1))


def archived(done: str = DONE) -> None:
    rollover.run_one(DAY, clock=Clock(done))
    exports.make(DAY)


def counted() -> tuple[int, int]:
    """How many rows the two files have, each of them checked."""
    found = [table.verify(DAY) for table in (BOOKS, EVENTS)]
    return (found[0].rows if found[0] else 0, found[1].rows if found[1] else 0)


@pytest.mark.parametrize("group", [2, 100])
def test_an_archived_day_has_its_books_and_events_as_they_are_stored(monkeypatch, group):
    monkeypatch.setattr(day_files, "GROUP_ROWS", group)
    monkeypatch.setattr(tables, "PAGE_ROWS", group)
    sent()

    archived()

    assert counted() == (5, 3)
    found = pyarrow.read_table(BOOKS.path_of(DAY)).to_pylist()
    assert [row["symbol"] for row in found] == ["000660"] * 2 + ["005930"] * 3
    stored = [one for code in ("000660", "005930") for one in storage().read_books(code, "krx", 0, 2**62, limit=9)]
    assert [row["tick_id"] for row in found] == [one.tick_id for one in stored]
    assert [json.loads(row["bid_volumes"], parse_float=Decimal) for row in found] == [
        [Decimal(volume) for _, volume in one.bids] for one in stored
    ]
    assert [row["bid_total"] for row in found].count(None) == 1
    assert {row["bid_total"] for row in found} == {None, Decimal(7)}
    assert found[0]["event_time"] == datetime.datetime.fromtimestamp(NINE_US / 1e6, datetime.UTC)
    assert (found[0]["source"], found[0]["trade_date"]) == ("REPLAY", DAY)
    found = pyarrow.read_table(EVENTS.path_of(DAY)).to_pylist()
    assert [(row["symbol"], json.loads(row["body"])) for row in found] == [
        (one.symbol, one.body) for one in storage().read_events(0, 2**62, limit=9)
    ]


def test_books_and_events_stay_until_their_day_is_archived_and_the_files_outlive_them(settings):
    settings.RETENTION_BOOKS_DAYS = settings.RETENTION_EVENTS_DAYS = 30
    sent()
    rollover.run_one(DAY, clock=Clock(DONE))
    later = seoul("2026-06-05 12:00")

    retention.apply(later, progress=lambda _: None)
    assert [storage().count(table.table) for table in (BOOKS, EVENTS)] == [5, 3]
    exports.make(DAY)
    retention.apply(later, progress=lambda _: None)
    assert [storage().count(table.table) for table in (BOOKS, EVENTS)] == [0, 0]

    books = wire.Books()
    books.append(symbol="005930", time_us=NINE_US, bids=((price("1"), size("1")),))
    process(rows(trade(), seq=4), books.encode(5, "krx", 1))  # a late one, of what is gone
    archived("2026-06-06 08:05")

    assert counted() == (5, 3)


def late(count: int, *, seq: int = 5, symbol: str = "005930") -> None:
    """Order books that come without a tick."""
    books = wire.Books()
    for at in range(count):
        books.append(symbol=symbol, time_us=NINE_US + at, bids=((price("1"), size("1")),))
    process(books.encode(seq, "krx", 1))


def in_files(table=BOOKS) -> list[int]:
    """How many rows each part of the day has, each of them checked."""
    return [table.verify(DAY, part=part).rows for part in table.parts_of(DAY)]


def test_as_many_late_books_of_a_day_that_was_dropped_replace_no_file(settings):
    settings.RETENTION_BOOKS_DAYS = 30
    sent()
    archived()
    storage().drop_days(BOOKS.table, [DAY])

    late(6)
    exports.make(DAY)
    exports.make(DAY)

    assert in_files() == [5, 6]
    assert verification.verify(DAY).rows == 1
    BOOKS.path_of(DAY, part=2).write_bytes(b"")
    with pytest.raises(files.Tampered):
        verification.verify(DAY)


@pytest.mark.parametrize("table", [BOOKS, EVENTS])
def test_as_many_rows_with_other_content_replace_no_file(table):
    sent()
    archived()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table.table} SET feed = 'nxt' WHERE symbol = '005930'")

    with pytest.raises(files.ArchiveError, match="not in the database as they are there"):
        exports.make(DAY)

    assert in_files(table) == [5 if table is BOOKS else 3]


def test_a_day_gets_a_file_with_all_of_it_when_books_come_after_it_was_archived():
    sent()
    archived()

    late(2)
    exports.make(DAY)

    assert in_files() == [7]


@pytest.mark.parametrize("case", ["late", "archived by an older version", "without a tick"])
def test_what_no_file_has_is_archived_before_it_is_dropped(settings, case):
    settings.RETENTION_BOOKS_DAYS = settings.RETENTION_EVENTS_DAYS = 30
    if case == "without a tick":
        late(5)
    else:
        sent()
        archived()
    if case == "late":
        late(2)
    elif case == "archived by an older version":
        for table in (BOOKS, EVENTS):
            for path in table.folder_of(DAY).iterdir():
                path.unlink()

    retention.apply(seoul("2026-06-05 12:00"), progress=lambda _: None)

    assert storage().count(BOOKS.table) == storage().count(EVENTS.table) == 0
    assert in_files() == [7 if case == "late" else 5]
    assert in_files(EVENTS) == ([] if case == "without a tick" else [3])
    BOOKS.path_of(DAY).write_bytes(b"")
    with pytest.raises(CommandError, match=r"books\.parquet"):
        call_command("archive", "--all", "--verify", stdout=StringIO())


def test_what_comes_between_the_comparison_and_the_drop_stays_until_a_file_has_it(settings, monkeypatch):
    settings.RETENTION_BOOKS_DAYS = 30
    late(5)
    make, later = exports.make_beside, seoul("2026-06-05 12:00")

    def overtaken(*about, **how):
        make(*about, **how)
        late(2, seq=6, symbol="000660")

    with monkeypatch.context() as busy:
        busy.setattr(exports, "make_beside", overtaken)
        retention.apply(later, progress=lambda _: None)
    assert storage().count(BOOKS.table) == 7
    retention.apply(later, progress=lambda _: None)

    assert storage().count(BOOKS.table) == 0
    assert in_files() == [7]


@pytest.mark.parametrize("lost", ["_books.json", "_books-2.json"])
def test_a_file_that_lost_its_manifest_is_found_out_and_not_replaced_by_less(settings, lost):
    settings.RETENTION_BOOKS_DAYS = 30
    sent()
    archived()
    storage().drop_days(BOOKS.table, [DAY])
    late(6)
    exports.make(DAY)
    storage().drop_days(BOOKS.table, [DAY])
    (BOOKS.folder_of(DAY) / lost).unlink()
    late(1, seq=6, symbol="000660")

    with pytest.raises(files.Tampered, match="manifest"):
        verification.verify(DAY)
    exports.make(DAY)

    found = [pyarrow.read_table(BOOKS.path_of(DAY, part=part)).num_rows for part in BOOKS.parts_of(DAY)]
    assert found == [5, 6, 1]


def test_what_cannot_be_archived_is_not_dropped(settings, tmp_path):
    settings.RETENTION_BOOKS_DAYS = 30
    late(5)
    (tmp_path / "a file").touch()
    settings.ARCHIVE_DIR = str(tmp_path / "a file")

    retention.apply(seoul("2026-06-05 12:00"), progress=lambda _: None)

    assert storage().count(BOOKS.table) == 5
    assert "2026-03-16" in Alarm.objects.get(code="not_archived").message


def test_groups_of_rows_are_bounded_in_bytes_and_texts_have_no_dictionary(monkeypatch):
    monkeypatch.setattr(tables, "PAGE_ROWS", 1)
    monkeypatch.setattr(day_files, "GROUP_BYTES", 1)
    sent()
    archived()

    found = pyarrow.ParquetFile(EVENTS.path_of(DAY)).metadata

    assert found.num_row_groups == 3
    columns = {(one := found.row_group(0).column(at)).path_in_schema: one.encodings for at in range(found.num_columns)}
    assert {name for name, encodings in columns.items() if "RLE_DICTIONARY" in encodings} == {
        "feed", "kind", "symbol", "source",
    }  # fmt: skip


def test_the_symbols_of_a_day_are_those_that_have_books_of_it():
    sent()

    assert storage().day_book_symbols(DAY) == ["000660", "005930"]
    assert storage().day_book_symbols(DAY + datetime.timedelta(days=1)) == []


def test_a_file_that_has_more_than_the_database_is_kept(settings):
    sent()
    archived()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM order_books WHERE symbol = '000660'")

    with pytest.raises(files.ArchiveError, match="has 5 rows, the database 3, and 2 of the file are not"):
        exports.make(DAY)

    assert counted() == (5, 3)
