"""Statements that every database understands, given its own way to write a time and a join. Text only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from marketdata.storage.base import Window
from marketdata.types.tick_arrays import PRICE_UNIT


def bar_columns(
    *,
    day: str,
    value: str,
    micros: Callable[[str], str],
    scaled: Callable[[str, int], str],
    total: Callable[[str], str],
) -> list[str]:
    """What `minute_bars.from_rows` reads of a minute candle. `day` is `trade_date` in days, `value` the traded value in
    its two columns; `micros` gives a time in microseconds, `scaled` a decimal in the arrays' unit, `total` a volume.
    The symbol is the first; the last four say by which ticks it opened and closed."""
    prices = [scaled(name, PRICE_UNIT) for name in ("open", "high", "low", "close")]
    ends = [micros("open_time"), "open_id", micros("close_time"), "close_id"]
    return ["symbol", micros("minute_time"), day, *prices, total("volume"), value, "n", "rev", *ends]


def daily_columns(*, day: str, value: str, scaled: Callable[[str, int], str], total: Callable[[str], str]) -> str:
    """What `daily_bars.from_rows` reads of a daily candle; arguments as of `bar_columns`."""
    prices = [scaled(name, PRICE_UNIT) for name in ("open", "high", "low", "close", "last")]
    regular = [scaled(f"regular_{name}", PRICE_UNIT) for name in ("open", "high", "low")]
    return ", ".join([day, *prices, total("volume"), value, "n", *regular, total("regular_volume")])


def days_of_minutes(
    *,
    windows: Sequence[Window],
    sums: str,
    columns: str,
    code: str = "s.code",
    total: Callable[[str], str] = "SUM({})".format,
    chosen: str = "",
) -> str:
    """The question for the daily candles of one date, made from its minute candles: symbol, feed and the columns of
    market_data, under their names.

    Parameters: market, start and end of each window, the date, those of `chosen`, then the date four times.
    `sums` aggregates the traded value as its `columns`; `code` is the symbol's code in a form that joins,
    `total` adds up volumes, `chosen` narrows the minutes `m`.
    """
    inside = "(" + " OR ".join(["s.market_id = %s AND m.minute_time >= %s AND m.minute_time < %s"] * len(windows)) + ")"
    regular = inside if windows else "(1 = 0)"
    value = ", ".join(f"g.{name}" for name in columns.split(", "))
    at = "{0}.symbol = g.symbol AND {0}.feed = g.feed AND {0}.minute_time = g.{1} AND {0}.trade_date = %s"
    return (
        "SELECT g.symbol, g.feed, g.trade_date, a.open, g.high, g.low, COALESCE(rz.close, z.close) AS close,"
        f" z.close AS last, g.volume, {value}, g.n, ra.open AS regular_open, g.rhigh AS regular_high,"
        " g.rlow AS regular_low, g.rvolume AS regular_volume FROM ("
        " SELECT r.symbol, r.feed, r.trade_date, MIN(r.minute_time) AS first_at, MAX(r.minute_time) AS last_at,"
        f" MAX(r.high) AS high, MIN(r.low) AS low, {total('r.volume')} AS volume, {sums}, SUM(r.n) AS n,"
        " MIN(CASE WHEN r.is_regular THEN r.minute_time END) AS rfirst,"
        " MAX(CASE WHEN r.is_regular THEN r.minute_time END) AS rlast,"
        " MAX(CASE WHEN r.is_regular THEN r.high END) AS rhigh, MIN(CASE WHEN r.is_regular THEN r.low END) AS rlow,"
        f" {total('CASE WHEN r.is_regular THEN r.volume END')} AS rvolume"
        f" FROM (SELECT m.*, {regular} AS is_regular FROM market_data_minute m LEFT JOIN symbol s ON {code} = m.symbol"
        f" WHERE m.trade_date = %s{chosen}) r GROUP BY r.symbol, r.feed, r.trade_date) g"
        f" JOIN market_data_minute a ON {at.format('a', 'first_at')}"
        f" JOIN market_data_minute z ON {at.format('z', 'last_at')}"
        f" LEFT JOIN market_data_minute ra ON {at.format('ra', 'rfirst')}"
        f" LEFT JOIN market_data_minute rz ON {at.format('rz', 'rlast')}"
    )


def build_daily(question: str, columns: str) -> str:
    """The statement that fills market_data with what `days_of_minutes` gives; `columns` are its traded value."""
    return (
        f"INSERT INTO market_data (symbol, feed, trade_date, open, high, low, close, last, volume, {columns}, n,"
        f" regular_open, regular_high, regular_low, regular_volume) {question}"
    )
