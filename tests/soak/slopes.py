"""How fast something grows: Theil and Sen's slope, the median of the slopes between all pairs of samples. One step (an
arena that the allocator takes, a process that is replaced) or a spike moves it little, a leak moves it whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HOUR_S = 3600.0
LEAST_SAMPLES = 8


def per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """Of (second, value) in any order: how much the value grows in an hour; None for fewer than LEAST_SAMPLES."""
    if len(samples) < LEAST_SAMPLES:
        return None
    at, value = np.array(samples, dtype=np.float64).T
    first, second = np.triu_indices(len(at), k=1)
    apart = at[second] - at[first]
    told = apart != 0
    return float(np.median((value[second] - value[first])[told] / apart[told])) * HOUR_S
