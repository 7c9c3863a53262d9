"""Why a row can be refused. A row may have several reasons; `names` writes them the way the reject table keeps them."""

from __future__ import annotations

from enum import IntFlag, auto


class Fault(IntFlag):
    """Reasons as bits, so that a whole batch is judged in arrays. Their lower-case names are public
    (docs/protocol.md)."""

    NOT_AN_OBJECT = auto()
    SYMBOL_MISSING = auto()
    SYMBOL_UNKNOWN = auto()
    SYMBOL_INACTIVE = auto()
    TIME_MISSING = auto()
    TIME_MALFORMED = auto()
    TIME_FUTURE = auto()
    TIME_PAST = auto()
    KIND_UNKNOWN = auto()
    SIDE_UNKNOWN = auto()
    PRICE_MISSING = auto()
    PRICE_NOT_A_NUMBER = auto()
    PRICE_NOT_FINITE = auto()
    PRICE_NOT_POSITIVE = auto()
    PRICE_OUT_OF_RANGE = auto()
    PRICE_TOO_PRECISE = auto()
    SIZE_MISSING = auto()
    SIZE_NOT_A_NUMBER = auto()
    SIZE_NOT_FINITE = auto()
    SIZE_NEGATIVE = auto()
    SIZE_OUT_OF_RANGE = auto()
    SIZE_TOO_PRECISE = auto()
    SEQ_MALFORMED = auto()
    TRADE_DATE_MALFORMED = auto()
    QUOTE_EMPTY = auto()
    QUOTA_REACHED = auto()
    FEED_REFUSED = auto()
    MARKET_REFUSED = auto()
    KIND_REFUSED = auto()
    REPEATED_RECORD = auto()
    SUM_OUT_OF_RANGE = auto()
    CHANGE_RATE_MALFORMED = auto()
    CHANGE_RATE_OUT_OF_RANGE = auto()
    VALUE_MALFORMED = auto()
    VALUE_OUT_OF_RANGE = auto()
    RANGE_INVERTED = auto()
    LEVEL_INCOMPLETE = auto()
    BOOK_UNORDERED = auto()
    EVENT_MALFORMED = auto()
    BODY_MALFORMED = auto()


LETTERS_AGAIN = ("dead_letter", "bad_batch", "too_many_rows", "feed_refused", "quota_reached")
"""Codes of dead letters that may be stored after all. `checksum_mismatch` is not: its number belongs to other
content."""


def names(faults: int) -> list[str]:
    """The lower-case names of the bits set in `faults`, in declaration order."""
    return [fault.name.lower() for fault in Fault if fault & faults and fault.name]
