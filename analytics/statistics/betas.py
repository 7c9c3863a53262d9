"""The beta of a symbol, and why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from analytics.series.index_closes import Closes
from analytics.statistics import indices
from analytics.statistics.figures import number
from analytics.statistics.formulas import comovement, volatility
from marketdata.types.daily_bars import DailyBars
from marketdata.types.tick_arrays import PRICE_UNIT

MISSING: Final[Mapping[str, str]] = MappingProxyType({
    "no_share": "neither a share nor a fund: compared with an index of STATS_INDEX alone",
    "no_index": "no index of its market is collected or told as events",
    "index_without_days": "the index has no daily closes, or there is none of the code in STATS_INDEX",
    "few_dates": "fewer than 61 dates on which both have a close: `betaDates`",
    "index_still": "the index did not move",
})  # fmt: skip
"""Why there is none, in a word of the result."""


def of_symbol(
    days: DailyBars, category: str, *, chosen: str, index: str | None, market: Closes | None, window: int
) -> dict[str, Any]:
    """As a result has it: to the closes of the `index` over the last `window` returns between dates on which both have
    one, and how many of the dates that it takes there are. `chosen` is the one of the setting."""
    if market is None:
        why = "index_without_days" if chosen or index else "no_index" if indices.has_one(category) else "no_share"
        return {"beta": None, "betaIndex": index, "betaDates": 0, "betaMissing": why}
    _, mine, its = np.intersect1d(days.trade_date, market.trade_date, assume_unique=True, return_indices=True)
    returns = [volatility.log_returns(close / PRICE_UNIT)[1:] for close in (days.close[mine], market.close[its])]
    beta, dates = number(comovement.beta(returns[0], returns[1], window)), min(len(mine), window + 1)
    missing = None if beta is not None else "few_dates" if dates <= window else "index_still"
    return {"beta": beta, "betaIndex": index, "betaDates": dates, "betaMissing": missing}
