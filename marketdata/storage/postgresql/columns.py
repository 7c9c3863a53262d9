"""How PostgreSQL's columns become the integers of arrays, and arrays the lists it takes. Text only; nothing runs
here."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from marketdata.storage import portable, rows
from marketdata.storage.postgresql.copy_rows import KINDS, SIDES
from marketdata.storage.rows import UNITS, date_text, moments
from marketdata.types import minute_bars
from marketdata.types.minute_bars import MOST, VALUE_UNIT, Bars
from marketdata.types.tick_arrays import ABSENT, PRICE_UNIT, SIZE_UNIT, Ticks, is_absent
from terminals import wire


def micros(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint"


def scaled(column: str, unit: int) -> str:
    return column if unit == 1 else f"({column} * {unit})::bigint"


def total(column: str) -> str:
    """A sum of sizes; what is beyond MOST stays there. Not `least`, which is not NULL when its column is."""
    return f"CASE WHEN {column} * {SIZE_UNIT} > {MOST} THEN {MOST} ELSE ({column} * {SIZE_UNIT})::bigint END"


def number(column: str, words: tuple[str, ...]) -> str:
    """The place of an enumeration's word, 0 where there is none."""
    cases = " ".join(f"WHEN '{word}' THEN {place}" for place, word in enumerate(words) if word)
    return f"CASE {column} {cases} ELSE 0 END"


DAY = "trade_date - DATE '1970-01-01'"
VALUE = f"greatest(least(floor(value), {MOST}), -{MOST})::bigint, ((value - floor(value)) * {VALUE_UNIT})::bigint"
_BAR = portable.bar_columns(day=DAY, value=VALUE, micros=micros, scaled=scaled, total=total)
SELECT_BAR = ", ".join(_BAR)
BAR_LINE, SHOWN_LINE = (f"CONCAT_WS(' ', {', '.join(columns)})" for columns in (_BAR[1:], _BAR[1:-4]))
SELECT_DAILY = portable.daily_columns(day=DAY, value=VALUE, scaled=scaled, total=total)
TICK_COLUMNS = (
    micros("event_time"),
    number("kind", KINDS),
    number("side", SIDES),
    *(f"COALESCE({scaled(name, unit)}, '{ABSENT}'::bigint)" for name, unit in UNITS.items()),
    DAY,
    "tick_id",
    "source",
)
KEY = ("symbol", "feed", "minute_time", "trade_date")
MINUTE_COLUMNS = (
    *KEY, "open", "high", "low", "close", "volume", "value", "n", "rev", "open_time", "open_id", "close_time",
    "close_id",
)  # fmt: skip
# Scaled integers travel as such and are scaled by the server, exactly: e-8 of a numeric is a numeric.
_PRICE = f"1e-{wire.PRICE_SCALE}::numeric"
INSERT_MINUTES = f"""
INSERT INTO market_data_minute AS m ({", ".join(MINUTE_COLUMNS)})
SELECT symbol, %s, minute_time::timestamptz, trade_date::date,
    open * {_PRICE}, high * {_PRICE}, low * {_PRICE}, close * {_PRICE}, volume * 1e-{wire.SIZE_SCALE}::numeric,
    value + value_frac * 1e-{wire.VALUE_SCALE}::numeric, n, rev, open_time::timestamptz, open_id,
    close_time::timestamptz, close_id
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::bigint[], %s::text[], %s::bigint[])
    AS u (symbol, minute_time, trade_date, open, high, low, close, volume, value, value_frac, n, rev, open_time,
    open_id, close_time, close_id)
ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET
"""


def minute_lists(bars: Bars) -> list[Any]:
    """What INSERT_MINUTES wants."""
    lists = {name: _array_text(getattr(bars, name).tolist()) for name in minute_bars.COLUMNS}
    lists["symbol"] = _word_array_text([bars.symbols[index] for index in bars.symbol.tolist()])
    lists["trade_date"] = _array_text(map(date_text, bars.trade_date.tolist()))
    for name in ("time_us", "open_time", "close_time"):
        lists[name] = _array_text(f"{text}Z" for text in moments(np.asarray(getattr(bars, name))))
    return [bars.feed, *lists.values()]


def tick_insertion(table: str, ticks: Ticks) -> tuple[str, list[Any]]:
    """The statement that inserts ticks and leaves out those that are there already, and its parameters. For few rows:
    COPY takes three round trips more, and of many it is the quicker one."""
    symbols = [*ticks.symbols, ""]
    columns = [  # the column, the type of its array, the array
        ("symbol", "text", _word_array_text([symbols[index] for index in ticks.symbol.tolist()])),
        ("event_time", "timestamptz", _array_text(f"{text}Z" for text in moments(ticks.time_us))),
        ("tick_id", "bigint", _array_text(ticks.tick_id.tolist())),
        ("trade_date", "date", _array_text(map(date_text, ticks.trade_date.tolist()))),
        ("kind", "tick_kind", _array_text(KINDS[kind] for kind in ticks.kind.tolist())),
        ("side", "tick_side", _array_text(SIDES[side] or "NULL" for side in ticks.side.tolist())),
    ]
    for name, unit in UNITS.items():
        values = getattr(ticks, name)
        if not is_absent(values):  # else the column's default is NULL
            numbers = ("NULL" if value == ABSENT else f"{value}{_EXPONENTS[unit]}" for value in values.tolist())
            columns.append((name, "bigint" if unit == 1 else "numeric", _array_text(numbers)))
    names = ", ".join(name for name, *_ in columns)
    return (
        f"INSERT INTO {table} ({names}, feed, source) SELECT u.*, %s, %s"
        f" FROM unnest({', '.join(f'%s::{kind}[]' for _, kind, _ in columns)}) AS u"
        " ON CONFLICT DO NOTHING"
    ), [ticks.feed, ticks.source_id, *(text for *_, text in columns)]


_EXPONENTS = {1: "", PRICE_UNIT: f"e-{wire.PRICE_SCALE}", SIZE_UNIT: f"e-{wire.SIZE_SCALE}"}


def _array_text(values: Iterable[object]) -> str:
    """Numbers, dates, times, plain words and NULL as an array's text, which the driver would take several times as long
    to make."""
    return f"{{{','.join(map(str, values))}}}"


def _word_array_text(words: Iterable[str]) -> str:
    """Any words as an array's text."""
    return _array_text(f'"{_escaped(word)}"' for word in words)


@lru_cache(maxsize=10_000)
def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"')


def moment(time_us: int) -> str:
    """A time as PostgreSQL reads it, the nearest that the others can hold, too."""
    return f"{rows.moment(time_us)}Z"
