"""Order books and events of a finished day as Parquet files, made with its ticks: as in the database, kept until they
are archived, and never replaced by less."""

import datetime
import json
from decimal import Decimal

import pytest
from django.db import connection

from marketdata.archive import day_files, exports, files
from marketdata.archive.tables import BOOKS, EVENTS
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention, rollover
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


def test_a_file_that_has_more_than_the_database_is_kept(settings):
    sent()
    archived()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM order_books WHERE symbol = '000660'")

    with pytest.raises(files.ArchiveError, match="has 5 rows, the database 3"):
        exports.make(DAY)

    assert counted() == (5, 3)
