"""The sheet that is open in a running, logged-in Excel: attached to by COM through xlwings, never started, since an
Excel that a program starts has no add-ins and shows #NAME?. Everything here happens in one thread.

Facts of xlwings 0.37: it repeats a refused call for ever, without a pause, unless N_COM_ATTEMPTS says otherwise; and at
the end of the program it kills every Excel that has no window. Neither may happen on a dealing-room PC.
"""

import atexit
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from terminals.sources.contract import WrongInput
from terminals.sources.infomax.cells import Cell
from terminals.sources.infomax.column_map import Block
from terminals.sources.infomax.reading import NotReadable
from terminals.wire.language import gettext as _

log = logging.getLogger("naru")

BUSY: Final = {
    0x80010001: "RPC_E_CALL_REJECTED",
    0x8001010A: "RPC_E_SERVERCALL_RETRYLATER",
    0x800AC472: "VBA_E_IGNORE",
}
"""A cell is being edited, a dialog is open or Excel calculates: another try may succeed."""
_DONE: Final = 0  # xlDone of CalculationState
_TRIES: Final = 3  # while Excel calculates; then the block is read as it is
_RESTORE_TRIES, _RESTORE_PAUSE_S = 10, 0.2
_GET: Final = "python -m pip install -r requirements/terminals-excel.txt"


@dataclass(frozen=True)
class Office:
    """The few things of xlwings that are used: the running Excels, and what its calls raise."""

    apps: Any
    com_error: type[Exception]
    busy_error: type[Exception]
    other_errors: tuple[type[Exception], ...]
    initialize: Callable[[], None]
    uninitialize: Callable[[], None]


def load_office(platform: str = sys.platform) -> Office:
    """xlwings, made harmless. WrongInput says how to get it."""
    if platform != "win32":
        raise WrongInput(_("a running Excel is read on Windows only; elsewhere give --file, a workbook that is saved"))
    try:
        import xlwings
        from xlwings import _xlwindows as windows
    except ImportError as error:
        told = _("reading a running Excel needs xlwings and pywin32 ({error}): {how}").format(error=error, how=_GET)
        raise WrongInput(told) from None
    windows.N_COM_ATTEMPTS = 1
    atexit.unregister(windows.cleanup)
    return Office(
        apps=xlwings.apps,
        com_error=windows.pywintypes.com_error,
        busy_error=windows.ExcelBusyError,
        other_errors=(windows.pywintypes.error, OSError),
        initialize=windows.pythoncom.CoInitialize,
        uninitialize=windows.pythoncom.CoUninitialize,
    )


