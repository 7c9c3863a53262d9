"""`python -m terminals check infomax` says whether the sheet can be read, and what of it says nothing."""

import pytest

from terminals.finding import Level
from terminals.sources.infomax.column_map import parse
from terminals.sources.infomax.excel import ExcelReader
from terminals.sources.infomax.reading import NotReadable
from terminals.sources.infomax.source import Infomax, Options
from tests.simulators.infomax import excel as simulated
from tests.simulators.infomax.excel import ComError, FakeExcel
from tests.simulators.infomax.player import SheetPlayer

MAP = {
    "sheet": {"name": "s", "market": "KRX"},
    "code": "code",
    "columns": {"price": "last", "cum_volume": "volume"},
}
HEAD = ["code", "last", "volume"]
NA, NAME = -2146826246, -2146826259


def check(reader):
    source = Infomax(parse(MAP), lambda _spool: reader, place="workbook=a.xlsm", options=Options())
    return [(found.level, found.told, found.remedy) for found in source.check()]


def test_a_sheet_as_it_should_be_is_one_line():
    reader = SheetPlayer([[HEAD, ["005930", 1.0, 1.0], ["000660", 2.0, 1.0]]])

    assert check(reader) == [(Level.GOOD, "the sheet s of workbook=a.xlsm: 2 codes have a price", "")]
    assert reader.closed


def test_codes_columns_and_repeated_codes_that_say_nothing_are_named():
    rows: list[list[object]] = [["005930", 1.0, "-"], ["000660", NA, 1.0], ["5930", 1.0, 1.0], [None, 1.0, 1.0]]

    found = check(SheetPlayer([[HEAD, *rows]]))

    assert [level for level, _, _ in found] == [
        Level.GOOD,
        Level.DOUBTFUL,
        Level.DOUBTFUL,
        Level.DOUBTFUL,
        Level.DOUBTFUL,
    ]
    assert [told for _, told, _ in found[1:]] == [
        "1 codes have no price: 000660 (error_na)",
        "column code: 1 cells say nothing (blank)",
        "column cum_volume: 1 cells say nothing (waiting)",
        "1 codes stand twice; the first counts",
    ]


@pytest.mark.parametrize(("cell", "remedy"), [(NAME, "the add-in of Infomax"), (NA, "log in to Infomax")])
def test_a_sheet_without_any_price_says_what_to_do(cell, remedy):
    (found,) = check(SheetPlayer([[HEAD, ["005930", cell, cell]]]))[:1]

    assert found[0] is Level.WRONG
    assert found[2].startswith(remedy)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ([[["code", "close"]]], "price ('last')"),
        ([NotReadable("closed", "'a.xlsm' is not open")], "'a.xlsm' is not open"),
        ([NotReadable("busy", "Excel is busy", soon=True)], "Excel is busy"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_wrong(script, told):
    (found,) = check(SheetPlayer(script))

    assert found[0] is Level.WRONG
    assert told in found[1]


def test_a_running_excel_is_left_as_it_was_found(tmp_path):
    excel = FakeExcel()
    excel.open("a.xlsm", {"s": [HEAD, ["005930", 1.0, 1.0]]})
    excel.faults = [ComError(simulated.CALL_REJECTED)]
    source = Infomax(
        parse(MAP),
        lambda kept: ExcelReader(
            excel.office, "a.xlsm", "s", None, throttle_ms=200, remembered=kept / "throttle.json", pause=lambda _: None
        ),
        place="workbook=a.xlsm",
        options=Options(),
    )

    assert [found.level for found in source.check()] == [Level.GOOD]
    assert excel.throttles == [200, 2000]
