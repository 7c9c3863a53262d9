"""Failed logins, counted in Redis by address and by key. When Redis is away nobody is locked out, and the log says
so."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any

import redis

from marketdata import live, metrics

log = logging.getLogger(__name__)

WINDOW_S = 300
MOST_PER_ADDRESS = 30
MOST_PER_KEY = 10  # of one key from one address: a stranger elsewhere cannot lock its owner out
_PREFIX = "naru:failed:"
_REST_S = 5.0
_COUNT = """
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, ARGV[1]) end
end
"""
_asleep_until = 0.0


def wait_s(address: str, key_id: str) -> int:
    """For how many seconds this address may not try this key again; 0 when it may."""
    names = _names(address, key_id)
    kept = _ask(lambda client: client.pipeline(transaction=False).mget(names).ttl(names[0]).ttl(names[1]).execute())
    if not kept:
        return 0
    (by_address, by_key), ttl_address, ttl_key = kept
    wait = 0
    if by_address is not None and int(by_address) >= MOST_PER_ADDRESS:
        wait = max(wait, int(ttl_address))
    if by_key is not None and int(by_key) >= MOST_PER_KEY:
        wait = max(wait, int(ttl_key))
    return wait


def failed(address: str, key_id: str) -> None:
    """Count a refused login."""
    metrics.AUTH_FAILURES.labels("api").inc()
    log.warning("login refused address=%s", address)
    names = _names(address, key_id)
    _ask(lambda client: client.eval(_COUNT, len(names), *names, str(WINDOW_S)))


def _names(address: str, key_id: str) -> list[str]:
    both = hashlib.sha256(f"{address}|{key_id}".encode()).hexdigest()[:32]
    return [f"{_PREFIX}address:{address}", f"{_PREFIX}key:{both}"]


def _ask(question: Any) -> Any:
    global _asleep_until
    if time.monotonic() < _asleep_until:
        return None
    try:
        return question(live.connection())
    except redis.RedisError as error:
        _asleep_until = time.monotonic() + _REST_S
        log.warning("failed logins are not counted: redis is away error=%s", type(error).__name__)
        return None
