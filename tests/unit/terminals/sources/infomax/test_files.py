"""Workbooks that Excel, LibreOffice or a program saved are read whole or not at all."""

import datetime
import os
from pathlib import Path

import openpyxl
import pytest

from terminals.sources.infomax.column_map import parse
from terminals.sources.infomax.files import FileReader
from terminals.sources.infomax.reading import NotReadable
from terminals.sources.infomax.sheet import Sheet
from terminals.wire import Kind

SAMPLES = Path(__file__).parents[4] / "samples/infomax"
ROWS = [["코드", "현재가", "체결시간"], ["005930", 70000, datetime.time(9, 0, 5)], [5930.5, "70,000", None]]


def save(path, rows=ROWS, *, sheet="시세", at=(1, 1)):
    """A workbook as a program writes it, put in its place in one step."""
    book = openpyxl.Workbook()
    page = book.active
    page.title = sheet
    for number, row in enumerate(rows):
        for index, cell in enumerate(row):
            page.cell(at[0] + number, at[1] + index, cell)
    new = path.with_name("new.xlsx")
    book.save(new)
    new.replace(path)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "quotes.xlsx"
    save(path)
    return path


def reason(call):
    with pytest.raises(NotReadable) as caught:
        call()
    return caught.value.reason


def test_a_sheet_is_its_cells(path):
    reader = FileReader(path, "시세", None)

    assert reader.read_block() == [
        ["코드", "현재가", "체결시간"],
        ["005930", 70000, datetime.time(9, 0, 5)],
        [5930.5, "70,000", ""],
    ]


def test_a_range_counts_from_the_corner_of_the_sheet_even_if_nothing_is_there(path):
    save(path, at=(3, 2))

    assert FileReader(path, "시세", "B4:C5").read_block() == [["005930", 70000], [5930.5, "70,000"]]
    assert FileReader(path, "시세", "A1:C3").read_block() == [["", "", ""], ["", "", ""], ["", "코드", "현재가"]]
    assert FileReader(path, "시세", "X50:Z60").read_block() == []


def test_a_cell_beyond_the_sheet_is_none(path):
    reader = FileReader(path, "시세", None)
    reader.read_block()

    assert [reader.read_cell(address) for address in ("B2", "Z1", "A900")] == [70000, None, None]


def test_a_file_that_was_replaced_is_read_anew_and_one_that_was_not_is_not(path):
    reader = FileReader(path, "시세", None)
    first = reader.read_block()

    assert reader.read_block() is first
    save(path, [["코드"], ["000660"]])
    assert reader.read_block() == [["코드"], ["000660"]]


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(path):
    with pytest.raises(NotReadable, match="no sheet 'Sheet1'; it has '시세'") as caught:
        FileReader(path, "Sheet1", None).read_block()

    assert caught.value.reason == "no_sheet"


def test_a_file_that_is_away_for_a_moment_is_worth_another_try(tmp_path, path):
    reader = FileReader(path, "시세", None)
    reader.read_block()
    path.unlink()

    assert reason(reader.read_block) == "no_file"
    save(path, [["back"]])
    assert reader.read_block() == [["back"]]
    path.unlink()
    path.mkdir()
    assert reason(reader.read_block) == "locked"


class Hurried(type(Path())):  # type: ignore[misc]  # the class that this system's paths have
    """A file that somebody replaces while it is read."""

    def read_bytes(self):
        content = super().read_bytes()
        save(Path(self), [["new"]])
        return content


def test_a_file_that_changes_while_it_is_read_is_read_again(path):
    assert reason(FileReader(Hurried(path), "시세", None).read_block) == "being_written"
    assert FileReader(path, "시세", None).read_block() == [["new"]]


def test_a_file_cut_anywhere_is_never_read_by_half(path):
    whole = path.read_bytes()
    good = FileReader(path, "시세", None).read_block()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        os.utime(path, ns=(length, length))
        assert reason(FileReader(path, "시세", None).read_block) == "half_written", length
    path.write_bytes(whole)
    assert FileReader(path, "시세", None).read_block() == good


