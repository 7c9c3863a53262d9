"""Decimal text to integers without a float in between."""

import re

_DECIMAL = re.compile(r"([+-]?)(\d{1,18})(?:\.(\d{1,18}))?", re.ASCII)
_MOST = 10**18 - 1


def mantissa(text: str, scale: int) -> int:
    """`text` x 10^scale as an integer; ValueError if it is no plain decimal number or does not fit exactly."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no decimal number")
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if len(fraction) > scale:
        raise ValueError(f"{text!r} has more than {scale} decimal places")
    value = int(whole + fraction.ljust(scale, "0"))
    if value > _MOST:
        raise ValueError(f"{text!r} has more than {18 - scale} digits before the point")
    return -value if sign == "-" else value
