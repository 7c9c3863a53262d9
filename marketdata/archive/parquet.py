"""Ticks as a Parquet file and back, without losing a digit. Arrays and bytes alone: no days, no database, no folders.

Prices and sizes are decimals that lie as 64-bit integers inside, times are in microseconds UTC, names are words. What
was not given is null. Rows are sorted by (symbol, event_time, tick_id); docs/adr/0012 has the sizes that were measured.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from django.utils.translation import gettext as _

from marketdata.types import tick_arrays
from marketdata.types.tick_arrays import ABSENT, GREATEST, KIND_NAMES, PRICES, SIDE_NAMES, SIZES, Ticks
from terminals import wire

FORMAT = 2
FORMATS = {1: wire.OLDEST_SIZE_SCALE, 2: wire.SIZE_SCALE}
"""Decimal places of sizes in each format that can be read."""
GROUP_ROWS = 1 << 18  # about 90 MB while a group is written
LEVEL = 9
NAMES = ("symbol", "feed", "kind", "side", "source")
COLUMNS = ("symbol", "feed", "event_time", "kind", "side", *PRICES, *SIZES, "seq", "trade_date", "tick_id", "source")
SORTED_BY = ("symbol", "event_time", "tick_id")
# What grows steadily is small as differences, sizes repeat, prices are left to Zstandard: measured, docs/adr/0012.
_DIFFERENCES = ("event_time", "seq", "tick_id", "cum_volume", "trade_date")
_REPEATED = (*NAMES, "size", "bid_size", "ask_size")
_DIGITS = 18
_SCALES = {**dict.fromkeys(PRICES, wire.PRICE_SCALE), **dict.fromkeys(SIZES, wire.SIZE_SCALE)}

Rows = dict[str, npt.NDArray[Any]]


class Missing(Exception):
    """pyarrow is not installed."""


class Unreadable(Exception):
    """A file is not one of ours, or was changed; the message says what is wrong."""


def arrow(part: str = "") -> ModuleType:
    """pyarrow or a part of it, imported when it is needed: it is large, it has threads, and a server may lack it.
    Missing if it lacks it."""
    try:
        return importlib.import_module(f"pyarrow{part}")
    except ImportError as error:
        raise Missing(
            _("pyarrow is not installed: pip install -r requirements/archive.txt ({error})").format(error=error)
        ) from error


def schema(metadata: Mapping[str, str] | None = None, *, size_scale: int = wire.SIZE_SCALE) -> Any:
    """The columns of a file."""
    pa = arrow()
    scales = {**_SCALES, **dict.fromkeys(SIZES, size_scale)}
    types = {
        **dict.fromkeys(NAMES, pa.dictionary(pa.int32(), pa.string())),
        **{name: pa.decimal128(_DIGITS, scale) for name, scale in scales.items()},
        "event_time": pa.timestamp("us", "UTC"),
        "trade_date": pa.date32(),
        "seq": pa.int64(),
        "tick_id": pa.int64(),
    }
    return pa.schema([(name, types[name]) for name in COLUMNS], metadata=dict(metadata) if metadata else None)


# --- writing ----------------------------------------------------------------------------------------------------------


class Writer:
    """Writes ticks symbol after symbol, in groups of GROUP_ROWS rows."""

    def __init__(
        self, file: IO[bytes], *, sources: Mapping[int, str], group_rows: int = GROUP_ROWS, level: int = LEVEL
    ) -> None:
        self.rows, self.groups = 0, 0
        self._file, self._group_rows, self._level = file, group_rows, level
        self._sources, self._feeds, self._symbols = dict(sources), list[str](), list[str]()
        self._waiting, self._waiting_rows = list[Rows](), 0
        self._last = ""
        parquet = arrow(".parquet")
        known = {"naru": json.dumps({"format": FORMAT, "sources": {code: i for i, code in sources.items()}})}
        whole = schema(known)
        self._writer = parquet.ParquetWriter(
            file,
            whole,
            version="2.6",
            compression="zstd",
            compression_level=level,
            use_dictionary=list(_REPEATED),
            column_encoding=dict.fromkeys(_DIFFERENCES, "DELTA_BINARY_PACKED"),
            store_decimal_as_integer=True,
            sorting_columns=[parquet.SortingColumn(whole.get_field_index(name)) for name in SORTED_BY],
        )

    def add(self, parts: Sequence[Ticks]) -> None:
        """All ticks of one symbol, a part for each feed and source. Symbols come in ascending order. ValueError for a
        symbol out of order."""
        symbol = parts[0].symbols[0]
        if symbol <= self._last or any(part.symbols != [symbol] for part in parts):
            raise ValueError(f"symbols come one by one, in ascending order: {symbol!r} came after {self._last!r}")
        self._last = symbol
        rows = self._sorted(parts)
        at, length = 0, len(rows["tick_id"])
        while at < length:
            taken = min(length - at, self._group_rows - self._waiting_rows)
            if self._symbols[-1:] != [symbol]:
                self._symbols.append(symbol)
            piece = {name: values[at : at + taken] for name, values in rows.items()}
            self._waiting.append({**piece, "symbol": np.full(taken, len(self._symbols) - 1, np.int32)})
            self._waiting_rows += taken
            at += taken
            if self._waiting_rows == self._group_rows:
                self._flush()

    def close(self) -> None:
        """Write what waits, and the end of the file."""
        if self._waiting:
            self._flush()
        self._writer.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        with contextlib.suppress(Exception):  # what is wrong with it was raised before
            self._writer.close()

    def _sorted(self, parts: Sequence[Ticks]) -> Rows:
        """The parts' rows together, by (time, tick_id), without the symbol."""
        columns: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in COLUMNS if name != "symbol"}
        for part in parts:
            if part.feed not in self._feeds:
                self._feeds.append(part.feed)
            feed, source = self._feeds.index(part.feed), list(self._sources).index(part.source_id)
            for name, values in columns.items():
                if name in ("feed", "source"):
                    values.append(np.full(len(part), feed if name == "feed" else source, np.int32))
                else:
                    values.append(getattr(part, "time_us" if name == "event_time" else name))
        rows = {name: np.concatenate(values) for name, values in columns.items()}
        order = np.lexsort([rows["tick_id"], rows["event_time"]])
        return {name: values[order] for name, values in rows.items()}

    def _flush(self) -> None:
        rows = {name: np.concatenate([piece[name] for piece in self._waiting]) for name in COLUMNS}
        words = {
            "symbol": self._symbols,
            "feed": self._feeds,
            "kind": list(KIND_NAMES),
            "side": list(SIDE_NAMES),
            "source": list(self._sources.values()),
        }
        columns = [_column(name, rows[name], words.get(name)) for name in COLUMNS]
        self._writer.write_table(arrow().table(columns, schema=schema()), row_group_size=self._group_rows)
        self.rows += self._waiting_rows
        self.groups += 1
        self._waiting, self._waiting_rows, self._symbols = [], 0, []