class ExcelReader:
    """`throttle_ms`: how often Excel fetches real-time data while this runs, if it does so less often now; what it was
    is kept in `remembered` until it is restored, because Excel keeps the setting for its user."""

    def __init__(
        self,
        office: Office,
        workbook: str,
        sheet: str,
        address: str | None,
        *,
        throttle_ms: int,
        remembered: Path,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._office, self._workbook, self._name, self._address = office, workbook, sheet, address
        self._throttle_ms, self._remembered, self._pause = throttle_ms, remembered, pause
        self._app: Any = None
        self._sheet: Any = None
        self._initialized = False
        self.while_calculating = 0

    def read_block(self) -> Block:
        """The cells of the range in one call, as Value2 has them. NotReadable."""
        block: Block = self._guarded(self._read_block)
        return block

    def read_cell(self, address: str) -> Cell:
        """One cell of the sheet. NotReadable."""
        return self._guarded(lambda: self._sheet.range(address).api.Value2)

    def close(self) -> None:
        """Restore how often Excel fetches data, and let go of it."""
        if self.while_calculating:
            log.info("excel_read_while_calculating blocks=%d", self.while_calculating)
        try:
            self._restore_throttle()
        finally:
            self._app = self._sheet = None
            if self._initialized:
                self._office.uninitialize()

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._office.busy_error as error:
            raise NotReadable("busy", str(error), soon=True) from None
        except AttributeError as error:
            # pywin32 has no name for a method of an Excel that is busy (xlwings issue 1837 and its kind).
            told = _("Excel answers only in part: {error}").format(error=error)
            raise NotReadable("busy", told, soon=True) from None
        except self._office.com_error as error:
            name = busy_name(error)
            if name is not None:
                raise NotReadable("busy", _("Excel is busy: {code}").format(code=name), soon=True) from None
            self._app = self._sheet = None
            raise NotReadable("closed", _("Excel or its workbook is gone: {error}").format(error=error)) from None
        except self._office.other_errors as error:
            self._app = self._sheet = None
            raise NotReadable("closed", _("Excel is gone: {error}").format(error=error)) from None

    def _read_block(self) -> Block:
        if self._sheet is None:
            self._attach()
        self._check_calculation()
        area = self._sheet.range(self._address) if self._address else self._sheet.used_range
        values = area.api.Value2
        return values if isinstance(values, Sequence) and not isinstance(values, str) else [[values]]

    def _attach(self) -> None:
        if not self._initialized:
            self._office.initialize()
            self._initialized = True
        there = []
        for app in self._office.apps:
            for book in app.books:
                there.append(book.name)
                if book.name.casefold() == self._workbook.casefold():
                    names = [sheet.name for sheet in book.sheets]
                    if self._name not in names:
                        listed = ", ".join(map(repr, names))
                        told = _("{file} has no sheet {sheet!r}; it has {there}")
                        raise NotReadable("no_sheet", told.format(file=book.name, sheet=self._name, there=listed))
                    self._set_throttle(app)
                    self._app, self._sheet = app, book.sheets[self._name]
                    log.info("excel_attached workbook=%s sheet=%s", book.name, self._name)
                    return
        listed = ", ".join(map(repr, there)) or _("no workbook at all")
        told = _("{workbook!r} is not open in a running Excel; open is {there}")
        raise NotReadable("closed", told.format(workbook=self._workbook, there=listed))

    def _check_calculation(self) -> None:
        if self._app.calculation == "manual":
            message = _("Excel calculates by hand, so nothing moves: Formulas > Calculation Options > Automatic")
            raise NotReadable("manual_calculation", message)
        if all(self._app.api.CalculationState != _DONE for _ in range(_TRIES)):
            self.while_calculating += 1

    def _set_throttle(self, app: Any) -> None:
        rtd = app.api.RTD
        now_ms = int(rtd.ThrottleInterval)
        if not self._remembered.exists():
            if 0 <= now_ms <= self._throttle_ms:
                return
            try:
                self._remembered.write_text(json.dumps({"throttle_ms": now_ms}), encoding="utf-8")
            except OSError as error:  # what could not be restored is not changed
                log.warning("rtd_throttle_left ms=%d reason=%r", now_ms, str(error))
                return
        rtd.ThrottleInterval = self._throttle_ms
        log.info("rtd_throttle_set from_ms=%d to_ms=%d", now_ms, self._throttle_ms)

    def _restore_throttle(self) -> None:
        """As it was before this program first changed it: a run that was killed left the value behind."""
        if not self._remembered.exists():
            return
        try:
            before_ms = int(json.loads(self._remembered.read_text(encoding="utf-8"))["throttle_ms"])
        except (ValueError, KeyError, TypeError):
            before_ms = 2000  # Excel's default
        reason = ""
        for _try in range(_RESTORE_TRIES):
            try:
                if self._guarded(lambda: self._put_back(before_ms)):
                    self._remembered.unlink()
                    log.info("rtd_throttle_restored to_ms=%d", before_ms)
                    return
                reason = "no Excel is running"
            except NotReadable as error:
                reason = str(error)
            self._pause(_RESTORE_PAUSE_S)
        log.warning("rtd_throttle_not_restored to_ms=%d reason=%r; the next run does it", before_ms, reason)

    def _put_back(self, throttle_ms: int) -> bool:
        app = self._app if self._app is not None else next(iter(self._office.apps), None)
        if app is not None:
            app.api.RTD.ThrottleInterval = throttle_ms
        return app is not None


def busy_name(error: Exception) -> str | None:
    """The name of the code by which Excel said that it is busy, if it did: as the result itself or within an exception
    of its own (DISP_E_EXCEPTION)."""
    info = getattr(error, "excepinfo", None)
    codes = [getattr(error, "hresult", None), info[5] if isinstance(info, tuple) and len(info) > 5 else None]
    names = (BUSY.get(code & 0xFFFFFFFF) for code in codes if isinstance(code, int))
    return next((name for name in names if name is not None), None)
