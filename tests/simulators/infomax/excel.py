"""The few objects of xlwings and Excel that the reader uses, in memory: the same names, the same types of values, the
same exceptions with the same codes, and Excel's rule that its objects are for the thread which asked for them."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from terminals.sources.infomax.excel import Office

CALL_REJECTED, RETRY_LATER, IGNORE = 0x80010001, 0x8001010A, 0x800AC472
EXCEPTION, DISCONNECTED, BAD_INDEX = 0x80020009, 0x80010108, 0x8002000B
NOT_AVAILABLE = -2146826246


class ComError(Exception):
    """As pywintypes.com_error: four arguments, the first a signed HRESULT."""

    def __init__(self, hresult: int, excepinfo: tuple[Any, ...] | None = None) -> None:
        signed = hresult - 2**32 if hresult >= 2**31 else hresult
        super().__init__(signed, "a message in the language of Windows", excepinfo, None)
        self.hresult, self.strerror, self.excepinfo, self.argerror = self.args


class ExcelBusyError(Exception):
    """As xlwings._xlwindows.ExcelBusyError."""


class Win32Error(Exception):
    """As pywintypes.error."""


def of_excel(scode: int) -> ComError:
    """An error that Excel itself raised: DISP_E_EXCEPTION with its code within."""
    return ComError(EXCEPTION, (0, "Microsoft Excel", "…", "xlmain11.chm", 0, scode - 2**32))


class FakeExcel:
    """One running Excel. `faults` are raised by the next calls, one each; `quit` and `close` end what was attached."""

    def __init__(self) -> None:
        self.books: list[FakeBook] = []
        self.faults: list[Exception] = []
        self.throttle_ms = 2000
        self.throttles: list[int] = []
        self.calculation = "automatic"
        self.states: list[int] = []
        self.running = True
        self.initialized = 0
        self._thread: int | None = None
        self.api = _Application(self)

    @property
    def office(self) -> Office:
        return Office(_Apps(self), ComError, ExcelBusyError, (Win32Error, OSError), self._enter, self._leave)

    def open(self, name: str, sheets: dict[str, Sequence[Sequence[object]]]) -> "FakeBook":
        book = FakeBook(self, name, sheets)
        self.books.append(book)
        return book

    def close(self, book: "FakeBook") -> None:
        book.is_open = False
        self.books.remove(book)

    def called(self) -> None:
        """Every call into Excel comes by here."""
        assert threading.get_ident() == self._thread, "an object of Excel was used in another thread"
        if self.faults:
            raise self.faults.pop(0)
        if not self.running:
            raise ComError(DISCONNECTED)

    def _enter(self) -> None:
        self._thread = threading.get_ident()
        self.initialized += 1

    def _leave(self) -> None:
        self.initialized -= 1


class _Apps:
    def __init__(self, excel: FakeExcel) -> None:
        self._excel = excel

    def __iter__(self) -> Iterator[FakeExcel]:
        if self._excel.running:
            yield self._excel


class _Application:
    """Excel's own Application object."""

    def __init__(self, excel: FakeExcel) -> None:
        self._excel = excel
        self.RTD = _Rtd(excel)

    @property
    def CalculationState(self) -> int:  # noqa: N802  # Excel's name
        self._excel.called()
        return self._excel.states.pop(0) if self._excel.states else 0


class _Rtd:
    def __init__(self, excel: FakeExcel) -> None:
        self._excel = excel

    @property
    def ThrottleInterval(self) -> int:  # noqa: N802  # Excel's name
        self._excel.called()
        return self._excel.throttle_ms

    @ThrottleInterval.setter
    def ThrottleInterval(self, value: int) -> None:  # noqa: N802  # Excel's name
        self._excel.called()
        self._excel.throttle_ms = value
        self._excel.throttles.append(value)


class FakeBook:
    """A workbook; its sheets may be changed at any time, as a person or the market does."""

    def __init__(self, excel: FakeExcel, name: str, sheets: dict[str, Sequence[Sequence[object]]]) -> None:
        self.excel, self.name, self.contents, self.is_open = excel, name, dict(sheets), True

    @property
    def sheets(self) -> "_Sheets":
        return _Sheets(self)


class _Sheets:
    def __init__(self, book: FakeBook) -> None:
        self._book = book

    def __iter__(self) -> Iterator["_Sheet"]:
        return iter([_Sheet(self._book, name) for name in self._book.contents])

    def __getitem__(self, name: str) -> "_Sheet":
        if name not in self._book.contents:
            raise ComError(BAD_INDEX)
        return _Sheet(self._book, name)


class _Sheet:
    def __init__(self, book: FakeBook, name: str) -> None:
        self._book, self.name = book, name

    def range(self, address: str) -> "_Range":
        return _Range(self._book, self.name, address)

    @property
    def used_range(self) -> "_Range":
        return _Range(self._book, self.name, None)


class _Range:
    """A range; `api` is Excel's own object, whose Value2 has dates as numbers."""

    def __init__(self, book: FakeBook, sheet: str, address: str | None) -> None:
        self._book, self._sheet, self._address = book, sheet, address

    @property
    def api(self) -> "_Range":
        return self

    @property
    def Value2(self) -> object:  # noqa: N802  # Excel's name
        self._book.excel.called()
        if not self._book.is_open:
            raise ComError(DISCONNECTED)
        content = self._book.contents[self._sheet]
        rows = [tuple(map(value2, row)) for row in content]
        if self._address == "Z1":
            return rows[0][-1]
        return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else tuple(rows)


def value2(cell: object) -> object:
    """A cell as COM brings it: a number is a double, an error is an integer."""
    if isinstance(cell, int) and not isinstance(cell, bool) and not -2146826300 <= cell <= -2146826200:
        return float(cell)
    return cell
