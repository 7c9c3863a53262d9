"""The hub and the connection limits of this process, made when the first socket comes. One pair per event loop, of
which a server has one."""

from __future__ import annotations

import asyncio
import weakref

from django.conf import settings

from api.stream.connection_limits import ConnectionLimits
from api.stream.hub import Hub
from api.stream.sharing import Sharing
from api.stream.subscriber import Subscriber
from marketdata.limits.unauthenticated import Unauthenticated

_pairs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Hub, ConnectionLimits]] = weakref.WeakKeyDictionary()


def shared() -> tuple[Hub, ConnectionLimits]:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _pairs:
        hub = Hub(settings.REDIS_URL, grace_us=int(settings.LATE_AFTER_S * 1e6))
        waiting: Unauthenticated[Subscriber] = Unauthenticated(
            most=settings.WS_MAX_UNAUTHENTICATED, most_of_caller=settings.WS_MAX_UNAUTHENTICATED_OF_ADDRESS
        )
        limits = ConnectionLimits(
            most=settings.WS_MAX_CONNECTIONS, most_per_key=settings.WS_MAX_PER_KEY,
            most_symbols=settings.WS_MAX_SYMBOLS_IN_ALL, sharing=Sharing(hub.commands), waiting=waiting,
        )  # fmt: skip
        _pairs[loop] = (hub, limits)
    return _pairs[loop]


async def close() -> None:
    """End the running loop's hub and limits."""
    pair = _pairs.pop(asyncio.get_running_loop(), None)
    if pair is not None:
        await pair[1].close()
        await pair[0].close()
