"""KIS's texts as the integers of a tick. Every value of KIS is a text; an empty one is no value, never a zero."""

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from terminals import exact
from terminals.wire import PRICE_SCALE, SIZE_SCALE

MONEY_SCALE: Final = 2
"""Traded values of a day, in 1e-2 of the currency."""
_parsed = lru_cache(maxsize=65_536)(exact.read)  # prices and limits come again each second
_FALLING: Final = ("4", "5")  # prdy_vrss_sign: 1 upper limit, 2 up, 3 unchanged, 4 lower limit, 5 down


def read(record: Mapping[str, Any], name: str, scale: int) -> int | None:
    """A field x 10^scale; None if it is absent or empty. ValueError if it is no number or does not fit."""
    text = str(record.get(name) or "").strip(" ")
    if not text:
        return None
    try:
        return _parsed(text, scale)[0]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def price(record: Mapping[str, Any], name: str) -> int | None:
    """A price in 1e-8; None for an empty field and for zero, which is how KIS writes that there is none. ValueError."""
    return read(record, name, PRICE_SCALE) or None


def size(record: Mapping[str, Any], name: str) -> int | None:
    """A number of shares or contracts in 1e-6. ValueError."""
    return read(record, name, SIZE_SCALE)


def money(record: Mapping[str, Any], name: str) -> int | None:
    """A traded value in 1e-2. ValueError."""
    return read(record, name, MONEY_SCALE)


def change(record: Mapping[str, Any], name: str, sign: str = "prdy_vrss_sign") -> int | None:
    """A difference or a rate of change in 1e-8, negative if the field `sign` says falling, with or without a minus of
    its own. ValueError."""
    value = read(record, name, PRICE_SCALE)
    if value is not None and str(record.get(sign, "")).strip() in _FALLING:
        return -abs(value)
    return value


def day(text: str) -> dt.date:
    """YYYYMMDD. ValueError."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no day YYYYMMDD")
    return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))


def time_of_day(text: str) -> dt.time:
    """HHMMSS. ValueError."""
    if len(text) != 6 or not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is no time HHMMSS")
    return dt.time(int(text[:2]), int(text[2:4]), int(text[4:]))
