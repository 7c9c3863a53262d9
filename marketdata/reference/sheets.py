"""Reference data as people keep it in spreadsheets: CSV of which no cell is taken for a formula, read back as a plan of
what would change, line by line. The plan is what is applied, in one transaction, or nothing is. Knows no request."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils import translation
from django.utils.translation import gettext as _

from marketdata.models import AdjustmentFactor, CalendarOverride, Market, Symbol
from marketdata.reference.symbols import Directory

MOST_BYTES = 700 << 10  # of a file; with what goes around it, below WEB_MAX_BODY_BYTES as it is set by default
MOST_ROWS = 20_000
_AT_ONCE = 500  # rows of a statement
# What a spreadsheet would compute (CWE-1236). One apostrophe more stands before it in a file, and is taken off again.
FORMULA_BEGINS = "=+-@\t\r\n＝＋－＠"
"""With what a cell of a CSV begins that spreadsheets take for a formula (OWASP, CSV injection)."""
_FORMULA, _ESCAPED = (re.compile(f"'{times}[{re.escape(FORMULA_BEGINS)}]") for times in "*+")
_DATE = re.compile(r"(\d{4})\s*[-/.년]\s*(\d{1,2})\s*[-/.월]\s*(\d{1,2})\s*[일.]?")
_YES, _NO = ("true", "1", "yes", "y", "예", "참"), ("false", "0", "no", "n", "아니요", "아니오", "거짓")


class SheetError(Exception):
    """A file that is no such sheet; the message says what to do, in the reader's language."""


class Verdict(StrEnum):
    """What becomes of a line."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as a file: its `columns` in their order, and by which of them a row is found again. `check` says what is
    wrong with a new row, or one of which a column of `checked` changes, beyond what its fields and its model do."""

    name: str
    model: type[models.Model]
    key: tuple[str, ...]
    columns: tuple[str, ...]
    check: Callable[[Any], str] = lambda row: ""
    checked: tuple[str, ...] = ()

    def fields(self) -> dict[str, models.Field[Any, Any]]:
        return {name: self.model._meta.get_field(name) for name in self.columns}  # type: ignore[misc]  # no relations backwards


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a row before and after, as a file has them."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file, its verdict, what changes, or why it is refused. `row` is as it would be stored."""

    number: int
    key: str
    verdict: Verdict
    changes: tuple[Change, ...] = ()
    reasons: tuple[str, ...] = ()
    row: Any = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file would do to the table as it is now."""

    sheet: Sheet
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    def of(self, verdict: Verdict) -> list[Line]:
        return [line for line in self.lines if line.verdict is verdict]

    def new_rows(self) -> list[tuple[int, list[str]]]:
        """The number of each line that adds a row, and what the row would have by the file's columns."""
        told = [(line.number, {one.field: one.after for one in line.changes}) for line in self.of(Verdict.ADDED)]
        return [(number, [values.get(name, "") for name in self.columns]) for number, values in told]

    @property
    def digest(self) -> str:
        """Equal for two plans that do the same to the same values; without words, which have a language."""
        told = [
            [line.number, line.key, line.verdict, [[one.field, one.before, one.after] for one in line.changes]]
            for line in self.lines
        ]
        return hashlib.sha256(json.dumps([self.sheet.name, told]).encode()).hexdigest()


# --- files ------------------------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return format(value.normalize(), "f") if hasattr(value, "normalize") else str(value)


def cell(value: Any) -> str:
    """A value as it stands in a file."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else shown(value)


def unescaped(text: str) -> str:
    """What `cell` made of a text, as it was."""
    return text[1:] if _ESCAPED.match(text) else text


def write(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A file that Excel reads as it is meant: UTF-8 with its mark, no cell a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def decoded(content: bytes, size: int = 0) -> str:
    """The text of a file as Excel saves it: UTF-8 with or without its mark, CP949, or UTF-16 ("Unicode text").
    SheetError for anything else, and for one that is too large: of `size` bytes, where only its beginning is given."""
    if len(content) > MOST_BYTES:
        text = _("The file has %(bytes)d KiB, and may have %(most)d: import it in parts.")
        raise SheetError(text % {"bytes": -(-max(size, len(content)) >> 10), "most": MOST_BYTES >> 10})
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if is_wide else ("utf-8-sig", "cp949"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise SheetError(_("This is no text in UTF-8 or CP949: save it as CSV, not as a workbook."))


def _rows(sheet: Sheet, text: str) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """The columns that a file has, and its lines with their numbers. SheetError says what is wrong with the file."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        names = _columns(sheet, next(reader, []))
        rows = []
        for row in reader:
            if any(one.strip() for one in row):
                rows.append((reader.line_num, row))
            if len(rows) > MOST_ROWS:
                raise SheetError(_("More than %(most)d lines: import it in parts.") % {"most": MOST_ROWS})
    except csv.Error as error:
        wrong = {"line": reader.line_num, "error": error}
        raise SheetError(_("Line %(line)d is no CSV: %(error)s.") % wrong) from error
    return names, rows


