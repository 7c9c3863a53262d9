"""What was looked at: one finding for each thing, and how people read them."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    UNKNOWN = "unknown"  # could not be looked at
    WARNING = "warning"  # something is slower, later or less safe than promised
    ERROR = "error"  # a promise cannot be kept


SHOWN = {Level.OK: _("ok"), Level.UNKNOWN: _("unknown"), Level.WARNING: _("warning"), Level.ERROR: _("error")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at, its texts in the language of whoever reads them (`alarms.english` for programs).
    `is_vital`: with it wrong, what was acknowledged may be lost or wrong."""

    what: str | Promise
    value: str | Promise
    wanted: str | Promise
    level: Level
    remedy: str | Promise = ""
    is_vital: bool = False

    @property
    def words(self) -> Promise:
        return format_lazy(
            _("{what} is {value}, must be {wanted}: {remedy}"),
            what=self.what, value=self.value, wanted=self.wanted, remedy=self.remedy,
        )  # fmt: skip


def answers(name: str | Promise, error: str, remedy: str | Promise, *, level: Level = Level.ERROR) -> Finding:
    """Of something that does not answer."""
    return Finding(what=name, value=error, wanted=_("an answer"), level=level, remedy=remedy)


def status(found: list[Finding]) -> int:
    """What a command ends with: by the worst of them 1 (a promise cannot be kept), 3 (something is less than promised)
    or 0."""
    levels = {one.level for one in found}
    return 1 if Level.ERROR in levels else 3 if Level.WARNING in levels else 0


def table(found: list[Finding]) -> Iterator[str]:
    """For people."""
    rows = [(str(SHOWN[one.level]), str(one.what), str(one.value)) for one in found]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for one, row in zip(found, rows, strict=True):
        line = "  ".join(text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        yield line.rstrip() if one.level is Level.OK else f"{line}  {one.wanted}: {one.remedy}"


def _width(text: str) -> int:
    """Columns of a terminal: a Korean letter takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
