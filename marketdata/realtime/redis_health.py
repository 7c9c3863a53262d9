"""Whether Redis answers in time and takes what is written, and the alarm when it does not.

The look is taken by the ingest server, not by a task: a broker that is full takes no task to say so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import redis
from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.realtime import redis_clients, redis_urls

FULL_AT = 0.85  # of maxmemory; with `noeviction` writes fail at 1.0
SLOW_S = 0.5  # one small write; it takes a tenth of a millisecond when all is well
LOOKS = 2  # in a row, before it is an alarm
AGAIN_S = 60.0  # an alarm that stands is told again so often
CODES = ("redis_away", "redis_full", "redis_slow")


@dataclass(frozen=True, slots=True)
class Trouble:
    """A code of `CODES`, and what a person is told."""

    code: str
    message: str | Promise


def look(client: redis.Redis) -> Trouble | None:
    """One write and one question; None when all is well."""
    begin = time.monotonic()
    try:
        client.set("naru:written", "1", ex=60)
        took_s = time.monotonic() - begin
        memory = client.info("memory")
    except redis.OutOfMemoryError:
        return Trouble("redis_full", _("Redis refuses writes: its memory is used up"))
    except redis.RedisError as error:
        return Trouble("redis_away", format_lazy(_("Redis does not answer: {error}"), error=type(error).__name__))
    used, most = int(memory["used_memory"]), int(memory.get("maxmemory") or 0)
    if most and used >= most * FULL_AT:
        return Trouble(
            "redis_full",
            format_lazy(
                _("Redis uses {used} of {most} MiB; writes fail when it is full"), used=used >> 20, most=most >> 20
            ),
        )
    if took_s > SLOW_S:
        return Trouble("redis_slow", format_lazy(_("one write to Redis took {seconds:.1f} s"), seconds=took_s))
    return None


@dataclass(slots=True)
class Watch:
    """Sounds and clears the alarms of one Redis."""

    subject: str
    client: redis.Redis
    _seen: int = 0
    _told: dict[str, float] = field(default_factory=dict)
    _is_known: bool = False  # whether the alarms of before this process were looked at

    def step(self, now: float) -> None:
        """Look once. Errors of the database pass through: what could not be told is told by a later look."""
        trouble = look(self.client)
        self._seen = 0 if trouble is None else self._seen + 1
        if trouble is not None and self._seen >= LOOKS and now - self._told.get(trouble.code, -AGAIN_S) >= AGAIN_S:
            alarms.raise_alarm(trouble.code, trouble.message, subject=self.subject)
            self._told[trouble.code] = now
        over = [code for code in CODES if trouble is None or code != trouble.code]
        for code in over:
            if code in self._told or not self._is_known:
                alarms.resolve(code, subject=self.subject)
                self._told.pop(code, None)
        self._is_known = True


def urls() -> dict[str, str]:
    """Each Redis that is used, by what for: that of the live state, and the broker's when it is another."""
    places = {settings.REDIS_URL: "live state"}
    if redis_urls.is_redis(settings.BROKER_URL):
        places.setdefault(settings.BROKER_URL, "broker")
    return {subject: url for url, subject in places.items()}


def client(url: str) -> redis.Redis:
    """A client that waits no longer than a look may."""
    return redis_clients.client(url, socket_timeout=5, socket_connect_timeout=3)


def watches() -> list[Watch]:
    """One for each Redis that is used."""
    return [Watch(subject, client(url)) for subject, url in urls().items()]
