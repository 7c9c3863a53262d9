"""How MariaDB's columns become the integers of arrays, and times the text it takes. Text only; nothing runs here."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from marketdata.storage import portable
from marketdata.storage.base import StorageError
from marketdata.storage.rows import UNITS, date_text, moments
from marketdata.types import minute_bars
from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT, SIZE_UNIT, Int64, decimal_text
from terminals import wire


def micros(column: str) -> str:
    return f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column})"


def total(column: str) -> str:
    """A sum of sizes; what is beyond MOST stays there."""
    return f"CAST(LEAST({column} * {SIZE_UNIT}, {MOST}) AS SIGNED)"


def scaled(column: str, unit: int) -> str:
    return f"CAST({column} * {unit} AS SIGNED)"


# Rounded down, and what remains: -0.5 is -1 and 0.5.
VALUE = (
    f"CAST(GREATEST(LEAST(FLOOR(value), {MOST}), -{MOST}) AS SIGNED),"
    f" CAST((value - FLOOR(value)) * {VALUE_UNIT} AS SIGNED)"
)
DAY = "TO_DAYS(trade_date) - 719528"
_BAR = portable.bar_columns(day=DAY, value=VALUE, micros=micros, scaled=scaled, total=total)
SELECT_BAR = ", ".join(_BAR)
BAR_LINE, SHOWN_LINE = (f"CONCAT_WS(' ', {', '.join(columns)})" for columns in (_BAR[1:], _BAR[1:-4]))
SELECT_DAILY = portable.daily_columns(day=DAY, value=VALUE, scaled=scaled, total=total)
TICK_COLUMNS = (
    micros("event_time"),
    "kind + 0",
    "COALESCE(side + 0, 0)",
    *(f"COALESCE({scaled(name, unit)}, {ABSENT})" for name, unit in UNITS.items()),
    DAY,
    "tick_id",
    "source",
)


_MINUTE_INTO = (
    " INTO market_data_minute (feed, symbol, minute_time, trade_date, open, high, low, close, volume, value, n,"
    " rev, open_time, open_id, close_time, close_id) VALUES "
)


def minute_rows(bars: Bars) -> str:
    """What follows INSERT or REPLACE to write these candles."""
    columns = {name: getattr(bars, name).tolist() for name in minute_bars.COLUMNS}
    # Only those that have a candle: a batch may name others, of rows that were refused for their symbol.
    symbols = {index: _literal(bars.symbols[index]) for index in set(columns["symbol"])}
    price, prices = _numbers(np.stack((bars.open, bars.high, bars.low, bars.close)), wire.PRICE_SCALE)
    volume, volumes = _numbers(bars.volume, wire.SIZE_SCALE)
    lines = zip(
        [symbols[index] for index in columns["symbol"]],
        moments(bars.time_us),
        [date_text(day) for day in columns["trade_date"]],
        *prices,
        volumes,
        [value_text(whole, part) for whole, part in zip(columns["value"], columns["value_frac"], strict=True)],
        *(columns[name] for name in ("n", "rev")),
        moments(bars.open_time),
        columns["open_id"],
        moments(bars.close_time),
        columns["close_id"],
        strict=True,
    )
    row = f"({_literal(bars.feed)},%s,'%s','%s',{','.join([price] * 4)},{volume},%s,%d,%d,'%s',%d,'%s',%d)"
    return _MINUTE_INTO + ",".join([row % line for line in lines])


def _numbers(values: Int64, scale: int) -> tuple[str, list[Any]]:
    """How scaled integers are written, and which: whole numbers are quicker to read for the server. Others are quoted:
    bare, MariaDB reads 1e-8 as a double, which holds 15 of a DECIMAL's 18 digits."""
    whole, rest = np.divmod(values, 10**scale)
    return (f"'%de-{scale}'", values.tolist()) if rest.any() else ("%d", whole.tolist())


def value_text(whole: int, part: int) -> str:
    """A traded value as a decimal: (-1, half of VALUE_UNIT) is -0.5."""
    return decimal_text(whole * VALUE_UNIT + part, wire.VALUE_SCALE) if part else str(whole)


def replace_statement(bars: Bars) -> str:
    """Write these candles in place of those that are there."""
    return f"REPLACE{minute_rows(bars)}"


@lru_cache(maxsize=10_000)
def _literal(text: str) -> str:
    # Feeds and symbols are printable ASCII by the time they get here; anything else is a defect. Percent signs are
    # doubled because the driver fills in parameters.
    if not text.isascii() or not text.isprintable():
        raise StorageError(f"{text!r} cannot be a symbol or feed")
    return "'" + text.replace("\\", "\\\\").replace("'", "''").replace("%", "%%") + "'"