def _columns(sheet: Sheet, header: Sequence[str]) -> tuple[str, ...]:
    known: dict[str, str] = {}
    for name, field in sheet.fields().items():
        known[name] = name
        for language in ("en", "ko"):
            with translation.override(language):
                known[_word(str(field.verbose_name))] = name
    given = [_word(one) for one in header]
    unknown = [one for one in given if one not in known]
    if unknown or not given:
        text = _("The first line names the columns; %(unknown)s is none of %(known)s.")
        raise SheetError(text % {"unknown": repr(unknown[0] if unknown else ""), "known": ", ".join(sheet.columns)})
    names = tuple(known[one] for one in given)
    if len(set(names)) < len(names):
        raise SheetError(_("A column is named twice."))
    lacking = [name for name in sheet.key if name not in names]
    if lacking:
        raise SheetError(_("The column %(name)s is missing: rows are found by it.") % {"name": lacking[0]})
    return names


def _word(heading: str) -> str:
    """A heading however it is spaced: people write names of columns as they like."""
    return "".join(heading.split()).casefold()


# --- the plan ---------------------------------------------------------------------------------------------------------


def plan(sheet: Sheet, text: str, *, may_add: bool = True, may_change: bool = True, lock: bool = False) -> Plan:
    """What the file would do now. With `lock`, within a transaction, nobody changes the rows it names until that ends.
    SheetError for a file that is no such sheet."""
    names, rows = _rows(sheet, text)
    reader = _Reader(sheet, names)
    read = [(number, reader.values(row)) for number, row in rows]
    stored = _stored(sheet, [values for _number, (values, reasons) in read if not reasons], lock=lock)
    lines: list[Line] = []
    seen: dict[tuple[Any, ...], int] = {}
    # A database may take two keys for one that differ in their capitals: what it found for a line then has another key.
    others = {_folded(key): " ".join(shown(one) for one in key) for key in stored}
    for number, (values, reasons) in read:
        key = tuple(values.get(name) for name in sheet.key)
        words = " ".join(shown(one) for one in key)
        repeated = [_("It is in line %(line)d already.") % {"line": seen[key]}] if key in seen else []
        if reasons or repeated:
            lines.append(Line(number, words, Verdict.REFUSED, reasons=tuple(reasons or repeated)))
            continue
        row, alike = stored.get(key), _folded(key)
        if row is None and alike in others:
            text = _("%(code)s and %(other)s differ in small and capital letters alone: write it as it is there.")
            reason = text % {"code": words, "other": others[alike]}
            lines.append(Line(number, words, Verdict.REFUSED, reasons=(reason,)))
            continue
        others.setdefault(alike, words)
        seen[key] = number
        lines.append(_line(sheet, number, words, values, row, may_add=may_add, may_change=may_change))
    return Plan(sheet, names, tuple(lines))


def _folded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.casefold() if isinstance(one, str) else one for one in key)


