"""Ticks as the text MariaDB's LOAD DATA reads, kept in memory: no file that a killed process could leave behind.

The less text the less work for the server: what is equal in all rows is said once, and what no row has is left out.
Many rows go in the order of the table's key, so that each lands beside the one before it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db.backends.base.base import BaseDatabaseWrapper

from marketdata.storage.rows import UNITS, date_text, moments, price_columns
from marketdata.types.categories import UNKNOWN
from marketdata.types.day_figures import DAY_VALUE_SCALE
from marketdata.types.tick_arrays import ABSENT, PRICE_UNIT, SIZE_UNIT, Int64, Ticks, is_absent, symbol_ranks
from marketdata.types.units import DAY_US
from terminals import wire

MANY_ROWS = 400
"""From so many on it is quicker to make the text of whole columns than of one row after the other."""
_EXPONENTS = {PRICE_UNIT: f"e-{wire.PRICE_SCALE}", SIZE_UNIT: f"e-{wire.SIZE_SCALE}", 1: ""}
_EXPONENTS[10**DAY_VALUE_SCALE] = f"e-{DAY_VALUE_SCALE}"
_NULL = "\\N"
_KINDS = [str(kind) for kind in range(256)]
_SIDES = [_NULL, *_KINDS[1:]]

Any1D = npt.NDArray[Any]


class LoadFile:
    """One LOAD DATA statement's input: a file with the values of `columns`, and the `constants` that all rows have.
    Close it to give the memory back."""

    def __init__(self, ticks: Ticks, *, many_rows: int = MANY_ROWS) -> None:
        self.columns: list[str] = []
        self.constants: dict[str, Any] = {"feed": ticks.feed, "source": ticks.source_id}
        self._lines: _Lines = _ByRow()
        if len(ticks) >= many_rows:
            self._lines, ticks = _ByColumn(len(ticks)), _in_key_order(ticks)
        self._describe(ticks)
        self._handle = _in_memory(self._lines.text())

    def _describe(self, ticks: Ticks) -> None:
        self._describe_key(ticks, "event_time")
        if self._differ("kind", ticks.kind, int):
            self._lines.add_words(_KINDS, ticks.kind)
        if self._differ("side", ticks.side, lambda side: side or None):
            self._lines.add_words(_SIDES, ticks.side)
        self._add_numbers((name, getattr(ticks, name), unit) for name, unit in UNITS.items())

    def _describe_key(self, ticks: Ticks, time_column: str) -> None:
        lines = self._lines
        self.columns += ["symbol", time_column, "tick_id"]
        lines.add_words([symbol.replace("\\", "\\\\") for symbol in ticks.symbols] + [""], ticks.symbol)
        lines.add_times(ticks.time_us)
        lines.add_numbers(ticks.tick_id, 1)
        if self._differ("trade_date", ticks.trade_date, date_text):
            days, chosen = np.unique(ticks.trade_date, return_inverse=True)
            lines.add_words([date_text(day) for day in days.tolist()], chosen)

    def _add_numbers(self, columns: Iterable[tuple[str, Int64, int]]) -> None:
        for name, values, unit in columns:
            if not is_absent(values):  # else the column's default is NULL
                self.columns.append(name)
                self._lines.add_numbers(values, unit)

    def _differ(self, column: str, values: Any1D, shown: Callable[[int], Any]) -> bool:
        """Whether the text has this column, for its values differ; else the value is said once, with the statement."""
        if len(values) and (values == values[0]).all():
            self.constants[column] = shown(int(values[0]))
            return False
        self.columns.append(column)
        return True

    def load(self, connection: BaseDatabaseWrapper, table: str) -> int:
        """Load it; rows that are there already are skipped. Returns how many were new.

        LOCAL turns errors into warnings, so whoever claimed the rows compares the number.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '/proc/self/fd/{self._handle}' INTO TABLE {connection.ops.quote_name(table)}"
                f" CHARACTER SET ascii ({', '.join(self.columns)})"
                f" SET {', '.join(f'{column} = %s' for column in self.constants)}",
                list(self.constants.values()),
            )
            return int(cursor.rowcount)

    def fileno(self) -> int:
        """The descriptor of the file with the text."""
        return self._handle

    def close(self) -> None:
        """Give the memory back."""
        os.close(self._handle)


class PriceFile(LoadFile):
    """The same of snapshots that have day figures, for stock_prices; `categories` by symbol."""

    def __init__(self, ticks: Ticks, categories: Mapping[str, str], *, many_rows: int = MANY_ROWS) -> None:
        self._categories = categories
        super().__init__(ticks, many_rows=many_rows)

    def _describe(self, ticks: Ticks) -> None:
        self._describe_key(ticks, "`timestamp`")
        self.columns.append("category")
        self._lines.add_words([self._categories.get(one, UNKNOWN) for one in ticks.symbols] + [UNKNOWN], ticks.symbol)
        self._add_numbers(price_columns(ticks))


def load_lines(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], text: bytes) -> int:
    """Load lines of text with these columns; rows that are there already are skipped. Returns how many were new; see
    `LoadFile.load`."""
    handle = _in_memory(text)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '/proc/self/fd/{handle}' INTO TABLE {connection.ops.quote_name(table)}"
                f" CHARACTER SET utf8mb4 ({', '.join(columns)})"
            )
            return int(cursor.rowcount)
    finally:
        os.close(handle)


def _in_memory(text: bytes) -> int:
    """The descriptor of a file that is nowhere on a disk."""
    handle = os.memfd_create("naru-load", os.MFD_CLOEXEC)
    view = memoryview(text)
    while view:
        view = view[os.write(handle, view) :]
    return handle


