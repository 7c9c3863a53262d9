"""Excel is attached to, read in one call, and left as it was found, whatever it does in between."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from terminals.sources.contract import WrongInput
from terminals.sources.infomax.excel import ExcelReader, load_office
from terminals.sources.infomax.reading import NotReadable, ReadingThread
from tests.simulators.infomax import excel as simulated
from tests.simulators.infomax.excel import ComError, ExcelBusyError, FakeExcel, Win32Error, of_excel

BLOCK: list[list[object]] = [["코드", "현재가", "T"], ["005930", 70000, 0.5], ["000660", simulated.NOT_AVAILABLE, None]]
VALUES = (("코드", "현재가", "T"), ("005930", 70000.0, 0.5), ("000660", simulated.NOT_AVAILABLE, None))


@pytest.fixture
def excel():
    excel = FakeExcel()
    excel.open("시세.xlsm", {"실시간": BLOCK})
    return excel


@pytest.fixture
def remembered(tmp_path):
    return tmp_path / "throttle.json"


def reader_of(excel, remembered, **given):
    options = {"workbook": "시세.xlsm", "sheet": "실시간", "address": "A1:C3", "throttle_ms": 200, **given}
    return ExcelReader(excel.office, **options, remembered=remembered, pause=lambda _seconds: None)


@pytest.fixture
def reader(excel, remembered):
    return reader_of(excel, remembered)


def failure(reader):
    with pytest.raises(NotReadable) as caught:
        reader.read_block()
    return caught.value


def test_a_block_is_what_value2_says_and_an_error_stays_a_negative_integer(reader):
    assert reader.read_block() == VALUES
    assert reader.read_cell("Z1") == "T"


def test_a_sheet_of_one_cell_is_a_block_too(excel, reader):
    excel.books[0].contents["실시간"] = [["코드"]]

    assert reader.read_block() == [["코드"]]


def test_without_a_range_everything_that_is_used_is_read(excel, remembered):
    assert reader_of(excel, remembered, address=None).read_block() == VALUES


def test_the_name_of_a_workbook_is_the_same_in_large_letters(excel, remembered):
    excel.open("Quotes.XLSX", {"a": [[1]]})

    assert reader_of(excel, remembered, workbook="quotes.xlsx", sheet="a").read_block() == [[1.0]]


@pytest.mark.parametrize(
    "error",
    [
        ComError(simulated.CALL_REJECTED),
        ComError(simulated.RETRY_LATER),
        ComError(simulated.IGNORE),
        of_excel(simulated.IGNORE),
        ExcelBusyError("Excel application is not responding"),
        AttributeError("<unknown>.RTD"),
    ],
    ids=["rejected", "retry later", "ignore", "ignore within", "xlwings busy", "no attribute"],
)
def test_an_excel_that_is_busy_is_asked_again_soon_and_stays_attached(excel, reader, error):
    reader.read_block()
    excel.faults = [error]

    assert (failure(reader).reason, failure_is_soon(reader, excel, error)) == ("busy", True)
    throttles = list(excel.throttles)
    assert reader.read_block() == VALUES
    assert excel.throttles == throttles


def failure_is_soon(reader, excel, error):
    excel.faults = [error]
    return failure(reader).soon


@pytest.mark.parametrize(
    "error", [ComError(simulated.DISCONNECTED), of_excel(0x800A03EC), Win32Error("gone"), OSError("gone")]
)
def test_after_any_other_error_excel_is_looked_for_anew(excel, reader, error):
    reader.read_block()
    excel.faults = [error]

    assert failure(reader).reason == "closed"
    assert reader.read_block() == VALUES


def test_a_workbook_that_was_closed_is_told_with_those_that_are_open_and_found_when_it_is_back(excel, reader):
    reader.read_block()
    book = excel.books[0]
    excel.close(book)
    excel.open("other.xlsx", {"a": [[1]]})

    assert failure(reader).reason == "closed"
    assert "'시세.xlsm' is not open in a running Excel; open is 'other.xlsx'" in str(failure(reader))
    excel.open("시세.xlsm", {"실시간": [["again"]]})
    assert reader.read_block() == [["again"]]


def test_without_an_excel_there_is_no_workbook_at_all(excel, reader):
    excel.running = False

    assert "no workbook at all" in str(failure(reader))


def test_a_sheet_that_is_not_there_is_told_with_those_that_are(excel, remembered):
    error = failure(reader_of(excel, remembered, sheet="Sheet1"))

    assert (error.reason, "it has '실시간'" in str(error)) == ("no_sheet", True)


def test_an_excel_that_calculates_by_hand_is_no_source(excel, reader):
    excel.calculation = "manual"

    assert failure(reader).reason == "manual_calculation"
    excel.calculation = "automatic"
    assert reader.read_block() == VALUES


def test_a_sheet_in_the_middle_of_a_calculation_is_read_after_a_few_looks(excel, reader):
    excel.states = [1, 2]
    reader.read_block()
    assert reader.while_calculating == 0
    excel.states = [1, 1, 1]

    assert reader.read_block() == VALUES
    assert reader.while_calculating == 1


def test_how_often_excel_fetches_is_set_at_the_start_and_restored_at_the_end(excel, reader, remembered):
    reader.read_block()
    assert excel.throttle_ms == 200
    assert json.loads(remembered.read_text()) == {"throttle_ms": 2000}

    reader.close()

    assert (excel.throttles, excel.initialized, remembered.exists()) == ([200, 2000], 0, False)


@pytest.mark.parametrize("already", [0, 100, 200])
def test_an_excel_that_fetches_as_often_already_is_left_alone(excel, reader, remembered, already):
    excel.throttle_ms = already
    reader.read_block()
    reader.close()

    assert (excel.throttles, remembered.exists()) == ([], False)


def test_one_that_fetches_by_hand_only_is_set(excel, reader):
    excel.throttle_ms = -1
    reader.read_block()
    reader.close()

    assert excel.throttles == [200, -1]


def test_a_run_that_was_killed_is_made_good_by_the_next(excel, reader, remembered):
    reader.read_block()
    second = reader_of(excel, remembered, throttle_ms=100)
    second.read_block()

    second.close()

    assert excel.throttle_ms == 2000


def test_it_is_restored_while_a_cell_is_edited_for_a_while_and_after_the_workbook_was_closed(excel, reader):
    reader.read_block()
    excel.close(excel.books[0])
    assert failure(reader).reason == "closed"
    excel.faults = [ComError(simulated.CALL_REJECTED)] * 3

    reader.close()

    assert excel.throttle_ms == 2000


def test_without_an_excel_the_next_run_restores_it(excel, reader, remembered, caplog):
    reader.read_block()
    excel.running = False

    reader.close()

    assert "rtd_throttle_not_restored to_ms=2000" in caplog.text
    assert remembered.exists()


def test_a_note_that_cannot_be_read_means_excel_s_default(excel, reader, remembered):
    reader.read_block()
    remembered.write_text("{")

    reader.close()

    assert excel.throttle_ms == 2000


def test_nothing_is_asked_of_an_excel_that_was_never_read(excel, reader):
    reader.close()

    assert (excel.throttles, excel.initialized) == ([], 0)


def test_every_call_comes_from_the_thread_that_reads(excel, reader):
    reading = ReadingThread(reader, "Z1")

    assert reading.read(60.0).beat == "T"
    with ThreadPoolExecutor(1) as other:
        assert other.submit(reading.read, 60.0).result().block == VALUES
    assert reading.close()
    assert (excel.throttles, excel.initialized) == ([200, 2000], 0)


def test_elsewhere_than_on_windows_a_file_is_asked_for():
    with pytest.raises(WrongInput, match="--file"):
        load_office("linux")


def test_on_windows_without_xlwings_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xlwings", None)

    with pytest.raises(WrongInput, match=r"pip install -r requirements/terminals-excel\.txt"):
        load_office("win32")


def test_xlwings_neither_repeats_calls_for_ever_nor_ends_excels_of_others(monkeypatch):
    ended = []
    windows = SimpleNamespace(
        N_COM_ATTEMPTS=0,
        cleanup=lambda: ended.append("all without a window"),
        ExcelBusyError=ExcelBusyError,
        pywintypes=SimpleNamespace(com_error=ComError, error=Win32Error),
        pythoncom=SimpleNamespace(CoInitialize=lambda: None, CoUninitialize=lambda: None),
    )
    monkeypatch.setitem(sys.modules, "xlwings", SimpleNamespace(apps=["one"], _xlwindows=windows))
    unregistered: list[object] = []
    monkeypatch.setattr("atexit.unregister", unregistered.append)

    office = load_office("win32")

    assert (office.apps, office.com_error, windows.N_COM_ATTEMPTS) == (["one"], ComError, 1)
    assert unregistered == [windows.cleanup]
