"""A row of `stock_prices`: the day of a symbol so far, as a snapshot told it."""

from __future__ import annotations

from dataclasses import dataclass

from marketdata.types.day_figures import DAY_SCALES
from marketdata.types.tick_arrays import decimal_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StockPrice:
    """`trade_date` counts days since 1970, `time_us` microseconds since then; prices and `change_rate` (per cent) are
    in 1e-8, `volume` of the day in 1e-6, `value` of the day in 1e-2. None is what the snapshot did not tell."""

    symbol: str
    feed: str
    source_id: int
    time_us: int
    tick_id: int
    trade_date: int
    category: str
    price: int
    open: int | None = None
    high: int | None = None
    low: int | None = None
    prev_close: int | None = None
    change_rate: int | None = None
    volume: int | None = None
    value: int | None = None
    upper_limit: int | None = None
    lower_limit: int | None = None
    bid: int | None = None
    ask: int | None = None

    def day_record(self) -> dict[str, str]:
        """What it has beyond its snapshot, as `Ticks.record` writes it, and its category."""
        figures = {name: getattr(self, _OWN_NAMES.get(name, name)) for name in DAY_SCALES}
        record = {name: decimal_text(value, DAY_SCALES[name]) for name, value in figures.items() if value is not None}
        return {**record, "category": self.category}


_OWN_NAMES = {"cum_value": "value"}
