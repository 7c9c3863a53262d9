"""How many sockets one key or person has in all web processes together: noted in Redis by every process for as long
as it lives.

Each process renews its sockets' notes every `RENEW_S`, and a note that nobody renews is gone after `LEASE_S`, as when
its process was killed. A process ends a socket of its own only once newer ones of the same were too many at every look
for `SETTLE_S`: longer than the notes of a killed process last, so those that come back from it turn nobody away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from api.stream.subscriber import Subscriber

RENEW_S, LEASE_S = 3.0, 9.0
SETTLE_S = LEASE_S + RENEW_S
KINDS = ("client", "key", "user")
"""Whose sockets are counted together. Visitors of the public page are nobody in particular: what they have together is
half of the room in a process, and another process is more room for them."""
PREFIX = "naru:stream-sockets:"
# KEYS: the sockets of one key or person, scored by when their notes end. ARGV: how many there may be, milliseconds that
# a note lasts, sockets to be renewed. Returns those that are older than the newest so many; names sort by age.
_RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local over = redis.call('ZCARD', KEYS[1]) - ARGV[1]
local older = {}
if over > 0 then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1)
  table.sort(all)
  for i = 1, over do older[i] = all[i] end
end
return older
"""


class Sharing:
    """The sockets of this process among those of all."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands
        self._process = secrets.token_hex(4)
        self._too_many_since: dict[str, float] = {}

    async def renew(self, inside: Iterable[Subscriber], most: Mapping[str, int]) -> list[Subscriber]:
        """Renew the notes of these sockets; those of them that have to go, where there may be `most` of one of this
        kind (KINDS). RedisError or OSError while Redis is away: then nobody has to."""
        named: dict[tuple[str, int], dict[str, Subscriber]] = {}
        for one in inside:
            if one.identity is not None and one.identity.kind in KINDS and one.ending is None:
                mine = named.setdefault((one.identity.kind, one.identity.number), {})
                mine[f"{one.came_us:016d}:{self._process}:{one.age}"] = one
        pipeline = self._commands.pipeline(transaction=False)
        for (kind, number), mine in named.items():
            pipeline.eval(
                _RENEW, 1, f"{PREFIX}{kind}:{number}", most[kind], int(LEASE_S * 1000), *mine
            )  # fmt: skip
        sockets = {name: one for mine in named.values() for name, one in mine.items()}
        try:
            answers = await pipeline.execute() if named else []
        except Exception:
            self._too_many_since.clear()
            raise
        older, now_s = {name.decode() for answer in answers for name in answer}, time.monotonic()
        self._too_many_since = {name: self._too_many_since.get(name, now_s) for name in older & sockets.keys()}
        return [sockets[name] for name, began_s in self._too_many_since.items() if now_s - began_s >= SETTLE_S]
