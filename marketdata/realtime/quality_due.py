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
GAPS = "naru:quality-gaps"
"""The newest gap whose series were made due."""
LEASE_US = 60_000_000
FARTHEST_US = 1_800_000_000
"""Nothing is due later than that from now on: what is, was put by a clock that was ahead, and is due."""
KEEP_S = 2 * 86_400
Pair = tuple[str, str]
"""Feed and symbol."""

# KEYS: due, taken. ARGV: now, most, end of the lease, how long they are kept, what is due later than can be. Those of
# dead workers come first.
_TAKE = """
local found, most = {}, tonumber(ARGV[2])
local function add(key, from, upto)
  if #found >= most then return end
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, from, upto, 'LIMIT', 0, most - #found)) do
    if key == KEYS[1] then redis.call('ZREM', key, one) end
    found[#found + 1] = one
  end
end
add(KEYS[2], '-inf', ARGV[1])
add(KEYS[2], '(' .. ARGV[3], '+inf')
add(KEYS[1], '-inf', ARGV[1])
add(KEYS[1], '(' .. ARGV[5], '+inf')
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
    found: Any = connection.eval(_TAKE, 2, DUE, TAKEN, now_us, most, now_us + LEASE_US, KEEP_S, now_us + FARTHEST_US)
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


def gaps_seen(connection: redis.Redis) -> int | None:
    """Up to which gap the series were made due; None in a Redis that knows of none."""
    seen: Any = connection.get(GAPS)
    return None if seen is None else int(seen)


def note_gaps(connection: redis.Redis, newest: int) -> None:
    """Note up to which gap the series were made due."""
    connection.set(GAPS, newest, ex=KEEP_S)
