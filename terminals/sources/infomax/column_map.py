"""The map of a sheet: which workbook, sheet and range, which header stands over which figure. Written in TOML by the
person who made the sheet; docker/terminals/infomax.toml has every line of it."""

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

from terminals.sources.infomax import cells
from terminals.wire import PRICE_SCALE, SIZE_SCALE
from terminals.wire.language import gettext as _

Block = Sequence[Sequence[cells.Cell]]
"""The cells of a range, row by row."""
Nature = Literal["price", "rate", "size"]

_VALUE_SCALE: Final = 2  # cum_value is in hundredths of the currency: totals of a day do not fit 1e-6
FIELDS: Final[Mapping[str, tuple[Nature, int]]] = {
    "price": ("price", PRICE_SCALE),
    "open": ("price", PRICE_SCALE),
    "high": ("price", PRICE_SCALE),
    "low": ("price", PRICE_SCALE),
    "prev_close": ("price", PRICE_SCALE),
    "upper_limit": ("price", PRICE_SCALE),
    "lower_limit": ("price", PRICE_SCALE),
    "change_rate": ("rate", PRICE_SCALE),
    "cum_volume": ("size", SIZE_SCALE),
    "cum_value": ("size", _VALUE_SCALE),
    "bid": ("price", PRICE_SCALE),
    "ask": ("price", PRICE_SCALE),
    "bid_size": ("size", SIZE_SCALE),
    "ask_size": ("size", SIZE_SCALE),
}
"""What a column may be: its nature, and the decimal places in which it is sent."""
_LISTED: Final = 12  # headers that a message names
_HEADINGS: Final = 200  # rows in which the header row is looked for
_SHEET: Final = ("workbook", "file", "name", "range", "market", "feed", "utc_offset", "heartbeat", "hours")
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")
_CELL: Final = re.compile(r"\$?([A-Z]{1,3})\$?([1-9][0-9]{0,6})")
_HOURS: Final = re.compile(r"([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")
_DAY_US: Final = 86_400_000_000


class MapError(ValueError):
    """The map, or the sheet it is for, cannot be used; the message says what is wrong and what is there."""


@dataclass(frozen=True)
class Column:
    """One column: its headers, any of which may stand over it, and how its cells are read."""

    field: str
    headers: tuple[str, ...]
    nature: Nature = "price"
    scale: int = PRICE_SCALE
    power: int = 0  # a cell counts in units of 10^power
    fraction: bool = False  # a rate of 1.25 % is the number 0.0125
    places: int | None = None  # rounded to so many decimal places: a formula made the number
    signed: bool = False  # zero and negative prices are prices


@dataclass(frozen=True)
class Area:
    """A range such as A1:M600, rows and columns counted from 0, the last included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class Hours:
    """When a sheet is expected to move: from Monday to Friday, microseconds of the local day."""

    start_us: int
    end_us: int


@dataclass(frozen=True)
class ColumnMap:
    """What the TOML file says."""

    code: Column
    columns: tuple[Column, ...]
    workbook: str | None = None
    file: Path | None = None
    sheet: str = ""
    range: str | None = None
    market: str | None = None
    feed: str | None = None
    time: Column | None = None
    date: Column | None = None
    prefix: str = ""
    width: int | None = None  # of a code that is digits alone; None: as its market has it
    offset_us: int = 9 * 3_600_000_000
    heartbeat: str | None = None
    hours: Hours | None = None

    def local_day(self, time_us: int) -> int:
        """The day since 1970-01-01 on the clock of the sheet."""
        return (time_us + self.offset_us) // _DAY_US

    def expects_movement(self, time_us: int) -> bool:
        """Whether the sheet should move now. Never when the map names no hours. Knows no holidays."""
        day, us = divmod(time_us + self.offset_us, _DAY_US)
        # 1970-01-01 was a Thursday.
        return self.hours is not None and (day + 3) % 7 < 5 and self.hours.start_us <= us < self.hours.end_us


@dataclass(frozen=True)
class Layout:
    """Where the columns of the map stand in a block, and what of the map was not found or stands there twice."""

    row: int
    code: int
    columns: tuple[tuple[Column, int], ...]
    time: int | None
    date: int | None
    problems: tuple[str, ...]

    @property
    def indices(self) -> tuple[int, ...]:
        """Every cell of a row that matters."""
        others = tuple(index for index in (self.time, self.date) if index is not None)
        return (self.code, *(index for _, index in self.columns), *others)


def read(path: Path) -> ColumnMap:
    """The map of a file. MapError; OSError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MapError(_("{path} is no TOML in UTF-8: {error}").format(path=path, error=error)) from None
    try:
        return parse(content)
    except MapError as error:
        raise MapError(f"{path}: {error}") from None


