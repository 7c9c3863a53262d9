"""Series that are due at a time, in Redis: marked by whoever finds that they changed, taken by any of several workers,
each for `LEASE_US`; what a dead one took is due again. Lost without harm where somebody marks them anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

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


@dataclass(frozen=True, slots=True)
class DueTimes:
    """One kind of work: the keys of what is due and of what a worker has."""

    due: str
    taken: str

    def mark(self, connection: redis.Redis, pairs: Iterable[Pair], at_us: int) -> None:
        """Have these series done at that time, unless they are due earlier. The market as a whole is no series."""
        scores: Any = {f"{feed} {symbol}": at_us for feed, symbol in pairs if symbol}
        if scores:
            pipeline = connection.pipeline(transaction=False)
            pipeline.zadd(self.due, scores, lt=True)
            pipeline.expire(self.due, KEEP_S)
            pipeline.execute()

    def take(self, connection: redis.Redis, now_us: int, *, most: int) -> list[Pair]:
        """Take series that are due, at most so many, the longest due first."""
        found: Any = connection.eval(
            _TAKE, 2, self.due, self.taken, now_us, most, now_us + LEASE_US, KEEP_S, now_us + FARTHEST_US
        )
        pairs = (one.decode().partition(" ")[::2] for one in found)
        return [(feed, symbol) for feed, symbol in pairs]

    def settle(self, connection: redis.Redis, pairs: Sequence[Pair]) -> None:
        """Give series back that were taken."""
        if pairs:
            connection.zrem(self.taken, *(f"{feed} {symbol}" for feed, symbol in pairs))
