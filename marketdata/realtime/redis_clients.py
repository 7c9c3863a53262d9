"""Clients of Redis or Valkey, for everybody who speaks to one: the server a URL names, or the master that Sentinels
name at the moment a connection is made. A master that ended, or became a replica, costs the command that finds it so;
the next one asks the Sentinels again."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio import sentinel as async_sentinel
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from marketdata.realtime import redis_urls


def _found_dead(options: dict[str, Any]) -> dict[str, Any]:
    return {"socket_keepalive_options": redis_urls.KEEPALIVE, **options} if options.get("socket_keepalive") else options


def client(url: str, **options: Any) -> redis.Redis:
    """A client that blocks. `options` are redis-py's, save `retry_on_…`: what is tried again is up to the caller.

    ValueError for a URL that cannot be read.
    """
    options = _found_dead(options)
    if not redis_urls.is_watched(url):
        return redis.Redis.from_url(url, **options)
    place = redis_urls.watched(url)
    watching: Any = Sentinel(list(place.sentinels), sentinel_kwargs=place.sentinel_options())  # type: ignore[no-untyped-call]
    made = _Connection if place.tls is None else _TlsConnection
    pool: Any = _Pool(  # type: ignore[no-untyped-call]
        place.master, watching, connection_class=made, **place.server_options(), **options
    )
    return redis.Redis.from_pool(pool)


def async_client(url: str, *, single_connection_client: bool = False, **options: Any) -> Any:
    """The same for an event loop. With `single_connection_client` one connection, which is never quietly renewed."""
    options = _found_dead(options)
    if not redis_urls.is_watched(url):
        return redis.asyncio.Redis.from_url(url, single_connection_client=single_connection_client, **options)
    place = redis_urls.watched(url)
    watching: Any = async_sentinel.Sentinel(  # type: ignore[no-untyped-call]
        list(place.sentinels), sentinel_kwargs=place.sentinel_options()
    )
    kind = _AsyncConnection if place.tls is None else _AsyncTlsConnection
    pool: Any = _AsyncPool(  # type: ignore[no-untyped-call]
        place.master, watching, connection_class=kind, **place.server_options(), **options
    )
    made = redis.asyncio.Redis(connection_pool=pool, single_connection_client=single_connection_client)
    made.auto_close_connection_pool = True
    return made


def sentinels(url: str) -> list[tuple[str, redis.Redis]]:
    """Each Sentinel of a URL by its address, with a client of its own; none of a URL without.

    ValueError for a URL that cannot be read.
    """
    if not redis_urls.is_watched(url):
        return []
    place = redis_urls.watched(url)
    return [(f"{host}:{port}", redis.Redis(host, port, **place.sentinel_options())) for host, port in place.sentinels]


class _Asks:
    """A connection that ended is made anew to where the Sentinels say by then. redis-py 8.1 does that only when it
    takes one from its pool; for a command tried once more, and for a client of one connection, it goes where it was."""

    _sock: Any

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command."""
        if not self._sock:
            self.connect()  # type: ignore[attr-defined]  # of the class beside this one
        super().send_packed_command(command, check_health)  # type: ignore[misc]


class _AsyncAsks:
    """The same in an event loop."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command."""
        if not self.is_connected:  # type: ignore[attr-defined]
            await self.connect()  # type: ignore[attr-defined]
        await super().send_packed_command(command, check_health)  # type: ignore[misc]


class _Connection(_Asks, SentinelManagedConnection):
    pass


class _TlsConnection(_Asks, SentinelManagedSSLConnection):
    pass


class _AsyncConnection(_AsyncAsks, async_sentinel.SentinelManagedConnection):
    pass


class _AsyncTlsConnection(_AsyncAsks, async_sentinel.SentinelManagedSSLConnection):
    pass


class _Pool(SentinelConnectionPool):
    """Closes its connections to the Sentinels with its own."""

    def disconnect(self, *args: Any, **kwargs: Any) -> None:
        super().disconnect(*args, **kwargs)
        for one in self.sentinel_manager.sentinels:
            one.close()


class _AsyncPool(async_sentinel.SentinelConnectionPool):
    """The same."""

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        await super().disconnect(*args, **kwargs)
        for one in self.sentinel_manager.sentinels:
            await one.aclose()
