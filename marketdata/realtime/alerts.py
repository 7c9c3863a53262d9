"""Alert rules in Redis: which symbols they watch, how far each feed was looked at, and the state of each episode.

One worker at a time looks at a feed, and moves states and position on in one step, only while the feed is still its
own. All of it may be lost: the database has the rules and what fired (`analytics.alerts.due`).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import redis

from marketdata.realtime import records_feed

WATCHED, BY_STATISTICS = "naru:alerts-watched:", "naru:alerts-watched-stats:"
"""The symbols of a feed that a rule looks at ("*": all), and those of which one looks at the statistics."""
DUE, STATES, LEASE = "naru:alerts-due:", "naru:alerts-states:", "naru:alerts-lease:"
"""Of a feed: symbols to be looked at as they stand, with a number that grows whenever one is; states by "rule.revision
symbol" and the fields below; who looks at it."""
HELD = "naru:alerts-held:"
"""The symbols whose rules may fire again from a moment (microseconds) on."""
STATUS = " "
"""Stands before a symbol that is due, or held, for its statuses and not for its trades: no code has a blank."""
SINCE = "naru:alerts-since:"
"""Of what rules look at by timetable: since when (microseconds) it has been so, as far as was looked."""
SINCE_S = 60
RULES = "naru:alerts-rules"
"""A mark of the rules that there are: whoever has another one in mind reads them again."""
POSITION, RECORDS, MADE_OF = "position", "records", "made of"
"""Fields of STATES: the last offset of the feed and the last entry of its statuses that were looked at, and the mark of
the rules and the epoch for which all of it holds."""
ALL = "*"
LEASE_MS = 15_000

# In the script that publishes: whether a symbol is watched. KEYS: the feed's WATCHED. Without rules that is one look.
IS_WATCHED = """
local function is_watched(watched, symbols)
  if redis.call('EXISTS', watched) == 0 then return 0 end
  if redis.call('SISMEMBER', watched, '*') == 1 then return 1 end
  for start = 1, #symbols, 1000 do
    local found = redis.call('SMISMEMBER', watched, unpack(symbols, start, math.min(start + 999, #symbols)))
    for _, one in ipairs(found) do if one == 1 then return 1 end end
  end
  return 0
end
"""
# KEYS: watched, due. ARGV: symbols in msgpack. Returns how many are watched.
_MARK = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local all, marked = redis.call('SISMEMBER', KEYS[1], '*') == 1, 0
for _, symbol in ipairs(cmsgpack.unpack(ARGV[1])) do
  if all or redis.call('SISMEMBER', KEYS[1], symbol) == 1 then
    redis.call('HINCRBY', KEYS[2], symbol, 1)
    marked = marked + 1
  end
end
return marked
"""
# KEYS: lease. ARGV: token, for how long (ms). Returns 1, or 0 when the feed is somebody else's by now.
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# KEYS: lease, states, due, held. ARGV: token, [fields, states] in msgpack, fields that go, [symbols, numbers] that were
# due, [symbols, moments] that wait, for how long the lease goes on (ms). Returns 1, or 0 when the feed is somebody
# else's by now.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[6])
local fields, states = unpack(cmsgpack.unpack(ARGV[2]))
for at, field in ipairs(fields) do redis.call('HSET', KEYS[2], field, states[at]) end
for _, field in ipairs(cmsgpack.unpack(ARGV[3])) do redis.call('HDEL', KEYS[2], field) end
local symbols, numbers = unpack(cmsgpack.unpack(ARGV[4]))
for at, symbol in ipairs(symbols) do
  if redis.call('HGET', KEYS[3], symbol) == numbers[at] then redis.call('HDEL', KEYS[3], symbol) end
end
local waiting, moments = unpack(cmsgpack.unpack(ARGV[5]))
for at, symbol in ipairs(waiting) do redis.call('ZADD', KEYS[4], moments[at], symbol) end
return 1
"""
# KEYS: lease, states, stream, due, statuses. ARGV: token, whether to end whatever is left. Returns 0 when there is more
# to look at, and the feed stays ours: nothing can come between the last look and the end.
_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if ARGV[2] == '0' then
  local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
  local last = 0
  if newest[1] then last = tonumber(string.match(newest[1][1], '^%d+')) end
  if last > tonumber(redis.call('HGET', KEYS[2], 'position') or last) or redis.call('EXISTS', KEYS[4]) == 1 then
    return 0
  end
  local looked = redis.call('HGET', KEYS[2], 'records')
  if looked then
    local status = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)
    if status[1] and status[1][1] ~= looked then return 0 end
  end
end
redis.call('DEL', KEYS[1])
return 1
"""
# KEYS: held, due. ARGV: now. What waited until now is due.
_WAKE = """
local over = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1000)
for _, symbol in ipairs(over) do
  redis.call('ZREM', KEYS[1], symbol)
  redis.call('HINCRBY', KEYS[2], symbol, 1)
end
return #over
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """The symbols of a feed that rules look at, and those of which they look at the statistics; ALL for all."""

    symbols: frozenset[str]
    by_statistics: frozenset[str]


