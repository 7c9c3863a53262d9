"""A workbook that a person or a program saves: .xlsx, .xlsm. Read only when it is whole and stands still."""

import io
from pathlib import Path
from typing import Final

import python_calamine as calamine

from terminals.finding import in_words
from terminals.sources.infomax.cells import Cell
from terminals.sources.infomax.column_map import Block, area_of
from terminals.sources.infomax.reading import NotReadable
from terminals.wire.language import gettext as _

MOST_BYTES: Final = 64 * 1024 * 1024


class FileReader:
    """The sheet as it was last saved. A formula shows the value that was saved with it. Error cells come out blank."""

    def __init__(self, path: Path, sheet: str, address: str | None) -> None:
        self._path, self._sheet = path, sheet
        self._area = area_of(address) if address else None
        self._version: tuple[int, int, int] | None = None
        self._cells: list[list[Cell]] = []

    def read_block(self) -> Block:
        """The cells of the range, row by row. NotReadable: it is not there, is being written, or is no workbook."""
        version = self._stat()
        if version != self._version:
            self._cells = self._load(version)
            self._version = version
        area = self._area
        if area is None:
            return self._cells
        return [row[area.left : area.right + 1] for row in self._cells[area.top : area.bottom + 1]]

    def read_cell(self, address: str) -> Cell:
        """One cell of the sheet as it was last read; None beyond its end."""
        area = area_of(address)
        row = self._cells[area.top] if area.top < len(self._cells) else []
        return row[area.left] if area.left < len(row) else None

    def close(self) -> None:
        """Nothing is held open."""

    def _load(self, version: tuple[int, int, int]) -> list[list[Cell]]:
        if version[1] > MOST_BYTES:
            told = _("{file} has {size} bytes, more than {most}")
            raise NotReadable("too_large", told.format(file=self._path, size=version[1], most=MOST_BYTES))
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise self._unreachable(error) from None
        if self._stat() != version:
            told = _("{file} changed while it was read").format(file=self._path)
            raise NotReadable("being_written", told, soon=True)
        try:
            # The directory of a workbook's parts is at its end: what is cut short or mixed cannot be opened.
            with calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
                if self._sheet not in book.sheet_names:
                    there = ", ".join(repr(name) for name in book.sheet_names)
                    told = _("{file} has no sheet {sheet!r}; it has {there}")
                    raise NotReadable("no_sheet", told.format(file=self._path, sheet=self._sheet, there=there))
                return [list(row) for row in book.get_sheet_by_name(self._sheet).to_python(skip_empty_area=False)]
        except calamine.PasswordError:
            told = _("{file} is protected by a password").format(file=self._path)
            raise NotReadable("password", told) from None
        except (calamine.CalamineError, OSError) as error:
            told = _("{file} is no whole workbook (.xlsx, .xlsm): {reason}").format(
                file=self._path, reason=str(error)[:200]
            )
            raise NotReadable("half_written", told, soon=True) from None

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreachable(error) from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _unreachable(self, error: OSError) -> NotReadable:
        reason = "no_file" if isinstance(error, FileNotFoundError) else "locked"
        told = _("{file} cannot be read: {reason}").format(file=self._path, reason=in_words(error))
        return NotReadable(reason, told, soon=True)
