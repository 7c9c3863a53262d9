"""MariaDB's tables, as they are made. Text only; nothing runs here."""

from __future__ import annotations

from django.conf import settings

from marketdata.storage.base import (
    BOOKS,
    DAILY,
    DAY_VALUE_DIGITS,
    EVENTS,
    PRICE_DIGITS,
    PRICES,
    PRICES_BY_CATEGORY,
    SIZE_DIGITS,
    VALUE_DIGITS,
    VOLUME_DIGITS,
)
from marketdata.types.records import BOOK_FIGURES

MOVING = "market_data_moving"
"""Where a day lies between the two exchanges: the same columns, no partitions, empty save for a moment."""
PARTED = "PARTITION BY RANGE COLUMNS (trade_date) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
# Pages are written compressed and the rest of each is punched out of the file: 44 bytes a trade on the disk instead of
# 105, for a tenth more time to load (docs/adr/0010). A file system that cannot punch holes keeps them whole.
COMPRESSED = "PAGE_COMPRESSED=1 PAGE_COMPRESSION_LEVEL=1"
NAMES = (DAILY, BOOKS, EVENTS, PRICES, "cache_realtime_data", "cache_chart_data", "cache_stats_data")
_PRICE, _SIZE = f"DECIMAL{PRICE_DIGITS}", f"DECIMAL{SIZE_DIGITS}"
_VOLUME, _VALUE = f"DECIMAL{VOLUME_DIGITS}", f"DECIMAL{VALUE_DIGITS}"
_FIGURES = [f"{name} DECIMAL(18,{scale}) NULL" for name, scale in BOOK_FIGURES.items()]
_ASCII = "CHARACTER SET ascii COLLATE ascii_bin NOT NULL"
TICKS = f"""
CREATE TABLE IF NOT EXISTS {{table}} (
    symbol VARCHAR(24) {_ASCII}, event_time DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed VARCHAR(16) {_ASCII}, source TINYINT UNSIGNED NOT NULL,
    kind ENUM('trade','quote','snapshot','expected','book','status') NOT NULL, side ENUM('buy','sell') NULL,
    price {_PRICE} NULL, size {_SIZE} NULL, seq BIGINT NULL,
    bid {_PRICE} NULL, ask {_PRICE} NULL, bid_size {_SIZE} NULL, ask_size {_SIZE} NULL,
    cum_volume {_SIZE} NULL,
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) ENGINE=InnoDB {COMPRESSED} {{parted}}
"""
MINUTE_CANDLES = f"""
CREATE TABLE IF NOT EXISTS market_data_minute (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, minute_time DATETIME NOT NULL, trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    volume {_VOLUME} NOT NULL, value {_VALUE} NOT NULL, n BIGINT NOT NULL, rev INT NOT NULL,
    open_time DATETIME(6) NOT NULL, open_id BIGINT NOT NULL, close_time DATETIME(6) NOT NULL, close_id BIGINT NOT NULL,
    PRIMARY KEY (symbol, feed, minute_time, trade_date)
) ENGINE=InnoDB {PARTED}
"""


PRICE_ROWS = [
    f"""
CREATE TABLE IF NOT EXISTS stock_prices (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, `timestamp` DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL,
    trade_date DATE NOT NULL, source TINYINT UNSIGNED NOT NULL, category VARCHAR(16) {_ASCII},
    current_price {_PRICE} NOT NULL, open_price {_PRICE} NULL, high_price {_PRICE} NULL, low_price {_PRICE} NULL,
    prev_close {_PRICE} NULL, change_rate {_PRICE} NULL, volume {_SIZE} NULL, value DECIMAL{DAY_VALUE_DIGITS} NULL,
    upper_limit {_PRICE} NULL, lower_limit {_PRICE} NULL, bid {_PRICE} NULL, ask {_PRICE} NULL,
    PRIMARY KEY (symbol, feed, `timestamp`, tick_id, trade_date)
) ENGINE=InnoDB {COMPRESSED} {PARTED}
""",
    PRICES_BY_CATEGORY.format(time="`timestamp`"),
]
WIDEN_BOOKS = f"ALTER TABLE order_books {', '.join(f'ADD COLUMN IF NOT EXISTS {column}' for column in _FIGURES)}"
"""Give a table of an older version what it lacks; at once, for nothing is copied."""


def others() -> list[str]:
    """CREATE statements of all tables but ticks and minute candles."""
    engine = settings.CACHE_ENGINE
    return [
        f"""
CREATE TABLE IF NOT EXISTS market_data (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, trade_date DATE NOT NULL,
    open {_PRICE} NOT NULL, high {_PRICE} NOT NULL, low {_PRICE} NOT NULL, close {_PRICE} NOT NULL,
    last {_PRICE} NOT NULL, volume {_VOLUME} NOT NULL, value {_VALUE} NOT NULL, n BIGINT NOT NULL,
    regular_open {_PRICE} NULL, regular_high {_PRICE} NULL, regular_low {_PRICE} NULL, regular_volume {_VOLUME} NULL,
    PRIMARY KEY (symbol, feed, trade_date)
) ENGINE=InnoDB {PARTED}""",
        f"""
CREATE TABLE IF NOT EXISTS order_books (
    symbol VARCHAR(24) {_ASCII}, event_time DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed VARCHAR(16) {_ASCII}, source TINYINT UNSIGNED NOT NULL,
    bid_prices JSON NOT NULL, bid_volumes JSON NOT NULL, ask_prices JSON NOT NULL, ask_volumes JSON NOT NULL,
    {", ".join(_FIGURES)},
    PRIMARY KEY (symbol, event_time, tick_id, trade_date)
) ENGINE=InnoDB {PARTED}""",
        f"""
CREATE TABLE IF NOT EXISTS market_events (
    event_time DATETIME(6) NOT NULL, event_id BIGINT NOT NULL, trade_date DATE NOT NULL,
    feed VARCHAR(16) {_ASCII}, source TINYINT UNSIGNED NOT NULL, kind VARCHAR(32) {_ASCII}, symbol VARCHAR(24) {_ASCII},
    body JSON NOT NULL, PRIMARY KEY (event_time, event_id, trade_date)
) ENGINE=InnoDB {PARTED}""",
        # MEMORY holds no TEXT and gives every row its full width; it is empty after a restart and not replicated.
        f"""
CREATE TABLE IF NOT EXISTS cache_realtime_data (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, event_time DATETIME(6) NOT NULL, tick_id BIGINT NOT NULL,
    price {_PRICE} NOT NULL, size {_SIZE} NULL, updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (symbol, feed), KEY cache_realtime_updated (updated_at) USING BTREE
) ENGINE={engine}""",
        *(
            f"""
CREATE TABLE IF NOT EXISTS {table} (
    symbol VARCHAR(24) {_ASCII}, feed VARCHAR(16) {_ASCII}, {key} VARCHAR(32) {_ASCII},
    body JSON NOT NULL, updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (symbol, feed, {key}), KEY {table}_updated (updated_at)
) ENGINE=InnoDB"""
            for table, key in (("cache_chart_data", "timeframe"), ("cache_stats_data", "name"))
        ),
    ]