def _in_key_order(ticks: Ticks) -> Ticks:
    """The rows by symbol. Those of a symbol stay as they came, which is in the order of time but for late ones."""
    return ticks.take(np.argsort(symbol_ranks(ticks), kind="stable"))


class _ByRow:
    """The text as one format that every row fills in."""

    def __init__(self) -> None:
        self._formats: list[str] = []
        self._values: list[list[Any]] = []

    def _add(self, form: str, values: list[Any]) -> None:
        self._formats.append(form)
        self._values.append(values)

    def add_words(self, words: list[str], chosen: Any1D) -> None:
        self._add("%s", [words[at] for at in chosen.tolist()])

    def add_times(self, times_us: Int64) -> None:
        self._add("%s", moments(times_us))

    def add_numbers(self, values: Int64, unit: int) -> None:
        absent = values == ABSENT
        exponent = _EXPONENTS[unit]
        if unit > 1 and not (values % unit)[~absent].any():
            values, exponent = np.where(absent, ABSENT, values // unit), ""  # whole numbers need no fraction
        if absent.any():
            self._add("%s", [_NULL if value == ABSENT else f"{value}{exponent}" for value in values.tolist()])
        else:
            self._add("%d" + exponent, values.tolist())

    def text(self) -> bytes:
        line = "\t".join(self._formats) + "\n"
        return "".join([line % row for row in zip(*self._values, strict=True)]).encode("ascii")


class _ByColumn:
    """The text as a table of characters, of which whole columns are filled in at once: numbers by four digits out of a
    list of all that four digits can be. All rows are equally long; a NUL stands where a row has less to say, and goes
    in the end."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._pieces: list[bytes | Any1D] = []
        self._width = 0
        self._nulls: list[tuple[int, int, Any1D]] = []  # from, to and in which rows nothing is given
        self._has_gaps = False

    def _put(self, *pieces: bytes | Any1D) -> None:
        """Side by side, each the same bytes in every row or one element a row."""
        for piece in pieces:
            self._pieces.append(piece)
            self._width += len(piece) if isinstance(piece, bytes) else piece.dtype.itemsize

    def _begin(self) -> None:
        if self._pieces:
            self._put(b"\t")

    def add_words(self, words: list[str], chosen: Any1D) -> None:
        self._begin()
        self._put(np.array(words, "S")[chosen])  # shorter ones are filled up with NUL
        self._has_gaps |= len(set(map(len, words))) > 1

    def add_times(self, times_us: Int64) -> None:
        self._begin()
        day = times_us // DAY_US
        second = (times_us - day * DAY_US) // 1_000_000
        days, chosen = np.unique(day, return_inverse=True)
        dates = np.datetime_as_string(days.astype("datetime64[D]")).astype("S")
        self._put(dates[chosen], b"T", _CLOCK[second], b".", *_digits(times_us % 1_000_000, 6))
        self._has_gaps |= len(set(map(len, dates.tolist()))) > 1

    def add_numbers(self, values: Int64, unit: int) -> None:
        self._begin()
        absent = values == ABSENT
        given = np.where(absent, 0, values)
        negative = given < 0
        if negative.any():
            self._put(np.where(negative, np.uint8(ord("-")), np.uint8(0)))
            self._has_gaps = True
            given = np.abs(given)
        start = self._width
        whole = given // unit
        rest = given - whole * unit
        self._put(*_digits(whole, max(len(str(whole.max())), len(_NULL) if absent.any() else 1)))
        if rest.any():  # whole numbers need no fraction
            self._put(b".", *_digits(rest, len(str(unit)) - 1))
        if absent.any():
            self._nulls.append((start, self._width, absent))
            self._has_gaps = True

    def text(self) -> bytes:
        fields = [
            (str(at), f"S{len(piece)}" if isinstance(piece, bytes) else piece.dtype)
            for at, piece in enumerate([*self._pieces, b"\n"])
        ]
        lines = np.empty(self._rows, fields)
        for (name, _), piece in zip(fields, [*self._pieces, b"\n"], strict=True):
            lines[name] = piece
        characters = lines.view(np.uint8).reshape(self._rows, self._width + 1)
        for start, end, absent in self._nulls:
            characters[absent, start:end] = 0
            characters[absent, start : start + len(_NULL)] = np.frombuffer(_NULL.encode(), np.uint8)
        text = lines.tobytes()
        return text.translate(None, delete=b"\0") if self._has_gaps else text


_Lines = _ByRow | _ByColumn


def _all_numbers(digits: int) -> Any1D:
    """Every number of so many decimal digits as text, each one element."""
    text = b"".join(b"%0*d" % (digits, number) for number in range(10**digits))
    return np.frombuffer(text, {1: "u1", 2: "u2", 3: "S3", 4: "u4"}[digits])


_NUMBERS = {digits: _all_numbers(digits) for digits in (1, 2, 3, 4)}
_CLOCK = np.frombuffer(
    b"".join(b"%02d:%02d:%02d" % (at // 3600, at // 60 % 60, at % 60) for at in range(86_400)), np.uint64
)


def _digits(values: Int64, count: int) -> list[Any1D]:
    """Numbers that are not negative in decimal, `count` digits each, in pieces of at most four."""
    pieces: list[Any1D] = []
    while count > 4:
        upper = values // 10_000
        pieces.append(_NUMBERS[4][values - upper * 10_000])
        values, count = upper, count - 4
    pieces.append(_NUMBERS[count][values])
    return pieces[::-1]
