"""Statistics in Redis: which series are due, who is at them, and the newest result of each.

Whoever changes what is stored marks its series as due, in the script that publishes the change (`feed.publish`,
`records_feed`). Any number of workers take due series, each for `LEASE_US`: what a dead one took is due again
after that. A take has a revision, greater than those of all takes before it, also in another Redis or after its clock
was set back: it is the time, in microseconds, or one more than the greatest that is known. An emptied Redis is given
the results that cache_stats_data has (`seed`).

What is read after a take has everything that was committed before its revision, and a result replaces only one of a
smaller revision, so none goes back. Statistics of the market as a whole are those of the symbol "" of a feed, due a
second after a result of the feed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgpack
import redis

from marketdata.storage.base import STATS_KEPT

MARKED, FEEDS = "naru:stats-due:", "naru:stats-feeds"
"""The symbols of a feed that are due, and the feeds that ever had one."""
MARKETS, TAKEN, CLOCK = "naru:stats-markets", "naru:stats-taken", "naru:stats-clock"
BEGUN, TURN = "naru:stats-begun", "naru:stats-turn"
SEEDED = "naru:stats-seeded"
"""The epoch in which this Redis was given what cache_stats_data has."""
RESULTS, FLOWS, PROFILES = "naru:stats:", "naru:stats-flows:", "naru:stats-profiles:"
RECENT = "naru:stats-recent:"
"""By symbol of a feed, for rules on alerts: how the volume of the newest minutes compares with their usual one."""
RATIO_UNIT = 10_000
ORDER = "naru:stats-order:"
"""When the result of each symbol of a feed was put, in microseconds and greater than the one before: who knows the
results up to one has to read only what came after. Revisions are not in that order, for takes overlap."""
MARKET = ""
NOTHING = b"null"
"""The result of a series that has nothing to tell any more: its last trade was voided, or its symbol was removed. It is
a result like others, so that an older one does not come back."""
ROWS, MARKET_ROW = "symbol", "market"
"""Names of rows of cache_stats_data."""
MOST = 100
"""Series of one take: few enough that they are done within the lease also where nothing is known of them yet."""
LEASE_US = 30_000_000
MARKET_AFTER_US = 1_000_000
KEEP_S = int(STATS_KEPT.total_seconds())
WORKING_S = 2 * 86_400
NOTES_TOGETHER = 20
REVISION_DIGITS = 16
Pair = tuple[str, str]
"""Feed and symbol."""

_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
"""
# Of symbols as many at a time as Lua hands on at once.
MARK = """
local function mark(feeds, marked, feed, symbols)
  redis.call('SADD', feeds, feed)
  for start = 1, #symbols, 1000 do
    redis.call('SADD', marked, unpack(symbols, start, math.min(start + 999, #symbols)))
  end
end
"""
_MARK = MARK + "mark(KEYS[1], KEYS[2], ARGV[1], cmsgpack.unpack(ARGV[2]))"
# KEYS: feeds, market, taken, clock, turn. ARGV: series at most, lease, MARKED, the market's pause. Returns {revision,
# end of the lease, how many are left, series...}, or {}. Those of dead workers come first, then markets whose pause is
# over, then feeds, each time beginning with another one, so that none waits for one that always has more. What ends
# later than could be was put by a clock that was ahead, and is over.
_TAKE = (
    _NOW
    + """
local most = tonumber(ARGV[1])
local function over(key, longest, most)
  local found = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
  local ahead = string.format('(%.0f', now + math.max(longest, 0))
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, ahead, '+inf', 'LIMIT', 0, most - #found)) do
    found[#found + 1] = one
  end
  return found
end
local found = over(KEYS[3], tonumber(ARGV[2]), most)
for _, one in ipairs(found) do
  local at = string.find(one, ' ', 1, true)
  redis.call('SREM', ARGV[3] .. string.sub(one, 1, at - 1), string.sub(one, at + 1))
end
for _, feed in ipairs(over(KEYS[2], tonumber(ARGV[4]), most)) do
  redis.call('ZREM', KEYS[2], feed)
  found[#found + 1] = feed .. ' '
end
local left = 0
local feeds, turn = redis.call('SMEMBERS', KEYS[1]), redis.call('INCR', KEYS[5])
for place = 1, #feeds do
  local feed = feeds[(turn + place) % #feeds + 1]
  if #found < most then
    for _, symbol in ipairs(redis.call('SPOP', ARGV[3] .. feed, most - #found)) do
      found[#found + 1] = feed .. ' ' .. symbol
    end
  end
  left = left + redis.call('SCARD', ARGV[3] .. feed)
end
if #found == 0 then return {} end
local revision = math.max(now, tonumber(redis.call('GET', KEYS[4]) or 0) + 1)
redis.call('SET', KEYS[4], string.format('%.0f', revision))
local ends = string.format('%.0f', now + tonumber(ARGV[2]))
for _, one in ipairs(found) do
  redis.call('ZADD', KEYS[3], ends, one)
end
return {string.format('%.0f', revision), ends, left, unpack(found)}
"""
)
# KEYS: results of the feed, market, taken, order. ARGV: feed, revision, end of the lease, how long results are kept,
# the market's pause, [symbols, results] in msgpack, symbols that were taken. Returns the symbols whose result was the
# newest.
_SETTLE = (
    _NOW
    + """
local symbols, values = unpack(cmsgpack.unpack(ARGV[6]))
local revision = tonumber(ARGV[2])
local put, is_series = {}, false
local last = redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')
local order = string.format('%.0f', math.max(now, tonumber(last[2] or 0) + 1))
for at, symbol in ipairs(symbols) do
  local old = redis.call('HGET', KEYS[1], symbol)
  if not old or tonumber(string.sub(old, 1, 16)) < revision then
    redis.call('HSET', KEYS[1], symbol, string.format('%016.0f', revision) .. values[at])
    redis.call('ZADD', KEYS[4], order, symbol)
    put[#put + 1] = symbol
    is_series = is_series or symbol ~= ''
  end
end
if #put > 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[4])
  redis.call('EXPIRE', KEYS[4], ARGV[4])
end
local mine = tonumber(ARGV[3])
for _, symbol in ipairs(cmsgpack.unpack(ARGV[7])) do
  local member = ARGV[1] .. ' ' .. symbol
  if tonumber(redis.call('ZSCORE', KEYS[3], member) or 0) == mine then redis.call('ZREM', KEYS[3], member) end
end
if is_series then
  redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now + tonumber(ARGV[5])), ARGV[1])
end
return put
"""
)


