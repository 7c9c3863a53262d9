"""The difference between a block of a sheet and the one before it, by code: snapshots of what changed, and which codes
say nothing. Knows no clock, no Excel and no file: every call brings the block and the time."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from terminals.batcher import Row
from terminals.sources.infomax import cells, column_map
from terminals.sources.infomax.cells import Cell, Junk
from terminals.sources.infomax.column_map import Block, Column, ColumnMap, Layout, MapError
from terminals.wire import Kind

_MOST_CODES: Final = 20_000
_WIDTHS: Final = {"KRX": 6, "NXT": 6}  # digits of a stock's code that lost its zeros
_AHEAD_US: Final = 300_000_000  # by how much the clock of a PC may be slow
_BEHIND_US: Final = 12 * 3_600_000_000  # an older time of trade is of another day: the picture is of now
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Change:
    """What one block brought: rows to be sent, the codes that have a price, why others have none, and what a person
    should hear."""

    rows: list[Row]
    readable: set[str]
    unreadable: dict[str, str]
    notes: list[str]


@dataclass(slots=True)
class _Known:
    """What was last seen of one code."""

    cells: tuple[Cell, ...] | None = None
    values: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    reason: str | None = None  # why it has no price now
    volume_day: int | None = None  # when its volume last changed


class Sheet:
    """`take` each block; the counts are of the whole run, `problems` of the cells as they are now. Rows are numbered by
    `seq`; codes beyond `most_codes` are counted and left out."""

    def __init__(
        self,
        given: ColumnMap,
        *,
        market: str | None = None,
        seq: Iterator[int] | None = None,
        most_codes: int = _MOST_CODES,
    ) -> None:
        self._map, self._market, self._seq = given, given.market or market, seq or itertools.count(1)
        self._most_codes = most_codes
        self._width = _WIDTHS.get(self._market or "", 0) if given.width is None else given.width
        self._known: dict[str, _Known] = {}
        self._layout: Layout | None = None
        self._codes_read: dict[tuple[type, Cell], str] = {}
        self._told: dict[str, object] = {}
        self._now: Counter[tuple[str, str]] = Counter()
        self.blocks = self.rows = self.volume_falls = self.float_noise = self.duplicates = 0

    @property
    def problems(self) -> Mapping[tuple[str, str], int]:
        """How many cells of each column have no value, by the reason."""
        return {key: count for key, count in sorted(self._now.items()) if count > 0}

    def take(self, block: Block, *, now_us: int) -> Change:
        """What changed since the last block, stamped with `now_us` unless the sheet has a time. MapError if it has no
        header row, or if the map does not fit the first block."""
        notes: list[str] = []
        layout = self._find(block, notes)
        change = Change([], set(), {}, notes)
        first_row: dict[str, int] = {}
        twice: dict[str, int] = {}
        codeless: Counter[tuple[str, str]] = Counter()
        for number in range(layout.row + 1, len(block)):
            row = block[number]
            given = tuple(row[index] if index < len(row) else None for index in layout.indices)
            code = self._code(given, codeless)
            if code is None:
                continue
            if code in first_row:
                twice[code] = number
                continue
            known = self._known.get(code)
            if known is None:
                if len(self._known) >= self._most_codes:
                    codeless["code", "too_many"] += 1
                    continue
                known = self._known[code] = _Known()
            first_row[code] = number
            self._look(code, known, given, layout, change, now_us)
        for code in self._known.keys() - first_row.keys():
            change.unreadable[code] = "missing_code"
            self._forget(self._known[code])
        self._note("codeless", dict(codeless), notes, "rows_without_code")
        self._note("twice", {code: (first_row[code] + 1, at + 1) for code, at in twice.items()}, notes, "code_twice")
        self._count(codeless)
        self.duplicates = len(twice)
        self.blocks += 1
        self.rows += len(change.rows)
        return change

    def _find(self, block: Block, notes: list[str]) -> Layout:
        """The layout of the last block if the header row is still there, otherwise the one that is now."""
        before = self._layout
        if before is not None and not before.problems and column_map.still_there(block, before, self._map):
            return before
        layout = column_map.find(block, self._map)
        if before is None and layout.problems:
            raise MapError("; ".join(layout.problems))
        if before is not None and layout != before:
            # Cells are compared by their place in a row of the layout; in a new one each is read again.
            for known in self._known.values():
                known.cells = None
            told = f": {'; '.join(layout.problems)}" if layout.problems else ""
            notes.append(f"columns_moved header_row={layout.row + 1}{told}")
        self._layout = layout
        return layout

    def _code(self, given: tuple[Cell, ...], codeless: Counter[tuple[str, str]]) -> str | None:
        """The code of a row; None, and counted, if it has none. A row that is blank all over is no row."""
        cell = given[0]
        key = (type(cell), cell)
        code = self._codes_read.get(key)
        if code is not None:
            return code
        try:
            code = cells.read_code(cell, self._market, prefix=self._map.prefix, width=self._width)
        except Junk as junk:
            if not all(map(cells.is_blank, given)):
                codeless["code", junk.reason] += 1
            return None
        if len(self._codes_read) < self._most_codes:
            self._codes_read[key] = code
        return code

    def _look(
        self, code: str, known: _Known, given: tuple[Cell, ...], layout: Layout, change: Change, now_us: int
    ) -> None:
        # TRUE equals 1, so a row with it is read each time.
        comparable = bool not in map(type, given)
        if not comparable or given != known.cells:
            known.cells = given if comparable else None
            self._read(code, known, given, layout, change, now_us)
        if known.reason is None:
            change.readable.add(code)
        else:
            change.unreadable[code] = known.reason

    def _read(
        self, code: str, known: _Known, given: tuple[Cell, ...], layout: Layout, change: Change, now_us: int
    ) -> None:
        values, problems = dict[str, int](), dict[str, str]()
        for (column, _), cell in zip(layout.columns, given[1:], strict=False):
            try:
                values[column.field] = self._value(column, cell)
            except Junk as junk:
                problems[column.field] = junk.reason
        stamps = list(given[1 + len(layout.columns) :])
        time_cell = stamps.pop(0) if layout.time is not None else None
        day = self._day(stamps[0], problems) if layout.date is not None else None
        time_us = self._time(time_cell, day, problems, now_us) if layout.time is not None else now_us
        self._count_of(known, -1)
        known.problems = problems
        self._count_of(known, 1)
        known.reason = problems.get("price")
        if known.reason is not None:
            return
        before = known.values
        if all(before.get(name) == value for name, value in values.items()):
            return
        self._watch_volume(code, known, values, self._map.local_day(now_us) if day is None else day, change.notes)
        known.values = {**before, **values}
        row = {"symbol": code, "time_us": time_us, "kind": Kind.SNAPSHOT, "seq": next(self._seq), **values}
        change.rows.append(row if day is None else {**row, "trade_date": day})

    def _value(self, column: Column, cell: Cell) -> int:
        rate = column.nature == "rate"
        value, noisy = cells.read_number(
            cell, scale=column.scale, power=column.power, percent=rate, fraction=column.fraction, places=column.places
        )
        if column.nature == "price" and not column.signed:
            if value == 0:
                raise Junk("zero")  # nothing was traded yet, or nobody bids
            if value < 0:
                raise Junk("negative")
        if column.nature == "size" and value < 0:
            raise Junk("negative")
        self.float_noise += noisy
        return value

    def _day(self, cell: Cell, problems: dict[str, str]) -> int | None:
        try:
            return cells.read_day(cell)
        except Junk as junk:
            problems["date"] = junk.reason
            return None

    def _time(self, cell: Cell, day: int | None, problems: dict[str, str], now_us: int) -> int:
        """The time of the exchange in microseconds UTC; the time of receipt where the sheet has none that can be of
        this picture."""
        try:
            moment = cells.read_time(cell)
        except Junk as junk:
            problems["time"] = junk.reason
            return now_us
        of = next(one for one in (moment.day, day, self._map.local_day(now_us)) if one is not None)
        time_us = of * _DAY_US + moment.us - self._map.offset_us
        if not now_us - _BEHIND_US <= time_us <= now_us + _AHEAD_US:
            problems["time"] = "of_another_day"
            return now_us
        return time_us

    def _watch_volume(self, code: str, known: _Known, values: Mapping[str, int], day: int, notes: list[str]) -> None:
        """A day's volume only grows. It starts over with a new day, at the latest with its first change on that day."""
        volume, before = values.get("cum_volume"), known.values.get("cum_volume")
        if volume is None or volume == before:
            return
        if before is not None and volume < before and known.volume_day == day:
            self.volume_falls += 1
            notes.append(f"volume_fell symbol={code} from={before} to={volume} in_units_of=1e-6")
        if before is not None or self._map.date is not None:
            known.volume_day = day

    def _forget(self, known: _Known) -> None:
        """Its row is gone: its cells have no problems, and are read anew when it is back."""
        self._count_of(known, -1)
        known.problems, known.cells = {}, None

    def _count_of(self, known: _Known, step: int) -> None:
        for column, reason in known.problems.items():
            self._now[column, reason] += step

    def _count(self, codeless: Counter[tuple[str, str]]) -> None:
        for key in [key for key in self._now if key[0] == "code"]:
            del self._now[key]
        self._now.update(codeless)

    def _note(self, what: str, found: Mapping[Any, Any], notes: list[str], words: str) -> None:
        """Tell it once for as long as it stays the same."""
        if self._told.get(what, {}) != found:
            self._told[what] = found
            shown = dict(list(found.items())[:20])
            notes.append(f"{words} count={len(found)} first={shown}" if found else f"{words} count=0")
