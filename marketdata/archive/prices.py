"""What snapshots told of a finished day as a Parquet file, made with the archive of the day's ticks:
`ARCHIVE_DIR/stock_prices/trade_date=2026-03-16/prices.parquet`, and beside it `_prices.json`, which says what is in it.

Numbers are decimals, times in microseconds UTC, what was not told is null; rows are sorted by (symbol, feed, timestamp,
tick_id). A file is read back before it counts, and is replaced only by one that has no fewer rows, save for those of
snapshots that were voided. A day without such rows has no file. What came after the day's ticks had been dropped is a
further part, `prices-2.parquet`, with whatever `stock_prices` still has of the day: a key may be in both.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings
from django.utils.translation import gettext as _

from marketdata.archive import files, parquet
from marketdata.archive.files import ArchiveError, Tampered
from marketdata.models import Source, VoidedTick
from marketdata.storage import storage
from marketdata.storage.base import Progress
from marketdata.storage.rows import PRICE_UNITS
from marketdata.types.stock_prices import StockPrice
from marketdata.types.ticks import ABSENT

FORMAT = 1
GROUP_ROWS = 1 << 16
NAMES = ("symbol", "feed", "category", "source")
FIELDS = {
    "current_price": "price", "open_price": "open", "high_price": "high", "low_price": "low",
    **{name: name for name in list(PRICE_UNITS)[4:]},
}  # fmt: skip
"""The numbers of the table, and what they are called in a `StockPrice`."""
COLUMNS = (*NAMES[:2], "timestamp", "category", *PRICE_UNITS, "trade_date", "tick_id", "source")
_DIFFERENCES = ("timestamp", "trade_date", "tick_id", "volume", "value")

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


def folder_of(date: datetime.date, folder: Path | None = None) -> Path:
    return (folder or Path(settings.ARCHIVE_DIR)) / "stock_prices" / f"trade_date={date.isoformat()}"


def path_of(date: datetime.date, folder: Path | None = None, part: int = 1) -> Path:
    """The file of a trading date, or of a further part of it."""
    return folder_of(date, folder) / ("prices.parquet" if part == 1 else f"prices-{part}.parquet")


def _manifest_path(date: datetime.date, folder: Path | None, part: int) -> Path:
    return folder_of(date, folder) / ("_prices.json" if part == 1 else f"_prices-{part}.json")


def manifest_of(date: datetime.date, folder: Path | None = None, part: int = 1) -> Manifest | None:
    """What the file of a trading date says of itself, None if there is none. Tampered if that cannot be read."""
    path = _manifest_path(date, folder, part)
    try:
        return Manifest(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error


def make(
    date: datetime.date,
    series: Collection[tuple[str, str]],
    *,
    folder: Path | None = None,
    part: int = 1,
    progress: Progress,
) -> Manifest | None:
    """Write what snapshots of these (symbol, feed) told of a day; None if they told nothing. ArchiveError if the file
    that is there has more, or what was written reads otherwise; nothing is changed then."""
    file, described = path_of(date, folder, part), _manifest_path(date, folder, part)
    made, description = (path.with_name(path.name + files.TEMPORARY) for path in (file, described))
    progress(f"{date} stock_prices")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            found = _write(made, date, series)
            if not found.rows:
                return None
            _refuse_fewer(date, file, manifest_of(date, folder, part), found.rows)
            if content_of(made) != found.digest():
                raise ArchiveError(
                    _("{path}: what was written reads otherwise; nothing was kept. Check the disk").format(path=file)
                )
            manifest = Manifest(
                trade_date=date.isoformat(),
                rows=found.rows,
                content=found.digest(),
                sha256=files.sha256(made),
                bytes=made.stat().st_size,
                made_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            )
            files.put(description, json.dumps(asdict(manifest), indent=1).encode())
            made.replace(file)
            description.replace(described)
            files.sync(file.parent)
            files.sync(file.parent.parent)
            return manifest
        finally:
            for one in (made, description):
                one.unlink(missing_ok=True)
            if not any(file.parent.iterdir()):
                file.parent.rmdir()
    except OSError as error:
        raise ArchiveError(_("{path} cannot be written: {error}").format(path=file, error=error)) from error


def _refuse_fewer(date: datetime.date, file: Path, known: Manifest | None, rows: int) -> None:
    voided = VoidedTick.objects.filter(trade_date=date).count()
    if known is not None and known.rows > rows + voided:
        raise ArchiveError(
            _(
                "{path} has {known:,} rows, the database {rows:,}: it is kept. Was an older database restored? "
                "To archive what the database has, move that file and its manifest elsewhere"
            ).format(path=file, known=known.rows, rows=rows)
        )


def verify(date: datetime.date, *, folder: Path | None = None, part: int = 1) -> Manifest | None:
    """Check a file: its hash, then every row; None if there is none. Tampered if it is not what was written."""
    manifest, path = manifest_of(date, folder, part), path_of(date, folder, part)
    if manifest is None:
        return None
    try:
        sound = files.sha256(path) == manifest.sha256 and content_of(path) == manifest.content
    except OSError as error:
        raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error
    if not sound:
        raise Tampered(_("{path} was changed since it was written: another SHA-256").format(path=path))
    return manifest


# --- rows -------------------------------------------------------------------------------------------------------------


class _Content:
    """A hash of rows, however they are cut into pieces."""

    def __init__(self) -> None:
        self.rows = 0
        self._checksums = dict.fromkeys(COLUMNS, 0)

    def add(self, rows: Rows) -> None:
        self.rows += len(rows["tick_id"])
        for name, before in self._checksums.items():
            values = rows[name]
            data = (
                "".join([f"{word}\n" for word in values]).encode() if name in NAMES else values.astype("<i8").tobytes()
            )
            self._checksums[name] = zlib.crc32(data, before)

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([self.rows, self._checksums]).encode()).hexdigest()


def content_of(path: Path) -> str:
    """The hash of what the rows of a file say. Tampered if it is no such file."""
    found = _Content()
    for rows in read(path):
        found.add(rows)
    return found.digest()


def read(path: Path) -> Iterator[Rows]:
    """The rows of a file in its order, a row group at a time. Tampered if it is no such file."""
    pa, opened = parquet.arrow(), parquet.arrow(".parquet")
    try:
        with opened.ParquetFile(str(path)) as file:
            if not file.schema_arrow.equals(_schema(), check_metadata=False):
                raise Tampered(_("{path} is damaged: {error}").format(path=path, error="columns"))
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False).combine_chunks()
                yield {name: _values(name, table.column(name).combine_chunks()) for name in COLUMNS}
    except (pa.ArrowException, OSError) as error:
        raise Tampered(_("{path} is damaged: {error}").format(path=path, error=error)) from error


def _values(name: str, column: Any) -> Any:
    if name in NAMES:
        return column.to_pylist()
    if name in PRICE_UNITS:
        return parquet.integers(column)
    return column.cast("int32" if name == "trade_date" else "int64").to_numpy().astype(np.int64)


def _write(path: Path, date: datetime.date, series: Collection[tuple[str, str]]) -> _Content:
    found, writer_of = _Content(), parquet.arrow(".parquet").ParquetWriter
    sources = dict(Source.objects.values_list("id", "code"))
    with path.open("wb") as file:
        with writer_of(
            file,
            _schema(),
            compression="zstd",
            compression_level=parquet.LEVEL,
            use_dictionary=list(NAMES),
            column_encoding=dict.fromkeys(_DIFFERENCES, "DELTA_BINARY_PACKED"),
            store_decimal_as_integer=True,
        ) as writer:
            for prices in _groups(date, series):
                rows = _rows(prices, sources)
                found.add(rows)
                columns = [_column(name, rows[name]) for name in COLUMNS]
                writer.write_table(parquet.arrow().table(columns, schema=_schema()), row_group_size=len(prices))
        file.flush()
        os.fsync(file.fileno())
    return found


def _groups(date: datetime.date, series: Collection[tuple[str, str]]) -> Iterator[list[StockPrice]]:
    """Whole series, some together."""
    waiting: list[StockPrice] = []
    for symbol, feed in sorted(series):
        waiting += storage().read_day_prices(date, symbol, feed)
        if len(waiting) >= GROUP_ROWS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _rows(prices: Sequence[StockPrice], sources: dict[int, str]) -> Rows:
    rows: Rows = {name: [getattr(one, name) for one in prices] for name in ("symbol", "feed", "category")}
    rows["source"] = [sources.get(one.source_id, str(one.source_id)) for one in prices]
    numbers = {**FIELDS, "timestamp": "time_us", "trade_date": "trade_date", "tick_id": "tick_id"}
    for column, name in numbers.items():
        values = [getattr(one, name) for one in prices]
        rows[column] = np.array([ABSENT if value is None else value for value in values], np.int64)
    return rows


def _schema() -> Any:
    pa = parquet.arrow()
    types = {
        **dict.fromkeys(NAMES, pa.string()),
        **{name: pa.decimal128(18, len(str(unit)) - 1) for name, unit in PRICE_UNITS.items()},
        "timestamp": pa.timestamp("us", "UTC"),
        "trade_date": pa.date32(),
        "tick_id": pa.int64(),
    }
    return pa.schema([(name, types[name]) for name in COLUMNS], metadata={"naru": json.dumps({"format": FORMAT})})


def _column(name: str, values: Any) -> Any:
    pa = parquet.arrow()
    if name in NAMES:
        return pa.array(values, pa.string())
    if name in PRICE_UNITS:
        return parquet.decimals(values, len(str(PRICE_UNITS[name])) - 1)
    plain: npt.NDArray[Any] = values.astype(np.int32) if name == "trade_date" else values
    return pa.array(plain).cast(_schema().field(name).type)
