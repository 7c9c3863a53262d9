"""Tables of text as people's programs write them (CSV of Excel, of order systems, of a PC that lost power): which
encoding and separator they have, and their rows line by line. A line that cannot be read does not end the table."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from terminals.wire.language import gettext as _

SEPARATORS: Final = ",;\t|"
_PIECE: Final = 1 << 20
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TableError(ValueError):
    """This is no table that can be read; the message says what to do."""


@dataclass(frozen=True)
class Line:
    """One line of a table: its number in the file, counted from 1, and its cells by lower-case name of the column, or
    what is wrong with it."""

    number: int
    cells: dict[str, str]
    problem: str | None = None


def encoding_of(file: Path) -> str:
    """The encoding of a file of text: by its mark, UTF-16 without a mark, UTF-8, or cp949 as Korean Excel writes it.
    The whole file is read. TableError if it is none of these; OSError."""
    with file.open("rb") as opened:
        guessed = _by_its_head(opened.read(4096))
        if guessed is not None:
            return guessed
        wrong = _first_wrong_byte(opened, "utf-8")
        if wrong is None:
            return "utf-8"
        if _first_wrong_byte(opened, "cp949") is None:
            return "cp949"
    raise TableError(_("neither UTF-8 nor cp949: byte {byte} is wrong. Save it as CSV UTF-8").format(byte=wrong))


def text_of(data: bytes) -> str:
    """The text of a small table, its encoding found as `encoding_of` does. TableError."""
    for encoding in filter(None, (_by_its_head(data[:4096]), "utf-8", "cp949")):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise TableError(_("neither UTF-8 nor cp949. Save it as CSV UTF-8"))


def _by_its_head(head: bytes) -> str | None:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if len(head) >= 4 and zeros.count(0) > len(zeros) * 0.7 and head.count(0) < len(head) * 0.6:
            return name
    return None


def _first_wrong_byte(opened: IO[bytes], encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    at = opened.seek(0)
    while True:
        piece = opened.read(_PIECE)
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            return at - kept + error.start
        if not piece:
            return None
        at += len(piece)


def read(file: Path, *, needed: Sequence[str], known: Sequence[str] = ()) -> Iterator[Line]:
    """The lines of a table with a heading, without the blank ones and without the heading repeated.

    `needed` columns must be there, `known` ones may be; upper or lower case is the same. Cells are stripped. The
    separator is the one of `SEPARATORS` with which the heading has the needed columns. A line that cannot be read comes
    with its `problem`. TableError if the heading is missing; OSError.
    """
    encoding = encoding_of(file)
    # UTF-16 was not read to its end yet: half a character at the end of a torn file spoils its line alone.
    errors = "replace" if encoding.startswith("utf-16") else "strict"
    with file.open(encoding=encoding, errors=errors, newline="") as opened:
        heading = next(opened, "")
        separator, names = _columns(heading, needed, known)
        yield from _lines(opened, separator, names)


def _columns(heading: str, needed: Sequence[str], known: Sequence[str]) -> tuple[str, list[str]]:
    for separator in SEPARATORS:
        names = [name.lower() for name in _cells(heading, separator) or ()]
        if all(name in names for name in needed):
            twice = [name for name in (*needed, *known) if names.count(name) > 1]
            if twice:
                raise TableError(_("line 1: column {names} is there twice").format(names=", ".join(twice)))
            return separator, names
    best = max(SEPARATORS, key=heading.count)
    found = [name.lower() for name in _cells(heading, best) or ()]
    missing = [name for name in needed if name not in found]
    told = (
        _(
            "line 1: column {missing} is missing. The first line must name the columns {needed} and may name {known},"
            " separated by comma, semicolon or tab; it is {heading!r}"
        )
        if known
        else _(
            "line 1: column {missing} is missing. The first line must name the columns {needed},"
            " separated by comma, semicolon or tab; it is {heading!r}"
        )
    )
    raise TableError(
        told.format(
            missing=", ".join(missing), needed=", ".join(needed), known=", ".join(known), heading=heading.strip()[:200]
        )
    )


def _lines(opened: IO[str], separator: str, names: list[str]) -> Iterator[Line]:
    for number, line in enumerate(opened, start=2):
        if "\0" in line:
            yield Line(number, {}, "has NUL bytes, as a power cut leaves them")
            continue
        cells = _cells(line, separator)
        if cells is None:
            yield Line(number, {}, "has a quotation mark without its partner, or a cell that is too long")
            continue
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if not any(cells) or [cell.lower() for cell in cells] == names:
            continue
        if len(cells) != len(names):
            torn = "" if line.endswith(("\n", "\r")) else ": the file ends in the middle of a line"
            yield Line(number, {}, f"has {len(cells)} cells where the first line has {len(names)}{torn}")
            continue
        yield Line(number, dict(zip(names, cells, strict=True)))


def _cells(line: str, separator: str) -> list[str] | None:
    """The cells of one line; None if its quotation marks make none. A cell may not hold a line break: a mark that has
    lost its partner would swallow the rest of the file."""
    try:
        rows = list(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error:
        return None
    return [cell.strip() for cell in rows[0]] if rows else []
