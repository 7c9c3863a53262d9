"""Whether the network below a WebSocket takes more. ASGI's `send` returns at once and Daphne buffers without limit,
so Daphne's
transport is asked to tell, by Twisted's own producer interface."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

MOST_MESSAGE_BYTES = 1 << 20  # Daphne sets no limit to what a client may send
LAST_WORDS_S = 10  # how long a slow client has to read why it is closed; then it is cut off


class Pressure:
    """A Twisted push producer: the transport says `pause` when its buffer is full and `resume` when it is empty."""

    def __init__(self) -> None:
        self._free = asyncio.Event()
        self._free.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._free.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._free.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._free.set()

    @property
    def free(self) -> bool:
        """Whether the network takes more now."""
        return self._free.is_set()

    async def room(self) -> None:
        """Returns when the network takes more, or is gone."""
        await self._free.wait()


def under(send: Any) -> Pressure:
    """The pressure below an ASGI `send`; never any under a server that is not Daphne."""
    pressure = Pressure()
    protocol = send.args[0] if isinstance(send, functools.partial) and send.args else None
    transport = getattr(protocol, "transport", None)
    if protocol is not None and transport is not None and hasattr(transport, "registerProducer"):
        transport.unregisterProducer()
        transport.registerProducer(pressure, True)
        protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = MOST_MESSAGE_BYTES
        protocol.closeHandshakeTimeout = LAST_WORDS_S
    return pressure
