"""What one cell of a sheet says: an exact number, a code, a day or a time, or the named reason why it says nothing.

A cell comes as Excel gives it by Value2 (numbers are doubles, an error is a negative integer), or as a saved file has
it (dates and times are such). Numbers are read by `terminals.wire.numbers`, never through arithmetic on doubles.
"""

import datetime
import math
import re
from decimal import Context, Decimal
from typing import Final, NamedTuple

from terminals import exact
from terminals.wire import codes, numbers

Cell = object

# Excel's error numbers (XlCVError) over COM: 0x800A0000 + number as a signed integer, -2146826246 for #N/A (2042).
_ERROR_BASE: Final = -2146828288
_ERRORS_FROM, _ERRORS_TO = -2146826300, -2146826200
_ERRORS: Final = {
    2000: "error_null",
    2007: "error_div0",
    2015: "error_value",
    2023: "error_ref",
    2029: "error_name",
    2036: "error_num",
    2042: "error_na",
    2043: "waiting",  # #GETTING_DATA
}
_ERROR_TEXTS: Final = {
    "#NULL!": "error_null",
    "#DIV/0!": "error_div0",
    "#VALUE!": "error_value",
    "#REF!": "error_ref",
    "#NAME?": "error_name",
    "#NUM!": "error_num",
    "#N/A": "error_na",
}
_WAITING: Final = {"#WAITING", "#REQUESTING", "#GETTING_DATA", "...", "…", "-"}
_NAN: Final = {"nan", "inf", "infinity"}
_UP, _DOWN = "▲△▴↑", "▼▽▾↓"
# Full-width characters of an Asian keyboard, the no-break and the wide space, and the minus sign of typography.
_NARROW: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0xA0: " ", 0x2212: "-"}
_GROUPED: Final = re.compile(r"([+-]?)([0-9]{1,3}(?:,[0-9]{3})+)(\.[0-9]+)?")
_CLOCK: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?")
_DAY: Final = re.compile(r"([0-9]{4})([-./]?)([0-9]{1,2})\2([0-9]{1,2})")
_EPOCH: Final = datetime.date(1970, 1, 1)
_SERIAL_OF_EPOCH: Final = 25569  # Excel's 1970-01-01
_SERIALS: Final = range(20_000, 80_000)  # 1954 to 2119
_DAY_MS: Final = 86_400_000
_WIDE: Final = Context(prec=60)


class Junk(ValueError):
    """A cell without a value; `reason` is the word under which it is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Moment(NamedTuple):
    """A time of day in microseconds, and its day since 1970-01-01 where the cell says it."""

    day: int | None
    us: int


def read_number(
    cell: Cell, *, scale: int, power: int = 0, percent: bool = False, fraction: bool = False, places: int | None = None
) -> tuple[int, bool]:
    """The number x 10^(scale + power) as an integer, and whether float noise was taken off.

    `percent`: it is a rate in per cent, so `%` may stand behind it and a triangle before it is its sign; elsewhere a
    triangle only shows a direction. `fraction`: a number that is formatted as per cent is 0.0125 for 1.25 %. `places`:
    round to so many decimal places, half to even, because a formula made the number. Junk.
    """
    checked = _checked(cell)
    if isinstance(checked, str):
        text, shown_percent = _plain(checked, percent)
        power += 2 if fraction and not shown_percent else 0
        reader = exact.read
    elif isinstance(checked, int | float):
        text, reader = repr(checked), numbers.read
        power += 2 if fraction else 0
    else:
        raise Junk("date")
    try:
        value, noisy = reader(text, scale + power)
    except numbers.NotFiniteError:
        raise Junk("not_finite") from None
    except numbers.TooLargeError:
        raise Junk("too_large") from None
    except numbers.TooPreciseError:
        if places is None:
            raise Junk("too_precise") from None
        return _rounded(Decimal(text).scaleb(power, _WIDE), scale, places), False
    except ValueError:
        raise Junk("text") from None
    if places is not None:
        value = _rounded(Decimal(value).scaleb(-scale, _WIDE), scale, places)
    return value, noisy


def read_code(cell: Cell, market: str | None, *, prefix: str = "", width: int = 0) -> str:
    """The code of a symbol. Digits get back the zeros that Excel took off, up to `width`; `prefix` must be there and is
    taken off. Junk."""
    checked = _checked(cell)
    if isinstance(checked, float) and checked.is_integer():
        checked = int(checked)
    if isinstance(checked, int) and checked >= 0:
        checked = str(checked)
    if not isinstance(checked, str):
        raise Junk("code")
    if prefix:
        if not checked.startswith(prefix):
            raise Junk("code_prefix")
        checked = checked.removeprefix(prefix)
    if checked.isascii() and checked.isdigit():
        checked = checked.zfill(width)
    try:
        return codes.read_code(checked, market)
    except codes.CodeError:
        raise Junk("code") from None


def read_day(cell: Cell) -> int:
    """A day since 1970-01-01: a date, Excel's number of one, 20261127 or 2026-11-27, with a time or without. Junk."""
    checked = _checked(cell)
    if isinstance(checked, datetime.date):  # a datetime is one
        return (datetime.date(checked.year, checked.month, checked.day) - _EPOCH).days
    if isinstance(checked, int | float) and int(checked) in _SERIALS:
        return int(checked) - _SERIAL_OF_EPOCH
    if isinstance(checked, float) and checked.is_integer():
        checked = int(checked)
    text = str(checked) if isinstance(checked, str | int) else ""
    moment = _moment(text)
    day = _day(text) if moment is None else moment.day
    if day is None:
        raise Junk("date")
    return day


