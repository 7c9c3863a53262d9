"""Rows of a resource as a file that is sent while it is read: CSV that no spreadsheet takes for formulas, Parquet, or
an Arrow stream. A file that was cut can be told: CSV ends with a line that says how many rows there are, the others
have an end of their own."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from marketdata.archive.parquet import arrow
from marketdata.reference import sheets

CSV, PARQUET, ARROW = "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
GROUP_ROWS = 1 << 16
_FORMULA = tuple(sheets.FORMULA_BEGINS)

Batch = Sequence[Sequence[Any]]
"""Rows of values in the order of a table's columns; numbers as exact text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `kind` is "text", "time", "date", "integer", "number" (a float, for what is no price and no size) or
    "decimal", which has so many `places`."""

    name: str
    kind: str = "text"
    places: int = 0


class Busy(Exception):
    """So many exports are running already."""


class Cut(Exception):
    """Why an export ends before all rows were sent; what was sent has no end."""


class Slots:
    """How many exports may run at once in this process."""

    def __init__(self) -> None:
        self._lock, self._taken = threading.Lock(), 0

    def take(self, most: int) -> None:
        """Begin an export. Busy if `most` are running."""
        with self._lock:
            if self._taken >= most:
                raise Busy(_("{most} exports are running already").format(most=most))
            self._taken += 1

    def free(self) -> None:
        with self._lock:
            self._taken -= 1


slots = Slots()


def safe(text: str) -> str:
    """A cell of text that a spreadsheet does not take for a formula: what begins like one gets an apostrophe in front
    (OWASP, CSV injection)."""
    return "'" + text if text.startswith(_FORMULA) else text


def as_csv(columns: Sequence[Column], batches: Iterator[Batch], most: int) -> Iterator[bytes]:
    """A header, the rows, and `# N rows`. Cut behind `most` rows, or by what gives the batches: the last line then says
    so, and there is no end."""
    texts = [at for at, column in enumerate(columns) if column.kind == "text"]
    buffer, sent = io.StringIO(), 0
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([column.name for column in columns])
    try:
        for batch in batches:
            if sent + len(batch) > most:
                raise Cut(f"more than {most} rows")
            for row in batch:
                cells = list(row)
                for at in texts:
                    cells[at] = safe(cells[at])
                writer.writerow(cells)
            sent += len(batch)
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    except Cut as cut:
        yield f"{buffer.getvalue()}# cut: {cut}\r\n".encode()
        return
    yield f"{buffer.getvalue()}# {sent} rows\r\n".encode()


def as_parquet(columns: Sequence[Column], batches: Iterator[Batch], most: int) -> Iterator[bytes]:
    """A Parquet file, in groups of GROUP_ROWS rows. Cut behind `most` rows, before the footer."""
    parquet = arrow(".parquet")
    sink = _Sink()
    with _closing(parquet.ParquetWriter(sink, schema(columns), compression="zstd")) as writer:
        for table in _tables(columns, batches, most):
            writer.write_table(table)
            yield sink.drain()
    yield sink.drain()


def as_arrow(columns: Sequence[Column], batches: Iterator[Batch], most: int) -> Iterator[bytes]:
    """An Arrow IPC stream. Cut behind `most` rows, before the mark of its end."""
    ipc = arrow(".ipc")
    sink = _Sink()
    with _closing(ipc.new_stream(sink, schema(columns))) as writer:
        for table in _tables(columns, batches, most):
            writer.write_table(table)
            yield sink.drain()
    yield sink.drain()


def schema(columns: Sequence[Column]) -> Any:
    """The columns as Arrow has them."""
    pa = arrow()
    types = {
        "text": pa.string(), "time": pa.timestamp("us", "UTC"), "date": pa.date32(), "integer": pa.int64(),
        "number": pa.float64(),
    }  # fmt: skip
    return pa.schema([(one.name, types.get(one.kind) or pa.decimal128(38, one.places)) for one in columns])


class _Sink:
    """A file that is written to and emptied; it is never read back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._at += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def drain(self) -> bytes:
        """What was written since the last time."""
        data, self._parts = b"".join(self._parts), []
        return data


@contextmanager
def _closing(writer: Any) -> Iterator[Any]:
    """The writer, closed (which writes the end of the file) only when all of it was written."""
    yield writer
    writer.close()


def _tables(columns: Sequence[Column], batches: Iterator[Batch], most: int) -> Iterator[Any]:
    """Groups of about GROUP_ROWS rows. Cut behind `most` rows."""
    pa, told, waiting = arrow(), schema(columns), list[Sequence[Any]]()
    sent = 0
    for batch in batches:
        sent += len(batch)
        if sent > most:
            raise Cut(f"more than {most} rows")
        waiting += batch
        if len(waiting) >= GROUP_ROWS:
            yield _table(pa, told, columns, waiting)
            waiting = []
    if waiting:
        yield _table(pa, told, columns, waiting)


def _table(pa: Any, told: Any, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Any:
    arrays = []
    for column, values, kind in zip(columns, zip(*rows, strict=True), told.types, strict=True):
        if column.kind in ("text", "number"):
            arrays.append(pa.array(values, kind))
            continue
        # Exact text or an integer; none of these becomes a float. Arrow reads text of numbers, times and dates itself.
        texts = [None if value == "" or value is None else str(value).rstrip("Z") for value in values]
        source = pa.array(texts, pa.string())
        if column.kind == "time":
            arrays.append(source.cast(pa.timestamp("us")).cast(kind))
        else:
            arrays.append(source.cast(kind))
    return pa.table(arrays, schema=told)


WRITERS = {CSV: as_csv, PARQUET: as_parquet, ARROW: as_arrow}
NAMES = {CSV: "csv", PARQUET: "parquet", ARROW: "arrow"}