class _Reader:
    """Values of lines by the model's own fields."""

    def __init__(self, sheet: Sheet, names: Sequence[str]) -> None:
        self._sheet, self._names, self._fields = sheet, names, sheet.fields()
        self._markets = set(Market.objects.values_list("pk", flat=True))

    def values(self, row: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """Values by column, and what is wrong with them. An empty cell that may not be empty is left out."""
        found: dict[str, Any] = {}
        if len(row) != len(self._names):
            numbers = {"cells": len(row), "columns": len(self._names)}
            key = {name: one.strip() for name, one in zip(self._names, row, strict=False) if name in self._sheet.key}
            return key, [_("It has %(cells)d cells, and the first line %(columns)d.") % numbers]
        reasons: list[str] = []
        for name, given in zip(self._names, row, strict=True):
            text = unescaped(given.strip())
            field = self._fields[name]
            if not text and not field.blank and name not in self._sheet.key:
                continue
            try:
                found[name] = self._value(field, text)
            except ValidationError as error:
                found[name] = text
                reasons += [f"{name}: {one}" for one in error.messages]
        return found, reasons

    def _value(self, field: models.Field[Any, Any], text: str) -> Any:
        """ValidationError for what the field refuses."""
        if isinstance(field, models.ForeignKey):
            if text not in self._markets:
                known = {"value": text, "known": ", ".join(sorted(self._markets))}
                raise ValidationError(_("There is no market %(value)s; known are %(known)s.") % known)
            return text
        if isinstance(field, models.BooleanField):
            word = text.casefold()
            if word not in _YES + _NO:
                raise ValidationError(_("%(value)s is neither true nor false.") % {"value": text})
            return word in _YES
        if isinstance(field, models.DateField) and (date := _DATE.fullmatch(text)):
            text = f"{date[1]}-{date[2]:0>2}-{date[3]:0>2}"
        return field.clean(None if field.null and not text else text, None)


def _stored(sheet: Sheet, lines: Sequence[dict[str, Any]], *, lock: bool) -> dict[tuple[Any, ...], Any]:
    """The rows that lines name, by their keys."""
    attributes = [sheet.fields()[name].attname for name in sheet.key]
    rows = sheet.model._default_manager.select_for_update() if lock else sheet.model._default_manager.all()
    wanted = sorted({values[sheet.key[0]] for values in lines})
    found: dict[tuple[Any, ...], Any] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        for row in rows.filter(**{f"{attributes[0]}__in": wanted[start : start + _AT_ONCE]}).order_by("pk"):
            found[tuple(getattr(row, name) for name in attributes)] = row
    return found


def _line(
    sheet: Sheet, number: int, key: str, values: dict[str, Any], row: Any, *, may_add: bool, may_change: bool
) -> Line:
    fields, is_new = sheet.fields(), row is None
    row = sheet.model() if is_new else row
    changes = []
    for name, value in values.items():
        before = None if is_new else getattr(row, fields[name].attname)
        if is_new or before != value:
            changes.append(Change(name, "" if is_new else shown(before), shown(value)))
            setattr(row, fields[name].attname, value)
    if not changes:
        return Line(number, key, Verdict.UNCHANGED)
    reasons = []
    if not (may_add if is_new else may_change):
        reasons.append(_("You may not add rows here.") if is_new else _("You may not change rows here."))
    lacking = [name for name, field in fields.items() if is_new and name not in values and not field.has_default()
               and not field.blank]  # fmt: skip
    reasons += [_("%(name)s is missing, which a new row needs.") % {"name": name} for name in lacking]
    if not reasons:
        try:
            row.clean()
        except ValidationError as error:
            reasons += _told(error)
        if (is_new or any(one.field in sheet.checked for one in changes)) and (wrong := sheet.check(row)):
            reasons.append(wrong)
    if reasons:
        return Line(number, key, Verdict.REFUSED, reasons=tuple(reasons))
    return Line(number, key, Verdict.ADDED if is_new else Verdict.CHANGED, tuple(changes), row=row)


def _told(error: ValidationError) -> list[str]:
    """What a model has against a row, with the field where it is one field's."""
    if not hasattr(error, "error_dict"):
        return error.messages
    return [
        text if name == NON_FIELD_ERRORS else f"{name}: {text}"
        for name, texts in error.message_dict.items()
        for text in texts
    ]


def apply(made: Plan) -> None:
    """Store what the plan says, within the transaction that it was made in with `lock`. IntegrityError if somebody
    else stored a row of the same key meanwhile."""
    manager = made.sheet.model._default_manager
    manager.bulk_create([line.row for line in made.of(Verdict.ADDED)], batch_size=_AT_ONCE)
    changed = made.of(Verdict.CHANGED)
    names = sorted({one.field for line in changed for one in line.changes})
    # A row says itself when it was changed, which a bulk update would leave as it was.
    stamps = [field for field in made.sheet.model._meta.local_fields if getattr(field, "auto_now", False)]
    for line in changed:
        for stamp in stamps:
            stamp.pre_save(line.row, add=False)
    if changed:
        manager.bulk_update(
            [line.row for line in changed], [*names, *(stamp.name for stamp in stamps)], batch_size=_AT_ONCE
        )


# --- the sheets there are ---------------------------------------------------------------------------------------------


def _new_symbol(row: Symbol) -> str:
    if Directory.can_register(row.code, row.market_id):
        return ""
    text = _("%(code)s is no symbol code of %(market)s.") % {"code": row.code, "market": row.market_id}
    full = row.code.zfill(6)
    if row.code.isdigit() and len(row.code) < len(full):
        text += " " + _("Excel drops leading zeros: is %(full)s meant? Then make the column text.") % {"full": full}
    return text


SYMBOLS = Sheet(
    "symbols", Symbol, ("code",),
    ("code", "name", "name_en", "market", "category", "primary_feed", "is_active"), _new_symbol, ("market",),
)  # fmt: skip
FACTORS = Sheet(
    "factors", AdjustmentFactor, ("symbol", "ex_date", "kind"),
    ("symbol", "ex_date", "kind", "old_rate", "new_rate", "cash", "source"),
)  # fmt: skip
OVERRIDES = Sheet(
    "overrides", CalendarOverride, ("market", "date"),
    ("market", "date", "is_open", "shift_minutes", "regular_open", "regular_close", "note", "source"),
)  # fmt: skip