def test_a_new_file_written_over_the_old_one_is_never_read_mixed(path):
    old = path.read_bytes()
    save(path, [*ROWS, ["000660", 130000, None]])
    new = path.read_bytes()
    shown = {}
    for name, content in (("old", old), ("new", new)):
        path.write_bytes(content)
        shown[name] = FileReader(path, "시세", None).read_block()
    for length in range(1, min(len(old), len(new)), 61):
        path.write_bytes(new[:length] + old[length:])
        try:
            block = FileReader(path, "시세", None).read_block()
        except NotReadable:
            continue
        assert block in shown.values(), length


def test_a_text_that_calls_itself_a_workbook_is_none(path):
    path.write_text("코드,현재가\n005930,70000\n")

    assert reason(FileReader(path, "시세", None).read_block) == "half_written"


def test_a_file_that_is_much_too_large_is_left_alone(path):
    with path.open("r+b") as file:
        file.truncate(65 * 1024 * 1024)

    assert reason(FileReader(path, "시세", None).read_block) == "too_large"


MAP = {
    "sheet": {"name": "실시간", "range": "A1:J600", "market": "KRX"},
    "code": "종목코드",
    "columns": {
        "price": "현재가",
        "open": "시가",
        "change_rate": {"headers": "등락률", "kind": "fraction", "places": 2},
        "cum_volume": "누적거래량",
        "cum_value": {"headers": "거래대금(백만)", "unit": 1_000_000},
        "time": "체결시간",
        "date": "일자",
    },
}
TEN = int(datetime.datetime.fromisoformat("2026-11-27T10:00:00+09:00").timestamp() * 1_000_000)
FIVE_PAST_NINE = TEN - 3_595_000_000
DAY = 20784


@pytest.mark.parametrize("name", ["libreoffice.xlsx", "libreoffice.xlsm"])
def test_a_workbook_that_libreoffice_saved_is_read_to_the_digit(name):
    reader = FileReader(SAMPLES / name, "실시간", "A1:J600")
    sheet = Sheet(parse(MAP))

    change = sheet.take(reader.read_block(), now_us=TEN)

    snapshot = {"kind": Kind.SNAPSHOT, "time_us": FIVE_PAST_NINE, "trade_date": DAY}
    first = {"price": 70000_00000000, "open": 69500_00000000, "change_rate": 72000000}
    second = {"price": 130500_00000000, "change_rate": 1_25000000, "cum_volume": 2345_000000}
    third = {"price": 12345_00000000, "open": 12000_00000000, "change_rate": -30_00000000}
    assert change.rows == [
        {**snapshot, "symbol": "005930", "seq": 1, **first, "cum_volume": 1234567_000000, "cum_value": 86419690000_00},
        {**snapshot, "symbol": "000660", "seq": 2, **second, "cum_value": 1234500000_00},
        {**snapshot, "symbol": "0126Z0", "seq": 3, **third, "cum_volume": 0, "cum_value": 0},
        {
            "symbol": "Q500001",
            "kind": Kind.SNAPSHOT,
            "time_us": TEN,
            "seq": 4,
            "price": 30000000,
            "change_rate": -57000000,
        },
    ]
    assert change.unreadable == {"035720": "blank"}
    assert sheet.duplicates == 1
    assert sheet.problems == {
        ("change_rate", "blank"): 1,
        ("cum_value", "blank"): 2,
        ("cum_volume", "blank"): 1,
        ("cum_volume", "negative"): 1,
        ("date", "blank"): 1,
        ("date", "date"): 1,
        ("open", "blank"): 1,
        ("open", "waiting"): 1,
        ("open", "zero"): 1,
        ("price", "blank"): 1,
        ("time", "blank"): 1,
        ("time", "waiting"): 1,
    }
    assert reader.read_cell("T1") == 4
