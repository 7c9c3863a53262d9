"""The cache tables that a reader in SQL may look at. Redis and the database are the truth; these are filled from there,
and filled again when a restart emptied them."""

from __future__ import annotations

import datetime
import logging

import redis

from marketdata import live
from marketdata.storage import storage
from marketdata.storage.base import MINUTES, Latest

log = logging.getLogger(__name__)

TABLE = "cache_realtime_data"
_written: dict[tuple[str, str], Latest] = {}


def refresh() -> int:
    """Write what changed since this process last did; everything when the table has less than was written, as after a
    restart of a server that keeps it in memory. Returns how many rows were written."""
    latest = _latest()
    if storage().count(TABLE) < len(_written.keys() & latest.keys()):
        log.info("cache warmed again table=%s rows=%d", TABLE, len(latest))
        _written.clear()
    changed = [row for key, row in latest.items() if _written.get(key) != row]
    storage().put_latest(changed)
    _written.update(((row.symbol, row.feed), row) for row in changed)
    return len(changed)


def _latest() -> dict[tuple[str, str], Latest]:
    """Of every symbol and feed: from Redis, or from the newest day's candles when Redis is away or knows nothing."""
    found: dict[tuple[str, str], Latest] = {}
    try:
        for feed in live.feeds():
            for symbol, row in live.latest(feed).items():
                found[symbol, feed] = Latest(
                    symbol=symbol,
                    feed=feed,
                    time_us=int(row["time_us"] or 0),
                    tick_id=int(row["tick_id"] or 0),
                    price=int(row["price"] or 0),
                    size=row["size"],
                )
    except redis.RedisError as error:
        log.warning("cache filled without redis error=%s", type(error).__name__)
    return found or _from_candles()


def _from_candles() -> dict[tuple[str, str], Latest]:
    if _written:
        return dict(_written)  # better than anything a candle knows
    found: dict[tuple[str, str], Latest] = {}
    dates = storage().dates(MINUTES)
    if not dates:
        return found
    newest: datetime.date = dates[-1]
    for feed in sorted({feed for _, feed in storage().day_series(newest)}):
        bars = storage().read_day_minutes(newest, feed)  # by symbol and minute: the last one of a symbol stays
        for row in range(len(bars)):
            symbol = bars.symbols[int(bars.symbol[row])]
            found[symbol, feed] = Latest(
                symbol=symbol,
                feed=feed,
                time_us=int(bars.close_time[row]),
                tick_id=int(bars.close_id[row]),
                price=int(bars.close[row]),
                size=None,
            )
    return found