def _column(name: str, values: npt.NDArray[Any], words: list[str] | None) -> Any:
    pa = arrow()
    if words is not None:
        absent = values == 0 if name == "side" else None  # a side that was not given is the empty word
        return pa.DictionaryArray.from_arrays(pa.array(values.astype(np.int32), mask=absent), pa.array(words))
    absent = values == ABSENT
    if name in _SCALES:
        return decimals(values, _SCALES[name])
    return pa.array(values, mask=absent if name == "seq" else None).cast(schema().field(name).type)


def decimals(values: npt.NDArray[Any], scale: int) -> Any:
    """Scaled integers as a column of decimals; what is absent is null."""
    pa, absent = arrow(), values == ABSENT
    halves = np.empty((len(values), 2), "<i8")
    halves[:, 0] = np.where(absent, 0, values)
    halves[:, 1] = halves[:, 0] >> 63  # the upper half of 128 bits is the sign
    valid = pa.py_buffer(np.packbits(~absent, bitorder="little").tobytes()) if absent.any() else None
    return pa.Array.from_buffers(pa.decimal128(_DIGITS, scale), len(values), [valid, pa.py_buffer(halves)])


# --- reading ----------------------------------------------------------------------------------------------------------


def count(file: str) -> int:
    """How many rows a file says it has; 0 if it cannot be read."""
    pa = arrow()
    try:
        return int(arrow(".parquet").read_metadata(file).num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return 0


def read(file: IO[bytes] | str) -> Iterator[Ticks]:
    """The ticks of a file in its order, as parts of one feed and source each. Unreadable if it is not as written."""
    pa, parquet = arrow(), arrow(".parquet")
    try:
        with parquet.ParquetFile(file) as opened:
            sources, ratio = _said(opened.schema_arrow)
            for group in range(opened.num_row_groups):
                rows, words = _rows(opened.read_row_group(group, use_threads=False), ratio)
                yield from _parts(rows, words, sources)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def _said(found: Any) -> tuple[dict[str, int], int]:
    """What a file says of itself: its sources by code, and what its sizes are multiplied with."""
    if list(found.names) != list(COLUMNS):
        raise Unreadable(f"its columns are not those of an archive: {', '.join(found.names)}")
    try:
        known = json.loads((found.metadata or {})[b"naru"])
        size_scale = FORMATS.get(known["format"])
        sources = {str(code): int(number) for code, number in known["sources"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"what it says of itself cannot be read: {error!r}") from error
    if size_scale is None:
        raise Unreadable(f"it has format {known['format']}; this version reads {', '.join(map(str, FORMATS))}")
    if not found.equals(schema(size_scale=size_scale), check_metadata=False):
        raise Unreadable(f"its columns are not those of an archive: {', '.join(found.names)}")
    return sources, 10 ** (wire.SIZE_SCALE - size_scale)


def _rows(table: Any, ratio: int) -> tuple[Rows, dict[str, list[str]]]:
    rows: Rows = {}
    words: dict[str, list[str]] = {}
    table = table.unify_dictionaries().combine_chunks()
    for name in COLUMNS:
        column = table.column(name)
        values = column.chunk(0) if column.num_chunks else column.combine_chunks()
        if name in NAMES:
            words[name] = values.dictionary.to_pylist()
            rows[name] = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            if name != "side" and values.null_count:
                raise Unreadable(f"it has rows without {name}")
        elif name in _SCALES:
            rows[name] = integers(values)
            if ratio != 1 and name in SIZES:
                given = rows[name][rows[name] != ABSENT]
                if (np.abs(given) > GREATEST // ratio).any():
                    raise Unreadable(f"it has a {name} of 10^12 or more, which this version cannot hold")
                rows[name] = np.where(rows[name] == ABSENT, ABSENT, rows[name] * ratio)
        else:
            plain = values.cast("int32") if name == "trade_date" else values.cast("int64")
            rows[name] = plain.fill_null(ABSENT).to_numpy(zero_copy_only=False) if name == "seq" else plain.to_numpy()
    return rows, words


def integers(values: Any) -> npt.NDArray[np.int64]:
    """The integers inside of decimals, ABSENT for null."""
    lower = np.frombuffer(values.buffers()[1], "<i8")[2 * values.offset :][: 2 * len(values) : 2]
    absent = values.is_null().to_numpy(zero_copy_only=False)
    return np.where(absent, ABSENT, lower)


def _parts(rows: Rows, words: dict[str, list[str]], sources: Mapping[str, int]) -> Iterator[Ticks]:
    try:
        kinds = np.array([KIND_NAMES.index(word) for word in words["kind"]], np.uint8)
        sides = np.array([*(SIDE_NAMES.index(word) for word in words["side"]), 0], np.uint8)  # -1 is the last
        numbers = [sources[word] for word in words["source"]]
    except (ValueError, KeyError) as error:
        raise Unreadable(f"it has a word that this version does not know: {error}") from error
    for key in np.unique(rows["feed"].astype(np.int64) << 32 | rows["source"]).tolist():
        feed, source = key >> 32, key & 0xFFFFFFFF
        chosen = np.flatnonzero((rows["feed"] == feed) & (rows["source"] == source))
        part = tick_arrays.empty(words["feed"][feed], numbers[source], len(chosen), words["symbol"])
        for name in tick_arrays.COLUMNS:
            setattr(part, name, rows["event_time" if name == "time_us" else name][chosen])
        part.kind, part.side = kinds[part.kind], sides[part.side]
        yield part