# KEYS: clock. Returns a revision, greater than all before it.
_REVISION = (
    _NOW
    + """
local revision = string.format('%.0f', math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0) + 1))
redis.call('SET', KEYS[1], revision)
return revision
"""
)


# KEYS: results of the feed, order, clock. ARGV: how long results are kept, [symbols, results with revisions] in
# msgpack. Returns how many were put: those that are newer than what is there. Takes to come have a greater revision.
_SEED = (
    _NOW
    + """
local symbols, values = unpack(cmsgpack.unpack(ARGV[2]))
local newest = tonumber(redis.call('GET', KEYS[3]) or 0)
local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local order = string.format('%.0f', math.max(now, tonumber(last[2] or 0) + 1))
local put = 0
for at, symbol in ipairs(symbols) do
  local revision = tonumber(string.sub(values[at], 1, 16))
  local old = redis.call('HGET', KEYS[1], symbol)
  newest = math.max(newest, revision)
  if not old or tonumber(string.sub(old, 1, 16)) < revision then
    redis.call('HSET', KEYS[1], symbol, values[at])
    redis.call('ZADD', KEYS[2], order, symbol)
    put = put + 1
  end
end
redis.call('SET', KEYS[3], string.format('%.0f', newest))
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[1])
return put
"""
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Series that one worker has until `ends_us` of Redis' clock. `left` says how many more are due."""

    revision: int
    ends_us: int
    series: list[Pair]
    left: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of a symbol ("": of the market) as a JSON object, and the revision of the take after which they were read."""

    symbol: str
    revision: int = field(compare=False)
    body: bytes


def mark(pipeline: Any, feed: str, symbols: Iterable[str]) -> None:
    """Queue marking series of a feed as due on a Redis pipeline."""
    if named := sorted(set(symbols)):
        pipeline.eval(_MARK, 2, FEEDS, MARKED + feed, feed, msgpack.packb(named, use_bin_type=False))


def mark_known(connection: redis.Redis) -> int:
    """Mark every series that has a result; returns how many."""
    total = 0
    for key in connection.scan_iter(RESULTS + "*", count=1000):
        symbols = [symbol.decode() for symbol in connection.hkeys(key)]  # type: ignore[union-attr]  # waits
        mark(connection, key.decode().removeprefix(RESULTS), symbols)
        total += len(symbols)
    return total


def take(connection: redis.Redis, *, most: int) -> Taken | None:
    """Take series that are due, at most so many, in no order; None if there are none."""
    answer: Any = connection.eval(_TAKE, 5, FEEDS, MARKETS, TAKEN, CLOCK, TURN, most, LEASE_US, MARKED, MARKET_AFTER_US)
    if not answer:
        return None
    revision, ends_us, left, *members = answer
    pairs = [member.decode().partition(" ")[::2] for member in members]
    return Taken(int(revision), int(ends_us), [(feed, symbol) for feed, symbol in pairs], int(left))


def revision(connection: redis.Redis) -> int:
    """A revision as a take has one, for what is made of series otherwise: what is read from now on has everything that
    was committed before it."""
    found: Any = connection.eval(_REVISION, 1, CLOCK)
    return int(found)


def settle(
    connection: redis.Redis, feed: str, take: Taken, taken: Sequence[str], results: Mapping[str, bytes]
) -> list[str]:
    """Put results of series of a feed that were taken (by symbol, JSON) in place of older ones, and give the series
    back; one without a result has its old one. Returns the symbols whose result is the newest."""
    put: Any = connection.eval(
        _SETTLE, 4, RESULTS + feed, MARKETS, TAKEN, ORDER + feed, feed, take.revision, take.ends_us, KEEP_S,
        MARKET_AFTER_US,
        msgpack.packb([list(results), list(results.values())], use_bin_type=False),
        msgpack.packb(list(taken), use_bin_type=False),
    )  # fmt: skip
    return [symbol.decode() for symbol in put]


def seed(connection: redis.Redis, feed: str, found: Sequence[Statistics]) -> int:
    """Put results of a feed that were kept elsewhere, each with the revision it had, where this Redis has none or an
    older one; returns how many. They are not due by that."""
    symbols = [one.symbol for one in found]
    values = [f"{one.revision:0{REVISION_DIGITS}d}".encode() + one.body for one in found]
    packed = msgpack.packb([symbols, values], use_bin_type=False)
    put: Any = connection.eval(_SEED, 3, RESULTS + feed, ORDER + feed, CLOCK, KEEP_S, packed) if found else 0
    return int(put)


def is_seeded(connection: redis.Redis) -> bool:
    """Whether this Redis was given what cache_stats_data has since it was emptied: else a result that it lacks may be
    there."""
    return bool(connection.exists(SEEDED))


def results(connection: redis.Redis, feed: str, symbols: Sequence[str] | None = None) -> dict[str, Statistics]:
    """The newest results of these symbols of a feed that have one that tells something, of all by default (the
    market's is MARKET's)."""
    found = all_results(connection, feed, symbols)
    return {symbol: one for symbol, one in found.items() if one.body != NOTHING}


def put_since(connection: redis.Redis, feed: str, order: int) -> dict[str, int]:
    """The symbols of a feed whose result was put after that (0: all of whose result that is known), and when."""
    found: Any = connection.zrangebyscore(ORDER + feed, f"({order}", "+inf", withscores=True)
    return {symbol.decode(): int(score) for symbol, score in found}


def all_results(connection: redis.Redis, feed: str, symbols: Sequence[str] | None = None) -> dict[str, Statistics]:
    """As `results`, with those that have nothing to tell any more."""
    if symbols is not None and not symbols:
        return {}
    key = RESULTS + feed
    if symbols is None:
        found: Any = connection.hgetall(key)
        pairs: Iterable[tuple[str, bytes | None]] = ((symbol.decode(), value) for symbol, value in found.items())
    else:
        values: Any = connection.hmget(key, list(symbols))
        pairs = zip(symbols, values, strict=True)
    return {
        symbol: Statistics(symbol, int(value[:REVISION_DIGITS]), value[REVISION_DIGITS:])
        for symbol, value in pairs
        if value is not None
    }


def kept(connection: redis.Redis, key: str, symbols: Sequence[str]) -> dict[str, bytes]:
    """What a worker noted of these symbols under FLOWS, PROFILES or RECENT of a feed."""
    values: Any = connection.hmget(key, list(symbols)) if symbols else []
    return {symbol: value for symbol, value in zip(symbols, values, strict=True) if value is not None}


def recent_note(day: int, ratios: Sequence[int | None]) -> bytes:
    """A note under RECENT: the trading date (days since 1970), and the volume of the newest 1, 2, … minutes by what is
    usual in the same ones, in 1 / RATIO_UNIT; None where nothing is."""
    return bytes(msgpack.packb([day, list(ratios)]))


def recent(connection: redis.Redis, feed: str, symbols: Sequence[str]) -> dict[str, tuple[int, list[int | None]]]:
    """What `recent_note` was given of these symbols of a feed."""
    notes = kept(connection, RECENT + feed, symbols)
    unpacked = ((symbol, msgpack.unpackb(note)) for symbol, note in notes.items())
    return {symbol: (day, ratios) for symbol, (day, ratios) in unpacked}


def forget(connection: redis.Redis, feed: str, symbols: Sequence[str]) -> None:
    """Forget what workers noted of these symbols of a feed."""
    for key in (FLOWS + feed, PROFILES + feed, RECENT + feed):
        connection.hdel(key, *symbols)


class Notes:
    """Notes of symbols under a key, written `NOTES_TOGETHER` at a time, so that what was interrupted is not begun
    anew, and when the block ends; they last `WORKING_S` after the last of the feed."""

    def __init__(self, connection: redis.Redis, key: str) -> None:
        self._connection, self._key = connection, key
        self._waiting: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._write()

    def add(self, symbol: str, note: bytes) -> None:
        self._waiting[symbol] = note
        if len(self._waiting) >= NOTES_TOGETHER:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            values: Any = self._waiting
            pipeline = self._connection.pipeline(transaction=False)
            pipeline.hset(self._key, mapping=values)
            pipeline.expire(self._key, WORKING_S)
            pipeline.execute()
            self._waiting = {}
