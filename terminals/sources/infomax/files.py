"""A workbook that a person or a program saves: .xlsx, .xlsm. Read only when it is whole and stands still."""

import io
from pathlib import Path
from typing import Final

import python_calamine as calamine

from terminals.sources.infomax.cells import Cell
from terminals.sources.infomax.column_map import Block, area_of
from terminals.sources.infomax.reading import NotReadable

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
            raise NotReadable("too_large", f"{self._path} has {version[1]} bytes, more than {MOST_BYTES}")
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise self._unreachable(error) from None
        if self._stat() != version:
            raise NotReadable("being_written", f"{self._path} changed while it was read", soon=True)
        try:
            # The directory of a workbook's parts is at its end: what is cut short or mixed cannot be opened.
            with calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)) as book:
                if self._sheet not in book.sheet_names:
                    there = ", ".join(repr(name) for name in book.sheet_names)
                    raise NotReadable("no_sheet", f"{self._path} has no sheet {self._sheet!r}; it has {there}")
                return [list(row) for row in book.get_sheet_by_name(self._sheet).to_python(skip_empty_area=False)]
        except calamine.PasswordError:
            raise NotReadable("password", f"{self._path} is protected by a password") from None
        except (calamine.CalamineError, OSError) as error:
            raise NotReadable("half_written", f"{self._path} is not whole: {str(error)[:200]}", soon=True) from None

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreachable(error) from None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _unreachable(self, error: OSError) -> NotReadable:
        if isinstance(error, FileNotFoundError):
            return NotReadable("no_file", f"{self._path} is not there", soon=True)
        return NotReadable("locked", f"{self._path} cannot be read: {error.strerror}", soon=True)
