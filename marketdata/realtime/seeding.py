"""Fills an empty Redis with the latest trades the database knows, so that a late one never stands for the latest."""

from __future__ import annotations

import logging

from marketdata.models import Symbol
from marketdata.realtime import feed, live_state
from marketdata.storage import storage
from marketdata.storage.base import Latest

log = logging.getLogger(__name__)

SYMBOLS = 500  # asked for and written at a time

# Only while Redis still is what it was when the database was asked: emptied meanwhile, it begins anew.
# KEYS: generation, seeded. ARGV: epoch.
_DONE = """
local generation = redis.call('GET', KEYS[1])
if generation and string.sub(ARGV[1], 9) == generation then redis.call('SET', KEYS[2], ARGV[1]) return 1 end
return 0
"""


def seed() -> bool:
    """Fill this Redis unless that was done in its epoch (a restart may have lost the newest of it). Whoever does it at
    the same time does the same: of two trades the later stays. Returns whether it was done now."""
    connection = live_state.connection()
    epoch = feed.current_epoch(connection)
    if connection.get(live_state.SEEDED) == epoch.encode():
        return False
    trades = 0
    codes = list(Symbol.objects.order_by("code").values_list("code", flat=True))
    for start in range(0, len(codes), SYMBOLS):
        pipeline = connection.pipeline(transaction=False)
        found = storage().newest_trades(codes[start : start + SYMBOLS])
        live_state.remember_trades(pipeline, found)
        pipeline.execute()
        trades += len(found)
    done = bool(connection.eval(_DONE, 2, feed.GENERATION, live_state.SEEDED, epoch))
    log.info("latest trades filled from the database trades=%d epoch=%s done=%s", trades, epoch, done)
    return done


def from_database() -> list[Latest]:
    """The latest trade of every symbol and feed."""
    codes = list(Symbol.objects.order_by("code").values_list("code", flat=True))
    return [
        trade
        for start in range(0, len(codes), SYMBOLS)
        for trade in storage().newest_trades(codes[start : start + SYMBOLS])
    ]
