"""Batches off the wire: what every kind of batch is once it is decoded, and how batches of packed columns become the
same arrays, because a step of numpy costs the same for twelve rows as for all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from marketdata.types import tick_arrays
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, GREATEST, NO_DATE, TICK_BITS, Int32, Int64, Mask, Ticks, numbered
from marketdata.types.units import date_of
from terminals import wire

Faults = npt.NDArray[np.uint64]


class WireBatch(NamedTuple):
    """What came, and what it is called."""

    payload: bytes
    source_id: int
    batch: int


@dataclass(frozen=True, slots=True)
class Shared:
    """The ticks of several batches and their faults, in arrays that the batches share."""

    ticks: Ticks
    faults: Faults


@dataclass(slots=True, kw_only=True)
class Decoded:
    """A batch off the wire: its ticks, and per row the faults found while reading it (0 = none). A batch of `gaps` has
    no rows. `noise` counts the rows in which float noise was taken off a number (`terminals.wire.numbers`). Batches
    that were decoded together share arrays and the list of symbols of their ticks; `symbols` are the batch's own."""

    header: wire.BatchHeader
    faults: Faults
    symbols: list[str]
    raw: list[object] | None = None
    gaps: list[wire.Gap] = field(default_factory=list)
    noise: int = 0
    given_dates: Int32 | None = None  # trading dates as they came; judging fills in the others
    shared: Shared
    start: int = 0  # the row in `shared` with which it begins
    _ticks: Ticks | None = None
    _dates: Int32 | None = None

    @property
    def ticks(self) -> Ticks:
        """Its ticks. Nobody asks for those of a batch whose rows are all good."""
        if self._ticks is None:
            self._ticks = self.shared.ticks.between(self.start, self.start + len(self.faults))
            if self._dates is not None:
                self._ticks.trade_date = self._dates
        return self._ticks

    def dated(self, dates: Int32) -> None:
        """Judging has found the trading dates of its rows."""
        self._dates = dates
        if self._ticks is not None:
            self._ticks.trade_date = dates

    def record(self, row: int) -> str:
        """JSON of a row as the terminal gave it."""
        shown: Any = self.raw[row] if self.raw is not None else self.ticks.record(row)
        if self.raw is None and self.given_dates is not None and self.given_dates[row] != NO_DATE:
            shown["trade_date"] = str(date_of(int(self.given_dates[row])))
        return record_text(shown)


def record_text(shown: object) -> str:
    """JSON of a row, whole, so that it can be judged again."""
    text = json.dumps(shown, ensure_ascii=False, default=str)
    # JSON may name half a character, which no column holds.
    return text.encode("utf-8", "backslashreplace").decode()


def joined(parts: Sequence[Decoded]) -> tuple[Ticks, Faults]:
    """The ticks of decoded batches of one feed and source after each other, and their faults, to be changed by the
    caller. What lies side by side already is not copied together."""
    pieces = stretches(parts)
    ticks = tick_arrays.concatenate([shared.ticks.between(start, end) for shared, start, end in pieces])
    return ticks, np.concatenate([shared.faults[start:end] for shared, start, end in pieces])


def stretches(parts: Sequence[Decoded]) -> list[tuple[Shared, int, int]]:
    """Where the rows of these batches lie, one after the other: in which arrays, from which row up to which."""
    pieces: list[tuple[Shared, int, int]] = []
    for part in parts:
        shared, start, end = part.shared, part.start, part.start + len(part.faults)
        if pieces and pieces[-1][0] is shared and pieces[-1][2] == start:
            start = pieces.pop()[1]
        pieces.append((shared, start, end))
    return pieces


# --- packed columns ---------------------------------------------------------------------------------------------------


class Layout(Protocol):
    """Where the columns of a batch lie."""

    @property
    def symbols(self) -> list[str]: ...

    @property
    def offsets(self) -> dict[Any, int]: ...


LayoutT = TypeVar("LayoutT", bound=Layout)


class PackedBatch(NamedTuple, Generic[LayoutT]):
    """A batch of packed columns and where they lie."""

    given: WireBatch
    header: wire.BatchHeader
    layout: LayoutT


def columns_of(batches: Sequence[PackedBatch[LayoutT]]) -> list[Any]:
    """The columns that any of the batches has, in the order of their numbers."""
    return sorted({column for one in batches for column in one.layout.offsets})


def column_bytes(column: int, nothing: bytes, batches: Sequence[PackedBatch[LayoutT]]) -> bytes:
    """A column of all batches as it is on the wire; `nothing` is a row in which it is not given."""
    parts = []
    for given, header, layout in batches:
        at = layout.offsets.get(column)
        size = header.rows * len(nothing)
        parts.append(given.payload[at : at + size] if at is not None else nothing * header.rows)
    return b"".join(parts)


def common_symbols(chosen: npt.NDArray[np.uint16], batches: Sequence[PackedBatch[LayoutT]]) -> tuple[Int32, list[str]]:
    """The rows' places in one list of symbols instead of each batch's own, -1 where none is given, and that list."""
    symbols, places = numbered([symbol for one in batches for symbol in one.layout.symbols])
    counts, lengths = np.array([(len(one.layout.symbols), one.header.rows) for one in batches]).T
    given = chosen < np.repeat(counts, lengths)
    at = chosen + np.repeat(np.cumsum(counts) - counts, lengths)
    found = np.array([*places, -1], np.int32)[np.where(given, at, len(places))]
    return found, symbols


def tick_ids(batches: Sequence[tuple[int, int]]) -> Int64:
    """The ids of all rows of batches, each given by its number and how many rows it has."""
    numbers, lengths = np.array(batches, np.int64).reshape(-1, 2).T
    ends = np.cumsum(lengths)
    first = (numbers << TICK_BITS) - ends + lengths
    ids: Int64 = np.repeat(first, lengths) + np.arange(ends[-1])
    return ids


def ends_of(batches: Sequence[PackedBatch[LayoutT]]) -> list[int]:
    """Behind which row of all each batch ends."""
    return list(itertools.accumulate(one.header.rows for one in batches))


def rescale(values: Int64, exponent: int, faults: Faults, fault: Fault) -> Int64:
    """The values times 10**exponent, ABSENT where they would leave what a column holds: those rows get the fault.
    `values` are of the shape (rows,) or (rows, any)."""
    factor = 10**exponent
    limit = GREATEST // factor
    absent: Mask | None = None
    if values.size and (values.min() < -limit or values.max() > limit):  # something is absent, or too large
        absent = values == ABSENT
        far = ((values > limit) | (values < -limit)) & ~absent
        faults[far if far.ndim == 1 else far.any(axis=1)] |= np.uint64(fault)
        absent |= far
        values = np.where(absent, 0, values)
    scaled_up: Int64 = values * factor
    return scaled_up if absent is None else np.where(absent, ABSENT, scaled_up)
