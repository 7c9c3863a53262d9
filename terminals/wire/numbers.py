"""Numbers as people, programs and spreadsheets write them, read exactly: never through a float, never guessed.

A number is ASCII digits, with a sign in front, a point, more digits and an exponent if it has to be, and spaces around
it: `70000`, `-37.63`, `1e-8`. Nothing else is one: no thousands separators, no underscores, no digits of other scripts.

Programs that calculate with doubles write 1993.3000000000002 where 1993.3 was meant. `read` takes such noise off, and
says that it did, if all of this is true; otherwise a number with too many places is refused:

1. the number has more decimal places than there is room for, and 16 or 17 significant digits;
2. it is written exactly as a double prints itself (the shortest text that gives the double back);
3. that double is the very next one above or below the double of a decimal with at most 15 significant digits, which
   has room. This decimal is what was meant.
"""

import math
import re
from decimal import Context, Decimal

_NUMBER = re.compile(r"([+-]?)([0-9]{1,40})(?:\.([0-9]{0,40}))?(?:[eE]([+-]?[0-9]{1,3}))?")
_WHOLE = re.compile(r"(-?[0-9]{1,19})(\.0+)?")
_DIGITS = re.compile(r"-?[0-9]{1,18}")
_PLAIN = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_NOT_FINITE = ("nan", "inf", "infinity")
_FIFTEEN = Context(prec=15)
_EXACT = Context(prec=100)
MOST = 10**18 - 1
"""The greatest value: what DECIMAL(18, x) holds."""


class NotFiniteError(ValueError):
    """NaN or an infinity."""


class TooPreciseError(ValueError):
    """More decimal places than there is room for, and no float noise."""


class TooLargeError(ValueError):
    """More digits before the point than there is room for."""


def read(text: str, scale: int) -> tuple[int, bool]:
    """`text` x 10^scale as an integer, and whether float noise was taken off. A ValueError, one of the above where it
    is a number at all. NotFiniteError, TooLargeError or another ValueError."""
    text = text.strip(" ")
    match = _NUMBER.fullmatch(text)
    if match is None:
        if text.lstrip("+-").lower() in _NOT_FINITE:
            raise NotFiniteError(f"{text!r} is not finite")
        raise ValueError(f"{text!r} is no decimal number")
    sign, whole, fraction, power = match[1], match[2], match[3] or "", int(match[4] or 0)
    digits, exponent = int(whole + fraction), scale - len(fraction) + power
    if digits == 0:
        return 0, False
    if exponent > 40:
        raise TooLargeError(_too_large(text, scale))
    noisy = False
    if exponent >= 0:
        value = digits * int(10**exponent)
    else:
        value, rest = divmod(digits, int(10 ** min(-exponent, 200)))
        if rest:
            noisy, value = True, _meant(text.lstrip("+-"), scale)
    if value > MOST:
        raise TooLargeError(_too_large(text, scale))
    return (-value if sign == "-" else value), noisy


def _too_large(text: str, scale: int) -> str:
    return f"{text!r} has more than {18 - scale} digits before the point"


def _meant(text: str, scale: int) -> int:
    """What a positive number with float noise was meant to be; TooPreciseError if it has none."""
    exact = Decimal(text).normalize(_EXACT)
    if len(exact.as_tuple().digits) in (16, 17):
        written, short = float(text), exact.normalize(_FIFTEEN)
        places = short.as_tuple().exponent
        near = float(short)
        if (
            isinstance(places, int)
            and -places <= scale
            and Decimal(repr(written)) == exact
            and written in (math.nextafter(near, math.inf), math.nextafter(near, 0.0))
        ):
            return int(short.scaleb(scale, _EXACT))
    raise TooPreciseError(f"{text!r} has more than {scale} decimal places")


def write(value: int, scale: int) -> str:
    """`value` / 10^scale as plain decimal text without zeros at its end: (480025000000, 8) is "4800.25"."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**scale)
    return f"{sign}{whole}.{fraction:0{scale}d}".rstrip("0").rstrip(".") if fraction else f"{sign}{whole}"


def read_whole(text: str) -> tuple[int, bool]:
    """A whole number of 64 bits (above -2^63), and whether a spreadsheet wrote it as a fraction, 12.0. ValueError if it
    is none."""
    match = _WHOLE.fullmatch(text)
    value = int(match[1]) if match else 0
    if match is None or not -(2**63) < value < 2**63:
        raise ValueError(f"{text!r} is no whole number of 64 bits")
    return value, match[2] is not None


def whole(text: str, low: int, high: int) -> int:
    """A number of an option or a setting: digits, with a minus in front if it has to be. ValueError if it is none, or
    not between `low` and `high`."""
    value = int(text) if _DIGITS.fullmatch(text) else None
    if value is None or not low <= value <= high:
        raise ValueError(f"{text!r} is no whole number from {low} to {high}")
    return value


def plain(text: str, low: float, high: float) -> float:
    """As `whole`, with a point and more digits if it has to be, and never below 0. ValueError for anything else."""
    value = float(text) if _PLAIN.fullmatch(text) else None
    if value is None or not low <= value <= high:
        upto = f" to {high:g}" if high < math.inf else ""
        raise ValueError(f"{text!r} is no number from {low:g}{upto}")
    return value
