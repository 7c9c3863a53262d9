"""Cells of a file as the integers of a tick: numbers as `terminals.wire.numbers` has them, without exponents."""

from terminals.wire import numbers


def mantissa(text: str, scale: int) -> int:
    """`text` x 10^scale as an integer, float noise taken off; ValueError if it is no plain decimal number or does not
    fit."""
    return read(text, scale)[0]


def read(text: str, scale: int) -> tuple[int, bool]:
    """As `mantissa`, and whether there was float noise."""
    if "e" in text.lower() or text != text.strip(" ") or text.endswith("."):
        raise ValueError(f"{text!r} is no plain decimal number")
    return numbers.read(text, scale)
