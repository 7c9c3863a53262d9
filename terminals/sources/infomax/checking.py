"""What `python -m terminals check infomax` says of a sheet: whether it can be read, and what of it says nothing."""

import time
from collections.abc import Iterator
from typing import Final

from terminals.clock import wall_us
from terminals.finding import Finding, Level
from terminals.sources.infomax.column_map import ColumnMap, MapError
from terminals.sources.infomax.reading import NotReadable, Picture, ReadingThread
from terminals.sources.infomax.sheet import Sheet
from terminals.wire.language import gettext as _

_TRIES: Final = 5
_ANSWER_S: Final = 5.0


def findings(given: ColumnMap, reading: ReadingThread, *, place: str, market: str | None) -> Iterator[Finding]:
    """Of one picture: the sheet, its codes, its columns."""
    try:
        picture = _picture(reading)
        sheet = Sheet(given, market=market)
        change = sheet.take(picture.block, now_us=wall_us())
    except (NotReadable, MapError) as error:
        told = _("the sheet {sheet} of {place}: {reason}").format(sheet=given.sheet, place=place, reason=error)
        yield Finding(Level.WRONG, told, _remedy_of(error.reason if isinstance(error, NotReadable) else "no_header"))
        return
    told = _("the sheet {sheet} of {place}: {count} codes have a price").format(
        sheet=given.sheet, place=place, count=len(change.readable)
    )
    yield Finding(
        Level.GOOD if change.readable else Level.WRONG, told, "" if change.readable else _remedy(change.unreadable)
    )
    if change.readable and change.unreadable:
        codes = ", ".join(f"{code} ({reason})" for code, reason in sorted(change.unreadable.items())[:10])
        yield Finding(
            Level.DOUBTFUL, _("{count} codes have no price: {codes}").format(count=len(change.unreadable), codes=codes)
        )
    for (column, reason), count in sheet.problems.items():
        if column != "price":
            told = _("column {column}: {count} cells say nothing ({reason})").format(
                column=column, count=count, reason=reason
            )
            yield Finding(Level.DOUBTFUL, told)
    if sheet.duplicates:
        told = _("{count} codes stand twice; the first counts").format(count=sheet.duplicates)
        yield Finding(Level.DOUBTFUL, told)


def _picture(reading: ReadingThread) -> Picture:
    """The first that can be had; NotReadable if none of a few tries has one."""
    for _number in range(_TRIES - 1):
        try:
            return reading.read(_ANSWER_S)
        except NotReadable as error:
            if not error.soon:
                raise
            time.sleep(0.2)
    return reading.read(_ANSWER_S)


def _remedy(unreadable: dict[str, str]) -> str:
    """What to do where no code has a price."""
    if "error_name" in unreadable.values():
        return _("the add-in of Infomax is not loaded in this Excel")
    return _("log in to Infomax in this Excel, and look at the sheet itself")


def _remedy_of(reason: str) -> str:
    """What to do where there is no picture."""
    match reason:
        case "closed":
            return _("open the workbook in Excel, as the same user of this PC")
        case "no_sheet":
            return _("write the sheet's name in the map as its tab has it")
        case "busy" | "hung":
            return _("end the editing of a cell and close the dialogs of Excel")
        case "manual_calculation":
            return _("set the calculation of Excel to automatic")
        case "password":
            return _("save the workbook without a password")
        case "no_file" | "locked":
            return _("look at the path of --file, and whether this user may read it")
        case "no_header":
            return _("compare the headers of the map with those of the sheet")
        case _:
            return _("docs/terminals/infomax.md says what to do")