class Lease:
    """The right to look at a feed, until `release` or for `LEASE_MS` after it was taken, renewed or settled last."""

    def __init__(self, connection: redis.Redis, feed: str, stream: str) -> None:
        self._connection, self._feed, self._stream = connection, feed, stream
        self._token = secrets.token_hex(8)

    def take(self) -> bool:
        """Whether nobody else has it."""
        return bool(self._connection.set(LEASE + self._feed, self._token, nx=True, px=LEASE_MS))

    def renew(self) -> bool:
        """Have it for LEASE_MS from now on; False if the feed is somebody else's by now."""
        answer: Any = self._connection.eval(_RENEW, 1, LEASE + self._feed, self._token, LEASE_MS)
        return bool(answer)

    def settle(
        self,
        states: Mapping[str, bytes | str],
        *,
        gone: Iterable[str] = (),
        done: Mapping[str, str] | None = None,
        held: Mapping[str, int] | None = None,
    ) -> bool:
        """Put states and positions by field, let fields go, end what was due with these numbers, note who waits until
        when, and renew; False, and nothing was done, if the feed is somebody else's by now."""
        done, held = done or {}, held or {}
        answer: Any = self._connection.eval(
            _SETTLE, 4, LEASE + self._feed, STATES + self._feed, DUE + self._feed, HELD + self._feed, self._token,
            _packed([list(states), list(states.values())]), _packed(list(gone)),
            _packed([list(done), list(done.values())]), _packed([list(held), [str(at) for at in held.values()]]),
            LEASE_MS,
        )  # fmt: skip
        return bool(answer)

    def release(self, *, whatever_is_left: bool) -> bool:
        """Give the feed back; False, and it is still ours, if there is more to look at."""
        answer: Any = self._connection.eval(
            _RELEASE, 5, LEASE + self._feed, STATES + self._feed, self._stream, DUE + self._feed,
            records_feed.STATUS_STREAM + self._feed, self._token, "1" if whatever_is_left else "0",
        )  # fmt: skip
        return bool(answer)


def _packed(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=False)
    return packed


def watch(connection: redis.Redis, watched: Mapping[str, Watched], mark: str) -> None:
    """Let these feeds be watched and no other, for the rules with this mark. Where a feed stood that nobody watches any
    more is forgotten: who watches it later begins with what is new then."""
    pipeline = connection.pipeline(transaction=True)
    for prefix in (WATCHED, BY_STATISTICS):
        known = {key.decode().removeprefix(prefix) for key in connection.scan_iter(prefix + "*", count=1000)}
        for feed in known | watched.keys():
            pipeline.delete(prefix + feed)
            one = watched.get(feed)
            symbols = () if one is None else one.symbols if prefix == WATCHED else one.by_statistics
            if symbols:
                pipeline.sadd(prefix + feed, *sorted(symbols))
            if one is None:
                pipeline.delete(STATES + feed, DUE + feed, HELD + feed)
    pipeline.set(RULES, mark)
    pipeline.execute()


def mark_by_statistics(connection: redis.Redis, feed: str, symbols: Sequence[str]) -> int:
    """These have newer statistics: those that a rule looks at are due. Returns how many."""
    answer: Any = connection.eval(_MARK, 2, BY_STATISTICS + feed, DUE + feed, _packed(list(symbols)))
    return int(answer)


def mark(connection: redis.Redis, feed: str, symbols: Sequence[str]) -> int:
    """Those of these that a rule looks at are due to be looked at as they stand. Returns how many."""
    answer: Any = connection.eval(_MARK, 2, WATCHED + feed, DUE + feed, _packed(list(symbols)))
    return int(answer)


def wake(connection: redis.Redis, feed: str, now_us: int) -> int:
    """Whose rules waited until now is due. Returns how many."""
    answer: Any = connection.eval(_WAKE, 2, HELD + feed, DUE + feed, now_us)
    return int(answer)


def due(connection: redis.Redis, feed: str) -> dict[str, str]:
    """The symbols that are due, each with its number, by which `Lease.settle` ends it."""
    found: Any = connection.hgetall(DUE + feed)
    return {symbol.decode(): number.decode() for symbol, number in found.items()}


def states(connection: redis.Redis, feed: str, fields: Sequence[str]) -> dict[str, bytes]:
    """Those of these fields that there are."""
    values: Any = connection.hmget(STATES + feed, list(fields)) if fields else []
    return {name: value for name, value in zip(fields, values, strict=True) if value is not None}


def known_fields(connection: redis.Redis, feed: str) -> list[str]:
    """The fields of all states of a feed."""
    found: Any = connection.hkeys(STATES + feed)
    return [name.decode() for name in found]


def lasting(connection: redis.Redis, what: str, is_so: Mapping[str, bool], now_us: int) -> dict[str, int]:
    """Since when each of these has been so at every look, of those that are. Nobody looking for SINCE_S forgets it, and
    so does leaving one out."""
    key = SINCE + what
    known: Any = connection.hkeys(key)
    pipeline = connection.pipeline(transaction=True)
    over = [name for name, so in is_so.items() if not so]
    over += [name.decode() for name in known if name.decode() not in is_so]
    if over:
        pipeline.hdel(key, *over)
    for name, so in is_so.items():
        if so:
            pipeline.hsetnx(key, name, now_us)
    pipeline.expire(key, SINCE_S)
    pipeline.hgetall(key)
    found: Any = pipeline.execute()[-1]
    return {name.decode(): int(since) for name, since in found.items()}
