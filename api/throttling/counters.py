"""How often something happened within a window of time, by name: counted in Redis for all processes together, and in
this process while Redis is away, slow or full. There is no state in which nobody counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from marketdata import metrics
from marketdata.realtime import live_state

log = logging.getLogger(__name__)

MOST_NAMES = 10_000  # of this process; what comes beyond them is counted together
REST_S = 5.0  # so long Redis is not asked again after it failed: nobody should wait for it at each request
UNDER_WAY_S = 10.0  # after which whoever tried something is taken for gone, as when its process was killed
_PREFIX, _UNDER_WAY = "naru:count:", "under-way:"
_OTHERS = ""
# The first to count begins the window. Atomic, so that two processes do not both find room for the last one.
_ADD = """
local found = {}
for i, key in ipairs(KEYS) do
  local count = redis.call('INCR', key)
  if count == 1 then redis.call('PEXPIRE', key, ARGV[i]) end
  found[i] = {count, redis.call('PTTL', key)}
end
return found
"""
# KEYS: those of counts, then those of what is under way for each. ARGV: how often each may happen, milliseconds for
# which what is under way is remembered. Whether there is room is looked at and taken in one step: of two who come for
# the last place one is told that it is being tried.
_TRY = """
local half = #KEYS / 2
local found, full, busy = {}, 0, 0
for i = 1, half do
  local count, most = tonumber(redis.call('GET', KEYS[i]) or 0), tonumber(ARGV[i])
  if count >= most then full = 1
  elseif count + tonumber(redis.call('GET', KEYS[half + i]) or 0) >= most then busy = 1 end
  found[i] = {count, redis.call('PTTL', KEYS[i])}
end
if full == 0 and busy == 0 then
  for i = half + 1, #KEYS do
    if redis.call('INCR', KEYS[i]) == 1 then redis.call('PEXPIRE', KEYS[i], ARGV[half + 1]) end
  end
end
return {found, busy}
"""
_END = """
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
end
"""


@dataclass(frozen=True, slots=True)
class Count:
    """How often, and for how many seconds that is still remembered."""

    count: int = 0
    left_s: float = 0.0


class LocalWindows:
    """Windows of this process: bounded, and safe to use from several threads."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._kept: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, name: str, window_s: float, now: float) -> Count:
        with self._lock:
            name = self._place(name, now)
            count, until = self._kept.get(name, (0, 0.0))
            if until <= now:
                count, until = 0, now + window_s
            self._kept[name] = (count + 1, until)
            return Count(count + 1, until - now)

    def look(self, name: str, now: float) -> Count:
        with self._lock:
            count, until = self._kept.get(self._place(name, now), (0, 0.0))
            return Count(count, until - now) if until > now else Count()

    def _place(self, name: str, now: float) -> str:
        """Where this name is counted: by itself while there is room."""
        if name in self._kept or len(self._kept) < self._most:
            return name
        self._kept = {one: kept for one, kept in self._kept.items() if kept[1] > now}
        return name if len(self._kept) < self._most else _OTHERS


_local = LocalWindows()
_asleep_until = 0.0


def add(windows: Sequence[tuple[str, float]]) -> list[Count]:
    """Count each (name, seconds of its window) once more."""
    now = time.monotonic()
    names, lengths = [name for name, _ in windows], [int(window_s * 1000) for _, window_s in windows]
    told = _ask(lambda client: client.eval(_ADD, len(names), *_keys(names), *lengths))
    if told is None:
        return [_local.add(name, window_s, now) for name, window_s in windows]
    return _greater(told, names, now)


def begin(limits: Sequence[tuple[str, int]]) -> tuple[list[Count], bool]:
    """(the counts; whether it has to be asked again, because as many as are left are being tried) of each (name, how
    often it may happen). Where there is room in all, something is under way until `end`, `UNDER_WAY_S` at most; what
    then happened is counted by `add`. While Redis is away this process looks only."""
    names = [name for name, _ in limits]
    keys, most = [*_keys(names), *_keys(names, _UNDER_WAY)], [most for _, most in limits]
    told = _ask(lambda client: client.eval(_TRY, len(keys), *keys, *most, int(UNDER_WAY_S * 1000)))
    found, busy = told or ([(0, 0)] * len(names), 0)
    return _greater(found, names, time.monotonic()), bool(busy)


def end(names: Sequence[str]) -> None:
    """What `begin` let begin is over."""
    keys = _keys(names, _UNDER_WAY)
    _ask(lambda client: client.eval(_END, len(keys), *keys))


def keep(name: str, for_s: float) -> None:
    """Remember a name for so long, in Redis alone: nothing while it is away."""
    _ask(lambda client: client.set(name, "1", px=int(for_s * 1000)))


def is_kept(name: str) -> bool:
    """Whether it is remembered; of none that can be told while Redis is away."""
    return bool(_ask(lambda client: client.exists(name)))


def drop(name: str) -> None:
    """Remember a name no longer."""
    _ask(lambda client: client.delete(name))


def forget() -> None:
    """Forget what this process counted, and ask Redis again at once."""
    global _local, _asleep_until
    _local, _asleep_until = LocalWindows(), 0.0


def _greater(told: Sequence[Sequence[int]], names: Sequence[str], now: float) -> list[Count]:
    """What Redis says, or what was counted here while it could not."""
    found = [Count(int(count), max(left_ms, 0) / 1000) for count, left_ms in told]
    here = [_local.look(name, now) for name in names]
    return [max(pair, key=lambda one: one.count) for pair in zip(found, here, strict=True)]


def _keys(names: Sequence[str], prefix: str = "") -> list[str]:
    return [_PREFIX + prefix + name for name in names]


def _ask(question: Callable[[Any], Any]) -> Any:
    global _asleep_until
    if time.monotonic() < _asleep_until:
        return None
    try:
        return question(live_state.connection())
    except redis.RedisError as error:
        _asleep_until = time.monotonic() + REST_S
        metrics.COUNTED_LOCALLY.inc()
        log.warning("counted by this process alone: redis cannot error=%s", type(error).__name__)
        return None
