"""What a table beside the ticks has of a finished day, as a Parquet file made with the archive of the day's ticks:
`ARCHIVE_DIR/<table>/trade_date=2026-03-16/<name>.parquet`, and beside it `_<name>.json`, which says what is in it.
Which tables those are, and how they are read, is `marketdata.archive.tables`'s.

Numbers are decimals, times in microseconds UTC, what was not told is null. A file is read back before it counts, and is
replaced only by one that has every row of it, just as it is there, save for those that were voided. A day without such
rows has no file. What came after rows of the day had been dropped is a further part, `<name>-2.parquet`, with whatever
the table still has of the day: a key may be in both.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.utils.translation import gettext as _

from marketdata.archive import files, parquet
from marketdata.archive.files import ArchiveError, Tampered
from marketdata.storage.base import Progress

FORMAT = 1
GROUP_ROWS = 1 << 16
GROUP_BYTES = 1 << 24  # of words
_DATE = "trade_date"

Rows = dict[str, Any]
"""Columns: lists of words, or arrays of integers in which ABSENT is null."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a file without opening it; `content` is a hash of what its rows say."""

    trade_date: str
    rows: int
    content: str
    sha256: str
    bytes: int
    made_at: str
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table and its files. `columns` in their order: of `words`, of decimals with their places (`scales`), the
    `time`, the trading date and else 64-bit integers; `differences` are those that are small as such, `texts` the words
    that seldom come twice. `groups` gives the rows of a day in pieces, in the order of the columns of `key`, `voided`
    the tick_id of rows that a file may have and the table no longer, and `is_over` says whether retention may have
    removed rows of a day."""

    table: str
    name: str
    columns: tuple[str, ...]
    words: tuple[str, ...]
    scales: Mapping[str, int]
    time: str
    differences: tuple[str, ...]
    texts: tuple[str, ...]
    key: tuple[str, ...]
    groups: Callable[[datetime.date], Iterator[Rows]]
    voided: Callable[[datetime.date], Collection[int]]
    is_over: Callable[[datetime.date], bool]

    def folder_of(self, date: datetime.date, folder: Path | None = None) -> Path:
        return (folder or Path(settings.ARCHIVE_DIR)) / self.table / f"trade_date={date.isoformat()}"

    def path_of(self, date: datetime.date, folder: Path | None = None, part: int = 1) -> Path:
        """The file of a trading date, or of a further part of it."""
        return self.folder_of(date, folder) / f"{self._name(part)}.parquet"

    def _name(self, part: int) -> str:
        return self.name if part == 1 else f"{self.name}-{part}"

    def _manifest_path(self, date: datetime.date, folder: Path | None, part: int) -> Path:
        return self.folder_of(date, folder) / f"_{self._name(part)}.json"

    def manifest_of(self, date: datetime.date, folder: Path | None = None, part: int = 1) -> Manifest | None:
        """What the file of a trading date says of itself, None if there is none. Tampered if that cannot be read."""
        path = self._manifest_path(date, folder, part)
        try:
            return Manifest(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error

    def make(
        self,
        date: datetime.date,
        *,
        folder: Path | None = None,
        part: int = 1,
        progress: Progress,
    ) -> Manifest | None:
        """Write what the table has of a day; None if that is nothing. A file that has just these rows stays as it is.
        ArchiveError if the file that is there has rows that the table has not, or what was written reads otherwise;
        nothing is changed then. Once retention may have removed rows that is no reason to complain: that file stays,
        and if there are rows that it has not, what the table has becomes the next part."""
        part, place = max([part, *self.parts_of(date, folder)]), self.folder_of(date, folder)
        made = place / f"{self.name}.parquet{files.TEMPORARY}"
        progress(f"{date} {self.table}")
        try:
            known = self._intact(date, folder, part)
            if known is not None and known.content == self._content(self.groups(date)).digest():
                return known
            place.mkdir(parents=True, exist_ok=True)
            try:
                found = self._write(made, date)
                if not found.rows:
                    return None
                if self.content_of(made) != found.digest():
                    raise ArchiveError(
                        _("{path}: what was written reads otherwise; nothing was kept. Check the disk").format(
                            path=self.path_of(date, folder, part)
                        )
                    )
                rows, lost = self._compared(date, folder, part, made, found.rows)
                if lost and not self.is_over(date):
                    raise _not_among(self.path_of(date, folder, part), rows, found.rows, lost)
                if lost and known is not None and found.rows == rows - lost:
                    return known  # it has all of them
                return self._put(made, date, folder, part + 1 if lost else part, found)
            finally:
                made.unlink(missing_ok=True)
                if not any(place.iterdir()):
                    place.rmdir()
        except OSError as error:
            raise ArchiveError(_("{path} cannot be written: {error}").format(path=made, error=error)) from error

    def _compared(self, date: datetime.date, folder: Path | None, part: int, made: Path, rows: int) -> tuple[int, int]:
        """How many rows the file that is there has without those voided, and how many of them are not in the new one;
        of a file that was changed or lost nobody knows: all of them, where it had more or rows may be gone. One without
        its manifest is looked at all the same; Tampered if it is no such file."""
        known, voided = self.manifest_of(date, folder, part), self.voided(date)
        path = self.path_of(date, folder, part)
        if known is None and not path.exists():
            return 0, 0
        if known is not None and self._intact(date, folder, part) is None:
            if path.exists() and files.sha256(path) == files.sha256(made):
                return known.rows, 0  # it was written last time, its manifest was not
            return known.rows, known.rows if known.rows > rows or self.is_over(date) else 0
        number, place = self._order().index("tick_id") if voided else 0, len(self.key)
        count, lost, new = 0, 0, self._rows(made)
        theirs = next(new, None)
        for row in self._rows(path):
            if voided and row[number] in voided:
                continue
            while theirs is not None and theirs[:place] < row[:place]:
                theirs = next(new, None)
            count, lost = count + 1, lost + (theirs != row)
        return count, lost

    def _order(self) -> list[str]:
        """The columns, those of the key first."""
        return [*self.key, *(name for name in self.columns if name not in self.key)]

    def _rows(self, path: Path) -> Iterator[tuple[Any, ...]]:
        """The rows of a file one by one, their columns as `_order` has them."""
        for rows in self.read(path):
            columns = (rows[name] if name in self.words else rows[name].tolist() for name in self._order())
            yield from zip(*columns, strict=True)

    def _put(self, made: Path, date: datetime.date, folder: Path | None, part: int, found: _Content) -> Manifest:
        """Give a file its name, and put its manifest beside it."""
        file, described = self.path_of(date, folder, part), self._manifest_path(date, folder, part)
        description = described.with_name(described.name + files.TEMPORARY)
        manifest = Manifest(
            trade_date=date.isoformat(),
            rows=found.rows,
            content=found.digest(),
            sha256=files.sha256(made),
            bytes=made.stat().st_size,
            made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        try:
            files.put(description, json.dumps(asdict(manifest), indent=1).encode())
            made.replace(file)
            description.replace(described)
        finally:
            description.unlink(missing_ok=True)
        files.sync(file.parent)
        files.sync(file.parent.parent)
        return manifest

    def _intact(self, date: datetime.date, folder: Path | None, part: int) -> Manifest | None:
        """What the file of a day says of itself, if it is there as it was written."""
        manifest, path = self.manifest_of(date, folder, part), self.path_of(date, folder, part)
        if manifest is None or not path.exists() or files.sha256(path) != manifest.sha256:
            return None
        return manifest

    def parts_of(self, date: datetime.date, folder: Path | None = None) -> list[int]:
        """The parts of a trading date of which the file or its manifest is there."""
        place, known = self.folder_of(date, folder), re.compile(rf"_?{self.name}(?:-(\d+))?\.(?:json|parquet)")
        names = [known.fullmatch(path.name) for path in place.glob(f"*{self.name}*")]
        return sorted({int(name[1] or 1) for name in names if name})

    def verify(self, date: datetime.date, *, folder: Path | None = None, part: int = 1) -> Manifest | None:
        """Check a file: its hash, then every row; None if there is none. Tampered if it is not what was written, or
        nothing says what was."""
        manifest, path = self.manifest_of(date, folder, part), self.path_of(date, folder, part)
        if manifest is None:
            if path.exists():
                raise Tampered(_("{path} is there, but its manifest is not").format(path=path))
            return None
        try:
            sound = files.sha256(path) == manifest.sha256 and self.content_of(path) == manifest.content
        except OSError as error:
            raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error
        if not sound:
            raise Tampered(_("{path} was changed since it was written: another SHA-256").format(path=path))
        return manifest

    # --- rows ---------------------------------------------------------------------------------------------------------

    def content_of(self, path: Path) -> str:
        """The hash of what the rows of a file say. Tampered if it is no such file."""
        return self._content(self.read(path)).digest()

    def _content(self, parts: Iterable[Rows]) -> _Content:
        found = _Content(self)
        for rows in parts:
            found.add(rows)
        return found

    def read(self, path: Path) -> Iterator[Rows]:
        """The rows of a file in its order, a row group at a time. Tampered if it is no such file."""
        pa, opened = parquet.arrow(), parquet.arrow(".parquet")
        try:
            with opened.ParquetFile(str(path)) as file:
                if not file.schema_arrow.equals(self._schema(), check_metadata=False):
                    raise Tampered(_("{path} is damaged: {error}").format(path=path, error="columns"))
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, use_threads=False).combine_chunks()
                    yield {name: self._values(name, table.column(name).combine_chunks()) for name in self.columns}
        except (pa.ArrowException, OSError) as error:
            raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error

    def _values(self, name: str, column: Any) -> Any:
        if name in self.words:
            return column.to_pylist()
        if name in self.scales:
            return parquet.integers(column)
        return column.cast("int32" if name == _DATE else "int64").to_numpy().astype(np.int64)

    def _write(self, path: Path, date: datetime.date) -> _Content:
        found, writer_of = _Content(self), parquet.arrow(".parquet").ParquetWriter
        with path.open("wb") as file:
            with writer_of(
                file,
                self._schema(),
                compression="zstd",
                compression_level=parquet.LEVEL,
                use_dictionary=[name for name in self.words if name not in self.texts],
                column_encoding=dict.fromkeys(self.differences, "DELTA_BINARY_PACKED"),
                store_decimal_as_integer=True,
            ) as writer:
                for rows in self.groups(date):
                    found.add(rows)
                    columns = [self._column(name, rows[name]) for name in self.columns]
                    table = parquet.arrow().table(columns, schema=self._schema())
                    writer.write_table(table, row_group_size=table.num_rows)
            file.flush()
            os.fsync(file.fileno())
        return found

    def _schema(self) -> Any:
        pa = parquet.arrow()
        types = {
            **dict.fromkeys(self.columns, pa.int64()),
            **dict.fromkeys(self.words, pa.string()),
            **{name: pa.decimal128(18, places) for name, places in self.scales.items()},
            self.time: pa.timestamp("us", "UTC"),
            _DATE: pa.date32(),
        }
        known = {"naru": json.dumps({"format": FORMAT})}
        return pa.schema([(name, types[name]) for name in self.columns], metadata=known)

    def _column(self, name: str, values: Any) -> Any:
        pa = parquet.arrow()
        if name in self.words:
            return pa.array(values, pa.string())
        if name in self.scales:
            return parquet.decimals(values, self.scales[name])
        plain: npt.NDArray[Any] = values.astype(np.int32) if name == _DATE else values
        return pa.array(plain).cast(self._schema().field(name).type)


def _not_among(file: Path, known: int, rows: int, lost: int) -> ArchiveError:
    return ArchiveError(
        _(
            "{path} has {known:,} rows, the database {rows:,}, and {lost:,} of the file are not in the database as they"
            " are there: it is kept. Was an older database restored? To archive what the database has, move that file"
            " and its manifest elsewhere"
        ).format(path=file, known=known, rows=rows, lost=lost)
    )


class _Content:
    """A hash of rows, however they are cut into pieces."""

    def __init__(self, table: Table) -> None:
        self.rows = 0
        self._words = frozenset(table.words)
        self._checksums = dict.fromkeys(table.columns, 0)

    def add(self, rows: Rows) -> None:
        self.rows += len(rows[_DATE])
        for name, before in self._checksums.items():
            values = rows[name]
            pieces = (f"{word}\n".encode() for word in values) if name in self._words else (values.astype("<i8").data,)
            self._checksums[name] = functools.reduce(lambda crc, piece: zlib.crc32(piece, crc), pieces, before)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.rows, self._checksums]).encode()).hexdigest()