def parse(content: Mapping[str, Any]) -> ColumnMap:
    """The map in the tables of a TOML document. MapError."""
    _only(content, ("sheet", "code", "columns"), _("the map"))
    sheet, code, given = (content.get(name) for name in ("sheet", "code", "columns"))
    if not isinstance(sheet, Mapping) or code is None or not isinstance(given, Mapping) or "price" not in given:
        _wrong(_("a map has [sheet] with its name, [code] with headers, and [columns] with at least price"))
    _only(sheet, _SHEET, "[sheet]")
    _only(code if isinstance(code, Mapping) else {}, ("headers", "prefix", "width"), "[code]")
    _only(given, (*FIELDS, "time", "date"), "[columns]")
    hours, heartbeat, area = (_text(sheet, name) or None for name in ("hours", "heartbeat", "range"))
    if area is not None:
        area_of(area)
    if heartbeat is not None:
        area_of(heartbeat)
    file = _text(sheet, "file")
    return ColumnMap(
        code=Column("code", _headers("code", code)),
        columns=tuple(_column(name, given[name]) for name in FIELDS if name in given),
        workbook=_text(sheet, "workbook") or None,
        file=Path(file) if file else None,
        sheet=_text(sheet, "name") or _wrong(_("[sheet] has no name: the one on the sheet's tab")),
        range=area,
        market=_text(sheet, "market") or None,
        feed=_text(sheet, "feed") or None,
        time=_stamp("time", given),
        date=_stamp("date", given),
        prefix=_text(code, "prefix") if isinstance(code, Mapping) else "",
        width=_integer(code, "width", 0, 24) if isinstance(code, Mapping) else None,
        offset_us=_offset(_text(sheet, "utc_offset") or "+09:00"),
        heartbeat=heartbeat,
        hours=_hours(hours) if hours else None,
    )


def area_of(text: str) -> Area:
    """A range such as A1:M600, or one cell. MapError."""
    corners = [_CELL.fullmatch(part) for part in text.upper().split(":")]
    if len(corners) > 2 or None in corners:
        _wrong(_("range {text!r}: it is written such as A1:M600").format(text=text))
    (top, left), (bottom, right) = (
        (int(corner[2]) - 1, _number_of(corner[1])) for corner in (corners[0], corners[-1]) if corner
    )
    if bottom < top or right < left:
        _wrong(_("range {text!r}: the first corner is the upper left one").format(text=text))
    return Area(top, left, bottom, right)


def find(block: Block, given: ColumnMap) -> Layout:
    """Where the columns stand: in the first row that has headers for code and price. MapError if there is none."""
    best: dict[str, list[int]] = {}
    for number, row in enumerate(block[:_HEADINGS]):
        places = _places(row)
        if _at(places, given.code) and _at(places, given.columns[0]):
            return _layout(number, places, given)
        if len(places) > len(best):
            best = places
    missing = [one for one in (given.code, given.columns[0]) if not _at(best, one)]
    raise MapError(
        _("no row of the sheet has a header for {missing}; the row with the most texts has {there}").format(
            missing=", ".join(_named(one) for one in missing) or "code, price", there=_listed(best)
        )
    )


def still_there(block: Block, layout: Layout, given: ColumnMap) -> bool:
    """Whether the header row is where it was, with the same columns."""
    if layout.row >= len(block):
        return False
    row = block[layout.row]
    stamps = ((given.time, layout.time), (given.date, layout.date))
    at = [(given.code, layout.code), *layout.columns]
    at += [(one, index) for one, index in stamps if one is not None and index is not None]
    return all(index < len(row) and _heading(row[index]) in one.headers for one, index in at)


def letters(index: int) -> str:
    """The name of a column counted from 0: A, B, … AA."""
    name, index = "", index + 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _layout(number: int, places: Mapping[str, list[int]], given: ColumnMap) -> Layout:
    problems, missing, found = [], list[str](), dict[str, int]()
    for column in (given.code, *given.columns, given.time, given.date):
        if column is None:
            continue
        at = _at(places, column)
        if not at:
            missing.append(_named(column))
            continue
        found[column.field] = at[0]
        if len(at) > 1:
            twice = ", ".join(letters(index) for index in at)
            told = _("{header} stands in several columns ({columns}): limit the range, or rename one")
            problems.append(told.format(header=_named(column), columns=twice))
    if missing:
        told = _("not in the header row: {missing}; it has {there}")
        problems.append(told.format(missing=", ".join(missing), there=_listed(places)))
    return Layout(
        row=number,
        code=found["code"],
        columns=tuple((one, found[one.field]) for one in given.columns if one.field in found),
        time=found.get("time"),
        date=found.get("date"),
        problems=tuple(problems),
    )


