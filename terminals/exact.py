"""Cells of a file as the integers of a tick: numbers as `terminals.wire.numbers` has them, without exponents."""

from terminals.wire import numbers


def read(text: str, scale: int) -> tuple[int, bool]:
    """`text` x 10^scale as an integer, and whether float noise was taken off; ValueError if it is no plain decimal
    number or does not fit."""
    if "e" in text.lower() or text != text.strip(" ") or text.endswith("."):
        raise ValueError(f"{text!r} is no plain decimal number")
    return numbers.read(text, scale)
