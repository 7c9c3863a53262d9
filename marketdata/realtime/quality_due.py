"""Which series have their quality computed again while the day is going on, and when: in Redis, and lost without harm,
for what a day is in the end is computed anew once it was rolled over.

A series that changed is due some minutes later, once for all that changes until then; one that does not change, too,
for silence is what is looked for. Whoever takes series has them for `LEASE_US`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import redis

DUE, TAKEN, DAY = "naru:quality-due", "naru:quality-taken", "naru:quality-day"
LEASE_US = 60_000_000
KEEP_S = 2 * 86_400
Pair = tuple[str, str]
"""Feed and symbol."""

# KEYS: due, taken. ARGV: now, most, end of the lease, how long they are kept. Those of dead workers come first.
_TAKE = """
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
local left = tonumber(ARGV[2]) - #found
if left > 0 then
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, left)) do
    redis.call('ZREM', KEYS[1], one)
    found[#found + 1] = one
  end
end
for _, one in ipairs(found) do redis.call('ZADD', KEYS[2], ARGV[3], one) end
if #found > 0 then redis.call('EXPIRE', KEYS[2], ARGV[4]) end
return found
"""


def mark(connection: redis.Redis, pairs: Iterable[Pair], at_us: int) -> None:
    """Have these series computed at that time, unless they are due earlier."""
    scores: Any = {f"{feed} {symbol}": at_us for feed, symbol in pairs if symbol}
    if scores:
        pipeline = connection.pipeline(transaction=False)
        pipeline.zadd(DUE, scores, lt=True)
        pipeline.expire(DUE, KEEP_S)
        pipeline.execute()


def take(connection: redis.Redis, now_us: int, *, most: int) -> list[Pair]:
    """Take series that are due, at most so many, the longest due first."""
    found: Any = connection.eval(_TAKE, 2, DUE, TAKEN, now_us, most, now_us + LEASE_US, KEEP_S)
    pairs = (one.decode().partition(" ")[::2] for one in found)
    return [(feed, symbol) for feed, symbol in pairs]


def settle(connection: redis.Redis, pairs: Sequence[Pair]) -> None:
    """Give series back that were taken."""
    if pairs:
        connection.zrem(TAKEN, *(f"{feed} {symbol}" for feed, symbol in pairs))


def begin(connection: redis.Redis, day: str) -> bool:
    """Whether a day has not begun in this Redis yet; it has then."""
    before: Any = connection.set(DAY, day, get=True, ex=KEEP_S)
    return before is None or before.decode() != day
