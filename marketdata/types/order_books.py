"""Order books and events: what is stored one at a time, each a record rather than a column of arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from marketdata.types.tick_arrays import ABSENT, Int64, decimal_texts

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

    @classmethod
    def of(cls, *, columns: Sequence[str], **fields: Any) -> OrderBook:
        """A book whose levels are `json_arrays`: bid prices, bid volumes, ask prices, ask volumes."""
        bid_prices, bid_volumes, ask_prices, ask_volumes = (
            json.loads(text, parse_float=str, parse_int=str) for text in columns
        )
        return cls(
            bids=tuple(zip(bid_prices, bid_volumes, strict=True)),
            asks=tuple(zip(ask_prices, ask_volumes, strict=True)),
            **fields,
        )


SWITCHES = frozenset({"vi", "halt"})
"""Kinds of events that say that something is on, or over."""
_NO_VI = (None, "", "N", "0")


def json_arrays(values: Int64, scale: int) -> list[str]:
    """The prices or the volumes of one side of books as they are stored: a JSON array of exact numbers for each row,
    best first. `values` are of the shape (rows, levels), in 10**-scale, ABSENT behind the last level."""
    given = values != ABSENT
    counts, numbers = given.sum(axis=1).tolist(), np.where(given, values, 0)
    whole = numbers // 10**scale
    if (whole * 10**scale == numbers).all():
        return [str(row[:count]) for row, count in zip(whole.tolist(), counts, strict=True)]  # JSON writes them alike
    texts, levels = decimal_texts(numbers.ravel(), scale), values.shape[1]
    starts = range(0, len(texts), levels)
    return [f"[{', '.join(texts[start : start + count])}]" for start, count in zip(starts, counts, strict=True)]


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

    @property
    def is_on(self) -> bool | None:
        """Whether a VI (`vi`) or a trading halt (`halt`) began or is over; None of what is neither. The simulator and
        own sources tell a VI by `state`, KIS by its code of VIs."""
        if self.kind == "halt":
            return bool(self.body.get("halted"))
        if self.kind == "vi":
            return self.body["state"] == "on" if "state" in self.body else self.body.get("vi") not in _NO_VI
        return None
