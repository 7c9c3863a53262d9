"""What changes of a feed otherwise than by a commit, as it is noted for whoever tells others of it (`feed_change`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum

MOST_TICKS = 10_000
"""Ids in one change: a row stays small, and so does what is in memory at a time."""


class What(StrEnum):
    """Of which kind a change is."""

    MINUTES = "1Min"
    """Minute candles of a symbol: their minutes."""
    DAYS = "1Day"
    """Daily candles of a trading date: their symbols."""
    TICKS = "ticks"
    """Ticks of a symbol and trading date that were put back: between which times they lie, and their ids."""


def minutes(minutes_us: Iterable[int]) -> str:
    """The content of a change of MINUTES."""
    return json.dumps(sorted(minutes_us))


def days(date: str, symbols: Iterable[str]) -> str:
    """The content of a change of DAYS."""
    return json.dumps({"date": date, "symbols": sorted(symbols)}, ensure_ascii=False)


def ticks(date: str, first_us: int, last_us: int, ids: Iterable[int]) -> str:
    """The content of a change of TICKS."""
    return json.dumps({"date": date, "first_us": first_us, "last_us": last_us, "ids": sorted(ids)})