def _places(row: Sequence[cells.Cell]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, cell in enumerate(row):
        heading = _heading(cell)
        if heading:
            found.setdefault(heading, []).append(index)
    return found


def _at(places: Mapping[str, list[int]], column: Column) -> list[int]:
    """The columns over which one of the headers stands."""
    return sorted(index for header in column.headers for index in places.get(header, ()))


def _heading(cell: cells.Cell) -> str:
    return cells.tidy(cell).casefold() if isinstance(cell, str) else ""


def _named(column: Column) -> str:
    return f"{column.field} ({_(' or ').join(repr(one) for one in column.headers)})"


def _listed(places: Mapping[str, list[int]]) -> str:
    """The first texts of a row with their columns; a row may have hundreds."""
    rest = len(places) - _LISTED
    shown = ", ".join(f"{at[0]}={text!r}" for text, at in _lettered(places)[:_LISTED])
    return (shown + (f", … (+{rest})" if rest > 0 else "")) or _("no texts at all")


def _lettered(places: Mapping[str, list[int]]) -> list[tuple[str, list[str]]]:
    return [
        (text, [letters(index) for index in at]) for text, at in sorted(places.items(), key=lambda item: item[1][0])
    ]


def _column(field: str, given: object) -> Column:
    nature, scale = FIELDS[field]
    options = given if isinstance(given, Mapping) else {}
    _only(options, ("headers", "kind", "unit", "places", "signed"), field)
    kind = options.get("kind", "number")
    if kind not in ("number", "percent", "fraction") or (kind != "number" and nature != "rate"):
        told = _("{field}: kind {kind!r} is none of number, and for change_rate percent (1.25) or fraction (0.0125)")
        _wrong(told.format(field=field, kind=kind))
    unit = options.get("unit", 1)
    if type(unit) is not int or not re.fullmatch("10{0,12}", str(unit)):
        _wrong(_("{field}: unit {unit!r} is no power of ten such as 1000000").format(field=field, unit=unit))
    signed = options.get("signed", False)
    if type(signed) is not bool:
        _wrong(_("{field}: signed is true or false").format(field=field))
    return Column(
        field=field,
        headers=_headers(field, given),
        nature=nature,
        scale=scale,
        power=len(str(unit)) - 1,
        fraction=kind == "fraction",
        places=_integer(options, "places", 0, scale),
        signed=signed,
    )


def _stamp(field: str, given: Mapping[str, Any]) -> Column | None:
    return Column(field, _headers(field, given[field])) if field in given else None


def _headers(field: str, given: object) -> tuple[str, ...]:
    texts = given.get("headers") if isinstance(given, Mapping) else given
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) and _heading(one) for one in texts):
        _wrong(_('{field}: give its header, or several it may have: ["…", "…"]').format(field=field))
    return tuple(_heading(one) for one in texts)


def _only(given: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        told = _("{where} has {unknown}, which nobody reads; it may have {known}")
        _wrong(told.format(where=where, unknown=", ".join(unknown), known=", ".join(known)))


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name, "")
    if not isinstance(text, str):
        _wrong(_("{name} is a text in quotation marks").format(name=name))
    return text.strip()


def _integer(given: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    number = given.get(name)
    if number is not None and (type(number) is not int or not low <= number <= high):
        _wrong(_("{name} is a whole number from {low} to {high}").format(name=name, low=low, high=high))
    return number


def _offset(text: str) -> int:
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        _wrong(_("utc_offset {text!r}: it is written such as +09:00").format(text=text))
    delta = datetime.timedelta(hours=int(match[2]), minutes=int(match[3])) // datetime.timedelta(microseconds=1)
    return -delta if match[1] == "-" else delta


def _hours(text: str) -> Hours:
    match = _HOURS.fullmatch(text)
    hours = [int(part) for part in match.groups()] if match else [24, 0, 0, 0]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if not start < end <= 24 * 60:
        _wrong(_("hours {text!r}: they are written such as 09:00-15:30, within one day").format(text=text))
    return Hours(start * 60_000_000, end * 60_000_000)


def _number_of(name: str) -> int:
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _wrong(message: str) -> NoReturn:
    raise MapError(message)
