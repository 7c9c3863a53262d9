"""PostgreSQL's tables, as they are made. Text only; nothing runs here."""

from __future__ import annotations

from marketdata.storage.base import (
    BOOKS,
    DAILY,
    DAY_VALUE_DIGITS,
    EVENTS,
    MINUTES,
    PRICE_DIGITS,
    PRICES,
    PRICES_BY_CATEGORY,
    SIZE_DIGITS,
    VALUE_DIGITS,
    VOLUME_DIGITS,
)
from marketdata.storage.postgresql import partitions
from marketdata.types.records import BOOK_FIGURES

NAMES = (DAILY, BOOKS, EVENTS, PRICES, "cache_realtime_data", "cache_chart_data", "cache_stats_data")
_PRICE, _SIZE = f"NUMERIC{PRICE_DIGITS}", f"NUMERIC{SIZE_DIGITS}"
_VOLUME, _VALUE = f"NUMERIC{VOLUME_DIGITS}", f"NUMERIC{VALUE_DIGITS}"
_FIGURES = [f"{name} NUMERIC(18,{scale})" for name, scale in BOOK_FIGURES.items()]
_WORD = 'VARCHAR({}) COLLATE "C" NOT NULL'
_SYMBOL, _FEED, _TIME = _WORD.format(24), _WORD.format(16), "TIMESTAMPTZ(6) NOT NULL"
TICKS = f"""
CREATE TABLE IF NOT EXISTS {{table}} (
    symbol VARCHAR(24) COLLATE "C" NOT NULL, event_time TIMESTAMPTZ(6) NOT NULL, tick_id BIGINT NOT NULL,
    trade_date DATE NOT NULL, feed VARCHAR(16) COLLATE "C" NOT NULL, source SMALLINT NOT NULL,
    kind tick_kind NOT NULL, side tick_side,
    price {_PRICE}, size {_SIZE}, seq BIGINT,
    bid {_PRICE}, ask {_PRICE}, bid_size {_SIZE}, ask_size {_SIZE},
    cum_volume {_SIZE} {{parted}}
"""
MINUTE_CANDLES = f"""
CREATE TABLE IF NOT EXISTS market_data_minute (
    symbol VARCHAR(24) COLLATE "C" NOT NULL, feed VARCHAR(16) COLLATE "C" NOT NULL, minute_time TIMESTAMPTZ(0) NOT NULL,
    trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    volume {_VOLUME} NOT NULL, value {_VALUE} NOT NULL, n BIGINT NOT NULL, rev INTEGER NOT NULL,
    open_time TIMESTAMPTZ(6) NOT NULL, open_id BIGINT NOT NULL,
    close_time TIMESTAMPTZ(6) NOT NULL, close_id BIGINT NOT NULL {partitions.parted(MINUTES)}
"""


PRICE_ROWS = [
    f"""
CREATE TABLE IF NOT EXISTS stock_prices (
    symbol {_SYMBOL}, feed {_FEED}, "timestamp" {_TIME}, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    source SMALLINT NOT NULL, category {_FEED},
    current_price {_PRICE} NOT NULL, open_price {_PRICE}, high_price {_PRICE}, low_price {_PRICE},
    prev_close {_PRICE}, change_rate {_PRICE}, volume {_SIZE}, value NUMERIC{DAY_VALUE_DIGITS},
    upper_limit {_PRICE}, lower_limit {_PRICE}, bid {_PRICE}, ask {_PRICE} {partitions.parted(PRICES)}
""",
    PRICES_BY_CATEGORY.format(time='"timestamp"'),
]
WIDEN_BOOKS = f"ALTER TABLE order_books {', '.join(f'ADD COLUMN IF NOT EXISTS {column}' for column in _FIGURES)}"
"""Give a table of an older version, and its partitions, what they lack; at once, for nothing is copied."""


def others() -> list[str]:
    """CREATE statements of all tables but ticks and minute candles."""
    return [
        f"""
CREATE TABLE IF NOT EXISTS market_data (
    symbol {_SYMBOL}, feed {_FEED}, trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    last {_PRICE} NOT NULL, volume {_VOLUME} NOT NULL, value {_VALUE} NOT NULL, n BIGINT NOT NULL,
    regular_open {_PRICE}, regular_high {_PRICE}, regular_low {_PRICE}, regular_volume {_VOLUME}
    {partitions.parted(DAILY)}""",
        # JSON and not JSONB: the numbers stay as they were written.
        f"""
CREATE TABLE IF NOT EXISTS order_books (
    symbol {_SYMBOL}, event_time {_TIME}, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed {_FEED}, source SMALLINT NOT NULL,
    bid_prices JSON NOT NULL, bid_volumes JSON NOT NULL, ask_prices JSON NOT NULL, ask_volumes JSON NOT NULL,
    {", ".join(_FIGURES)}
    {partitions.parted(BOOKS)}""",
        f"""
CREATE TABLE IF NOT EXISTS market_events (
    event_time {_TIME}, event_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed {_FEED}, source SMALLINT NOT NULL, kind {_WORD.format(32)}, symbol {_SYMBOL}, body JSON NOT NULL
    {partitions.parted(EVENTS)}""",
        # What is unlogged is empty after a crash, and filled again; it costs no log.
        f"""
CREATE UNLOGGED TABLE IF NOT EXISTS cache_realtime_data (
    symbol {_SYMBOL}, feed {_FEED}, event_time {_TIME}, tick_id BIGINT NOT NULL,
    price {_PRICE} NOT NULL, size {_SIZE}, updated_at {_TIME}, PRIMARY KEY (symbol, feed)
)""",
        *(
            f"""
CREATE TABLE IF NOT EXISTS {table} (
    symbol {_SYMBOL}, feed {_FEED}, {key} {_WORD.format(32)}, body JSON NOT NULL, updated_at {_TIME},
    PRIMARY KEY (symbol, feed, {key})
); CREATE INDEX IF NOT EXISTS {table}_updated ON {table} (updated_at)"""
            for table, key in (("cache_chart_data", "timeframe"), ("cache_stats_data", "name"))
        ),
    ]
