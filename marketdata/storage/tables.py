"""The tables that storage makes (all others are Django's): their names, columns and digits. Each is partitioned by
range of trading date where the database can:

temp_market_data      today's ticks, one a row, key (symbol, event_time, tick_id, trade_date); a partition per trading
                      date. Every tick enters here, late ones too
market_data_tick      the ticks of finished days, the same columns; a day arrives as a whole partition
market_data_minute    one minute candle a row, key (symbol, feed, minute_time, trade_date), by month
market_data           one daily candle a row, key (symbol, feed, trade_date), by month. `close` is the close of the
                      regular session (of the day, where the market has none); `last` the last price; open, high,
                      low, volume, value and n are of all trades; regular_* of the regular session, NULL without it
order_books           ten levels as JSON arrays of decimals as text, best first, and what a source tells beside them
                      (BOOK_FIGURES), key (symbol, event_time, tick_id, trade_date), by day
stock_prices          the day of a symbol so far as a polled snapshot told it, a row for each snapshot that told more
                      than its price: current_price, open_price, high_price, low_price, prev_close, change_rate (per
                      cent), volume and value of the day, upper_limit, lower_limit, bid, ask; what is not given is NULL.
                      `category` is the symbol's (kospi, kosdaq, ...) when it came. Key (symbol, feed, timestamp,
                      tick_id, trade_date), by month; the snapshot itself is a tick of the same tick_id (docs/adr/0018)
market_events         status, VI, index and other events, key (event_time, event_id, trade_date), body in JSON, by day
cache_realtime_data, cache_chart_data, cache_stats_data   what a reader in SQL gets of the caches; not partitioned

Prices and per cents are DECIMAL(18,8), sizes DECIMAL(18,6) and the value of a day DECIMAL(18,2) where the database has
exact decimals; SQLite has none and keeps the integers of `marketdata.types.tick_arrays` (1e-8, 1e-6 and 1e-2), and
times as microseconds.
"""

from __future__ import annotations

import datetime

from marketdata.storage.periods import DAY, MONTH, Period
from marketdata.types.day_figures import DAY_VALUE_SCALE
from terminals import wire

TEMP, HISTORY = "temp_market_data", "market_data_tick"
MINUTES, DAILY, BOOKS, EVENTS = "market_data_minute", "market_data", "order_books", "market_events"
PRICES = "stock_prices"
CACHES = ("cache_realtime_data", "cache_chart_data", "cache_stats_data")
STATS_KEPT = datetime.timedelta(days=14)
"""Statistics of which no newer ones came; longer than the longest holidays, in which nothing is computed."""
PERIODS: dict[str, Period] = {
    TEMP: DAY, HISTORY: DAY, MINUTES: MONTH, DAILY: MONTH, BOOKS: DAY, EVENTS: DAY, PRICES: MONTH,
}  # fmt: skip
# Digits in all and behind the point, of prices, sizes, sums of sizes and traded values.
PRICE_DIGITS = f"(18,{wire.PRICE_SCALE})"
SIZE_DIGITS = f"(18,{wire.SIZE_SCALE})"
VOLUME_DIGITS = f"({20 + wire.SIZE_SCALE},{wire.SIZE_SCALE})"
VALUE_DIGITS = f"({24 + wire.VALUE_SCALE},{wire.VALUE_SCALE})"
DAY_VALUE_DIGITS = f"(18,{DAY_VALUE_SCALE})"
PRICES_BY_CATEGORY = "CREATE INDEX IF NOT EXISTS stock_prices_category ON stock_prices (category, feed, {time})"
"""The one index beside a key that a partitioned table has (docs/adr/0018); `time` is the quoted column."""
