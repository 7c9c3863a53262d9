"""Figures as results have them in JSON."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from marketdata.types.tick_arrays import decimal_text

PLACES = 8
"""Of what is no exact number."""


def exact(value: int | None, scale: int) -> msgspec.Raw | None:
    """An integer in 10**-scale as a JSON number, to the digit."""
    return None if value is None else msgspec.Raw(decimal_text(value, scale).encode())


def number(value: Any) -> float | None:
    """As JSON shows it; None where there is nothing to tell."""
    return None if value is None or not np.isfinite(value) else round(float(value), PLACES)
