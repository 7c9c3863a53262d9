"""The cache tables that a reader in SQL may look at. Redis and the database are the truth; these are filled from there,
and filled again when a restart emptied them."""

from __future__ import annotations

import logging

import redis

from marketdata.realtime import live_state, seeding
from marketdata.storage import storage
from marketdata.storage.base import Latest

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
    """Of every symbol and feed: from Redis, or from the database when Redis is away or was emptied."""
    try:
        if live_state.seeded():
            return _from_redis()
    except redis.RedisError as error:
        log.warning("cache filled without redis error=%s", type(error).__name__)
    return {(trade.symbol, trade.feed): trade for trade in seeding.from_database()}


def _from_redis() -> dict[tuple[str, str], Latest]:
    found: dict[tuple[str, str], Latest] = {}
    for feed in live_state.feeds():
        for symbol, row in live_state.latest(feed).items():
            found[symbol, feed] = Latest(
                symbol=symbol,
                feed=feed,
                time_us=int(row["time_us"] or 0),
                tick_id=int(row["tick_id"] or 0),
                price=int(row["price"] or 0),
                size=row["size"],
            )
    return found
