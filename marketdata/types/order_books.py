"""Order books and events: what is stored one at a time, each a record rather than a column of arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Levels = tuple[tuple[str, str], ...]
"""(price, volume) as exact decimal text, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """Up to ten levels of one symbol on one feed. `tick_id` and `trade_date` (days since 1970) are as for ticks.

    What a source tells beside the levels is None where it does not: the sizes of all levels of a side together, also of
    those that are not shown (`bid_total`, `ask_total`), the price and size at which an auction would end, what was
    traded of the day so far, and the middle of the book as the source has it. Sizes and volumes are integers of 1e-6,
    prices of 1e-8."""

    symbol: str
    feed: str
    source_id: int
    time_us: int
    tick_id: int
    trade_date: int
    bids: Levels = ()
    asks: Levels = ()
    bid_total: int | None = None
    ask_total: int | None = None
    expected_price: int | None = None
    expected_size: int | None = None
    cum_volume: int | None = None
    mid_price: int | None = None

    def columns(self) -> tuple[str, str, str, str]:
        """Bid prices, bid volumes, ask prices, ask volumes: each a JSON array of numbers, best first."""
        sides = (self.bids, self.asks)
        return tuple(f"[{', '.join(level[at] for level in side)}]" for side in sides for at in (0, 1))  # type: ignore[return-value]  # four of them

    @classmethod
    def of(cls, *, columns: Sequence[str], **fields: Any) -> OrderBook:
        """The inverse of `columns`."""
        bid_prices, bid_volumes, ask_prices, ask_volumes = (
            json.loads(text, parse_float=str, parse_int=str) for text in columns
        )
        return cls(
            bids=tuple(zip(bid_prices, bid_volumes, strict=True)),
            asks=tuple(zip(ask_prices, ask_volumes, strict=True)),
            **fields,
        )


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