def read_time(cell: Cell) -> Moment:
    """A time: 09:00:05, Excel's number of one, 90005 for 09:00:05 (the zero is lost), or any of these with its day.
    Junk, also for 0, which stands where nothing was traded yet."""
    checked = _checked(cell)
    if isinstance(checked, datetime.datetime):
        return Moment(read_day(checked), _us(checked.hour, checked.minute, checked.second, checked.microsecond))
    if isinstance(checked, datetime.time):
        return Moment(None, _us(checked.hour, checked.minute, checked.second, checked.microsecond))
    if isinstance(checked, datetime.timedelta):
        checked = checked / datetime.timedelta(days=1)
    if isinstance(checked, float) and not checked.is_integer():
        if 0 < checked < 1 or int(checked) in _SERIALS:
            day, ms = divmod(round(checked * _DAY_MS), _DAY_MS)
            return Moment(day - _SERIAL_OF_EPOCH if checked > 1 else None, ms * 1000)
        raise Junk("time")
    if isinstance(checked, int | float):
        checked = str(int(checked))
    moment = _moment(checked) if isinstance(checked, str) else None
    if moment is None:
        raise Junk("time")
    return moment


def is_blank(cell: Cell) -> bool:
    """Nothing is written here."""
    return cell is None or (isinstance(cell, str) and not tidy(cell))


def tidy(text: str) -> str:
    """A text in ASCII characters where an Asian keyboard wrote wide ones, with single spaces and none around it."""
    return " ".join(text.translate(_NARROW).split())


def _checked(cell: Cell) -> Cell:
    """The cell, a text without spaces around it, if it says anything. Junk."""
    if is_blank(cell):
        raise Junk("blank")
    if isinstance(cell, bool):
        raise Junk("boolean")
    if isinstance(cell, int | float):
        if not math.isfinite(cell):
            raise Junk("not_finite")
        if _ERRORS_FROM <= cell <= _ERRORS_TO:
            raise Junk(_ERRORS.get(int(cell) - _ERROR_BASE, "error_other"))
        return cell
    if not isinstance(cell, str):
        return cell
    text = tidy(cell)
    upper = text.upper()
    if upper in _WAITING:
        raise Junk("waiting")
    if upper.startswith("#"):
        raise Junk(_ERROR_TEXTS.get(upper.split()[0], "error_other"))
    if text.lower() in _NAN:
        raise Junk("not_finite")
    return text


def _plain(text: str, percent: bool) -> tuple[str, bool]:
    """A text as a plain decimal number, and whether a per cent sign stood behind it. Junk."""
    negative = None
    if text.startswith("(") and text.endswith(")"):
        negative, text = True, text[1:-1].strip()
        if text.startswith(("+", "-")):
            raise Junk("sign")
    elif text[0] in _UP or text[0] in _DOWN:
        negative, text = text[0] in _DOWN, text[1:].strip()
        if not text:
            raise Junk("sign_only")
        if not percent:
            negative = None
    shown_percent = text.endswith("%")
    if shown_percent:
        if not percent:
            raise Junk("per_cent_sign")
        text = text[:-1].strip()
    grouped = _GROUPED.fullmatch(text)
    if grouped:
        text = grouped[1] + grouped[2].replace(",", "") + (grouped[3] or "")
    if "," in text:
        raise Junk("separators")
    if negative is not None:
        if text.startswith("+") or (text.startswith("-") and not negative):
            raise Junk("sign")
        text = "-" + text.lstrip("-") if negative else text
    return text, shown_percent


def _rounded(number: Decimal, scale: int, places: int) -> int:
    whole = number.quantize(Decimal(1).scaleb(-places), context=_WIDE)
    return int(whole.scaleb(scale, _WIDE))


def _us(hour: int, minute: int, second: int, micro: int = 0) -> int:
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro


def _day(text: str) -> int | None:
    match = _DAY.fullmatch(text)
    if match is None or (not match[2] and len(text) != 8):
        return None
    try:
        return (datetime.date(int(match[1]), int(match[3]), int(match[4])) - _EPOCH).days
    except ValueError:
        return None


def _moment(text: str) -> Moment | None:
    """A text as a time; None if it is none."""
    day, rest = None, text
    if " " in text or (len(text) == 14 and text.isdigit()):
        head, rest = text.split(maxsplit=1) if " " in text else (text[:8], text[8:])
        day = _day(head)
        if day is None:
            return None
    if rest.isascii() and rest.isdigit() and len(rest) <= 6:
        if not int(rest) and day is None:
            return None
        rest = rest.zfill(6)
        rest = f"{rest[:2]}:{rest[2:4]}:{rest[4:]}"
    match = _CLOCK.fullmatch(rest)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return Moment(day, _us(hour, minute, second, int((match[4] or "").ljust(6, "0"))))
