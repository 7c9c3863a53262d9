"""A minute candle as tests compare it: in plain decimals, whoever made it."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, order=True)
class Candle:
    """All of a candle but its revision."""

    symbol: str
    minute_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    n: int
