"""Order books and events: what is stored one at a time, each a record rather than a column of arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Levels = tuple[tuple[str, str], ...]
"""(price, volume) as exact decimal text, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """Up to ten levels of one symbol on one feed. `tick_id` and `trade_date` (days since 1970) are as for ticks."""

    symbol: str
    feed: str
    source_id: int
    time_us: int
    tick_id: int
    trade_date: int
    bids: Levels = ()
    asks: Levels = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketEvent:
    """Something that happened in a market: a status, a VI, an index, whatever a source tells in JSON."""

    time_us: int
    event_id: int
    trade_date: int
    feed: str
    source_id: int
    kind: str
    symbol: str = ""
    body: dict[str, Any] = field(default_factory=dict)
