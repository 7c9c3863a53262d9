"""Indices that a source tells as events and not as trades of a symbol: KIS's `index`, each by a code of KIS's in the
event's body."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final

from marketdata.types.order_books import MarketEvent
from marketdata.types.tick_arrays import PRICE_UNIT

EVENT: Final = "index"
MARKET: Final = "KRX"
NAMES: Final[Mapping[str, str]] = MappingProxyType({"0001": "KOSPI", "1001": "KOSDAQ", "2001": "KOSPI 200"})
"""What is called so of what KIS tells (`inquire-index-price` and H0UPCNT0); others are stored as events alone."""
_GREATEST: Final = 10**10  # a decimal of a price has so many digits


def value(event: MarketEvent) -> tuple[str, int] | None:
    """The code of the index that an event tells a value of, and that value in 1e-8; None of what is no such event, and
    of indices that have no name here."""
    code, told = event.body.get("index"), event.body.get("prpr_nmix")
    if event.kind != EVENT or not isinstance(code, str) or code not in NAMES or isinstance(told, bool):
        return None
    try:
        exact = Decimal(str(told))
    except InvalidOperation:
        return None
    units = round(exact * PRICE_UNIT) if exact.is_finite() and 0 < exact < _GREATEST else 0
    return (code, units) if units else None
