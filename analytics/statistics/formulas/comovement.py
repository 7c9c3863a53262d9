"""How symbols move together: returns are floats, a row for each symbol and a column for each day, NaN where a symbol
has none. Pure."""

from __future__ import annotations

import numpy as np

from analytics.statistics.formulas.volatility import Floats


def correlation(returns: Floats, window: int) -> Floats:
    """Pearson's correlation of each pair over the last `window` days. NaN for a pair that has not every one of them, or
    of which one did not move at all."""
    count = len(returns)
    found = np.full((count, count), np.nan)
    part = returns[:, max(returns.shape[1] - window, 0) :]
    whole = np.flatnonzero(~np.isnan(part).any(axis=1)) if part.shape[1] == window else np.zeros(0, np.int64)
    if not len(whole):
        return found
    centred = part[whole] - part[whole].mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    moved = norms > 0
    scaled = centred[moved] / norms[moved, None]
    found[np.ix_(whole[moved], whole[moved])] = np.clip(scaled @ scaled.T, -1, 1)
    return found


def beta(returns: Floats, index: Floats, window: int) -> float:
    """The slope of a symbol's returns by those of the index over the last `window` days: covariance by the variance of
    the index (W. Sharpe, Management Science 9 (1963)). NaN unless both have every one of them and the index moved."""
    mine, market = returns[-window:], index[-window:]
    if len(mine) < window or np.isnan(mine).any() or np.isnan(market).any():
        return float("nan")
    centred = market - market.mean()
    variance = float(centred @ centred)
    return float((mine - mine.mean()) @ centred) / variance if variance > 0 else float("nan")
