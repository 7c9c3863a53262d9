"""What an order book tells of liquidity. Prices in 1e-8, sizes in 1e-6, best level first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Level = tuple[int, int]
"""Price and size."""


@dataclass(frozen=True, slots=True)
class Liquidity:
    """`spread` is the best ask less the best bid in 1e-8, `spread_share` that by their mean; depths are the sums of all
    levels in 1e-6; `imbalance` is (bid - ask) / (bid + ask) of the depths, from -1 to 1. None where there is nothing to
    tell: a side without a level, as in a market at its limit price."""

    spread: int | None
    spread_share: float | None
    bid_depth: int
    ask_depth: int
    imbalance: float | None


def liquidity(bids: Sequence[Level], asks: Sequence[Level]) -> Liquidity:
    """Of a book's levels."""
    bid_depth, ask_depth = sum(size for _, size in bids), sum(size for _, size in asks)
    spread = asks[0][0] - bids[0][0] if bids and asks else None
    middle = (asks[0][0] + bids[0][0]) / 2 if bids and asks else 0.0
    both = bid_depth + ask_depth
    return Liquidity(
        spread=spread,
        spread_share=spread / middle if spread is not None and middle > 0 else None,
        bid_depth=bid_depth,
        ask_depth=ask_depth,
        imbalance=(bid_depth - ask_depth) / both if both else None,
    )
