"""Whether two sources tell the same prices: closes of the same minute, more than a tick apart or not. Pure."""

from __future__ import annotations

import numpy as np

from marketdata.types.categories import FUNDS
from marketdata.types.tick_arrays import PRICE_UNIT, Int64

# Steps of prices of shares at the KRX since 2023-01-25 (its Enforcement Rules of the KOSPI Market Business Regulation),
# in won: below the price, the step.
STEPS = ((2_000, 1), (5_000, 5), (20_000, 10), (50_000, 50), (200_000, 100), (500_000, 500))
LARGEST_STEP = 1_000
FUND_STEPS, LARGEST_FUND_STEP = ((2_000, 1),), 5
"""Of funds, notes and warrants."""
WON = ("KRX",)
LEAST_SHARE = 10_000
"""Where steps are not known, a ten-thousandth of the price stands for one."""


def ticks(prices: Int64, market: str, category: str = "") -> Int64:
    """The step of each price, both in 1e-8."""
    if market not in WON:
        found: Int64 = np.maximum(np.abs(prices) // LEAST_SHARE, 1)
        return found
    table, largest = (FUND_STEPS, LARGEST_FUND_STEP) if category in FUNDS else (STEPS, LARGEST_STEP)
    bounds = np.array([below for below, _ in table], np.int64) * PRICE_UNIT
    steps = np.array([*(step for _, step in table), largest], np.int64) * PRICE_UNIT
    chosen: Int64 = steps[np.searchsorted(bounds, prices, side="right")]
    return chosen


def compare(
    minutes: Int64, closes: Int64, others: Int64, other_closes: Int64, *, market: str, category: str = ""
) -> tuple[int, int]:
    """(minutes that both have, those of them whose closes, in 1e-8, differ by more than a tick of the higher). Each
    side has a minute once."""
    both, mine, theirs = np.intersect1d(minutes, others, assume_unique=True, return_indices=True)
    left, right = closes[mine], other_closes[theirs]
    apart = np.abs(left - right) > ticks(np.maximum(left, right), market, category)
    return len(both), int(apart.sum())
