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
_PREFIX = "naru:count:"
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
_LOOK = """
local found = {}
for i, key in ipairs(KEYS) do found[i] = {tonumber(redis.call('GET', key) or 0), redis.call('PTTL', key)} end
return found
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


def look(names: Sequence[str]) -> list[Count]:
    """The counts, without counting."""
    told = _ask(lambda client: client.eval(_LOOK, len(names), *_keys(names)))
    return _greater(told or [(0, 0)] * len(names), names, time.monotonic())


def forget() -> None:
    """Forget what this process counted, and ask Redis again at once."""
    global _local, _asleep_until
    _local, _asleep_until = LocalWindows(), 0.0


def _greater(told: Sequence[Sequence[int]], names: Sequence[str], now: float) -> list[Count]:
    """What Redis says, or what was counted here while it could not."""
    found = [Count(int(count), max(left_ms, 0) / 1000) for count, left_ms in told]
    here = [_local.look(name, now) for name in names]
    return [max(pair, key=lambda one: one.count) for pair in zip(found, here, strict=True)]


def _keys(names: Sequence[str]) -> list[str]:
    return [_PREFIX + name for name in names]


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
