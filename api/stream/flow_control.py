"""The network below a WebSocket, whose both directions Daphne buffers without limit.

Out: ASGI's `send` returns at once, so Daphne's transport is asked whether it takes more, by Twisted's own producer
interface. In: Daphne queues whatever arrives, so the transport is told to read nothing more while too much waits for
the consumer. Then the client's own writes wait.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

MOST_MESSAGE_BYTES = 1 << 20  # Daphne sets no limit to what a client may send
MOST_WAITING_BYTES = 1 << 16  # of messages that the consumer has not taken yet; one message may be larger
MESSAGE_BYTES = 512  # what an empty one takes while it waits, about
LAST_WORDS_S = 10  # how long a slow client has to read why it is closed; then it is cut off


class FlowControl:
    """A Twisted push producer: the transport says `pause` when its buffer is full and `resume` when it is empty. The
    other way round the transport, if there is one, is paused by `came` and resumed by what `counting` takes."""

    def __init__(self, transport: Any = None) -> None:
        self._free = asyncio.Event()
        self._free.set()
        self._transport = transport
        self._waiting = 0
        self._paused = False

    def came(self, size: int) -> None:
        """A message of `size` bytes waits for the consumer."""
        self._waiting += size + MESSAGE_BYTES
        if self._transport is not None and not self._paused and self._waiting > MOST_WAITING_BYTES:
            self._paused = True
            self._transport.pauseProducing()

    def counting(self, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
        """An ASGI `receive` that notes what the consumer takes."""

        async def taken() -> Any:
            event = await receive()
            if event["type"] == "websocket.receive":
                content = event.get("bytes") or (event.get("text") or "").encode()
                self._went(len(content))
            return event

        return taken

    def _went(self, size: int) -> None:
        self._waiting -= size + MESSAGE_BYTES
        if self._paused and self._waiting <= MOST_WAITING_BYTES // 2:
            self._paused = False
            self._transport.resumeProducing()

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


def under(send: Any) -> FlowControl:
    """The flow control below an ASGI `send`, which never holds back under a server that is not Daphne."""
    protocol = send.args[0] if isinstance(send, functools.partial) and send.args else None
    transport = getattr(protocol, "transport", None)
    control = FlowControl(transport)
    if protocol is not None and transport is not None and hasattr(transport, "registerProducer"):
        transport.unregisterProducer()
        transport.registerProducer(control, True)
        protocol.maxMessagePayloadSize = protocol.maxFramePayloadSize = MOST_MESSAGE_BYTES
        protocol.closeHandshakeTimeout = LAST_WORDS_S
        queue = protocol.onMessage

        def counted(payload: bytes, is_binary: bool) -> None:
            control.came(len(payload))
            queue(payload, is_binary)

        protocol.onMessage = counted
    return control
