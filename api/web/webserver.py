"""Daphne with limits: how long a request may take to arrive, how large it may be, how many connections may wait. And
with compressed WebSockets, which Daphne itself never agrees to.

Daphne's own `--http-timeout` counts from the end of a request's body, and Twisted's idle time begins anew with every
byte, so that neither ends a request that never comes to its end.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import daphne.server
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from daphne.endpoints import build_endpoint_description_strings
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from api.rest import errors
from marketdata import metrics
from marketdata.limits.unauthenticated import Unauthenticated

log = logging.getLogger(__name__)

DRAIN_S = 5.0  # how long what is still sent of a refused request is read and thrown away, so that the answer arrives
_REASONS = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Connections, bytes and seconds of one web process."""

    connections: int = 1_000  # that have no request under way; the oldest give way
    of_caller: int = 100
    body_bytes: int = 1 << 20
    header_s: float = 10.0  # from the first byte of a request to the end of its headers, and from connecting to then
    body_s: float = 30.0  # from the end of the headers to the end of the body
    idle_s: float = 60.0  # between an answer and the next request


class Channel(HTTPChannel):
    """One HTTP connection. It is counted while it has no request under way, or until it becomes a WebSocket."""

    transport: Any
    _networkProducer: Any  # noqa: N815 - Twisted's name
    limits: Limits
    waiting: Unauthenticated[Channel]
    is_shared: Callable[[str], bool]
    _refused = False
    _idle = False

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name, as all below
        super().connectionMade()
        self.setTimeout(self.limits.header_s)
        self._wait()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        self.waiting.leave(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._refused:
            return
        if self._idle:
            self._idle = False
            self.setTimeout(self.limits.header_s)
        LineReceiver.dataReceived(self, data)  # not HTTPChannel's, which would begin the time anew

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        if not self._refused:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self.refuse(400, errors.MALFORMED, f"a line of a request's headers may have {self.MAX_LENGTH} bytes")

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - what Twisted cannot read, it answers so
        most = self.totalHeadersSize
        self.refuse(400, errors.MALFORMED, f"the request is malformed, or its headers have more than {most} bytes")

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        if not self._refused:
            super().rawDataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802
        if self.length is not None and self.length > self.limits.body_bytes:
            self.refuse(413, errors.TOO_LARGE, self._too_large())
            return
        super().allHeadersReceived()
        if self.length != 0:
            self.setTimeout(self.limits.body_s)

    def allContentReceived(self) -> None:  # noqa: N802
        if not self._refused:
            self._idle = False
            self.waiting.leave(self)
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:  # noqa: N802
        if self._refused:
            return
        self._idle = True  # before: what was sent meanwhile is read by the call, and may be the next request
        self._wait()
        super().requestDone(request)
        if self._idle:
            self.setTimeout(self.limits.idle_s)

    def timeoutConnection(self) -> None:  # noqa: N802
        if self._refused:
            self.transport.abortConnection()
        elif self._idle:
            super().timeoutConnection()
        else:
            self.refuse(408, errors.TOO_SLOW, "the request did not arrive in time")

    def body_grew(self, size: int) -> None:
        """A chunked body has so many bytes by now."""
        if size > self.limits.body_bytes:
            self.refuse(413, errors.TOO_LARGE, self._too_large())

    def give_way(self) -> None:
        """Others need the room."""
        metrics.HTTP_REFUSED.labels("too_many_connections").inc()
        self.setTimeout(None)
        self.transport.abortConnection()

    def refuse(self, status: int, code: int, message: str) -> None:
        """Answer at once, in the API's shape, and read nothing more."""
        if self._refused:
            return
        self._refused = True
        self.persistent = 0
        self.waiting.leave(self)
        metrics.HTTP_REFUSED.labels(str(status)).inc()
        content = json.dumps(errors.body(code, message, uuid.uuid4().hex)).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self._networkProducer.resumeProducing()
        if hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseWriteConnection()
            self.setTimeout(DRAIN_S)
        else:
            self.transport.loseConnection()

    def _too_large(self) -> str:
        return f"a request's body may have {self.limits.body_bytes} bytes"

    def _wait(self) -> None:
        address = str(getattr(self.transport.getPeer(), "host", "unix"))
        gone = self.waiting.enter(self, address, shared=self.is_shared(address))
        if gone is not None:
            gone.give_way()


class Request(WebRequest):  # type: ignore[misc]  # daphne has no types
    """A request that tells its channel how much came, and when the connection has become a WebSocket's."""

    _received = 0

    def __init__(self, *given: Any) -> None:
        # Twisted would read forms for itself, on the loop of the stream, and answer one that is none without a word.
        super().__init__(*given, parsePOSTFormSubmission=False)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._received += len(data)
        self.channel.body_grew(self._received)
        if not self.channel._refused:
            super().handleContentChunk(data)


class Factory(HTTPFactory):  # type: ignore[misc]
    """Makes channels that share their limits."""

    protocol = Channel

    def __init__(self, server: Any, limits: Limits, is_shared: Callable[[str], bool]) -> None:
        super().__init__(server)
        self._limits, self._is_shared = limits, is_shared
        self._waiting: Unauthenticated[Channel] = Unauthenticated(
            most=limits.connections, most_of_caller=limits.of_caller
        )

    def buildProtocol(self, addr: Any) -> Channel:  # noqa: N802 - Twisted's name
        channel: Channel = super().buildProtocol(addr)
        channel.limits, channel.waiting, channel.is_shared = self._limits, self._waiting, self._is_shared
        channel.requestFactory = Request  # type: ignore[assignment]  # daphne has no types
        return channel


class WebSocket(WebSocketProtocol):  # type: ignore[misc]
    """Daphne's, without what Autobahn does for its debug log whether or not that is on: it formats all its options for
    every socket, which takes longer than the rest of a handshake."""

    CONFIG_ATTRS: tuple[str, ...] = ()

    def _connectionMade(self) -> None:  # noqa: N802 - Autobahn's name
        for name in WebSocketProtocol.CONFIG_ATTRS:
            if not hasattr(self, name):
                setattr(self, name, getattr(self.factory, name))
        super()._connectionMade()


def endpoints(host: str, port: int, *, backlog: int) -> list[str]:
    """Where to listen, as Twisted describes it, with so many connections that the system has taken and this process
    has not (the system's own limit, `net.core.somaxconn`, may be lower).

    Twisted takes 50. When a web process ends all its sockets come to another one within some milliseconds: what is
    beyond the limit is dropped without a word, and its sender tries again after a whole second.
    """
    return [f"{one}:backlog={backlog}" for one in build_endpoint_description_strings(host=host, port=port)]


DEFLATE_WINDOW_BITS, DEFLATE_MEMORY = 12, 5  # 4 KiB of history: 32 KiB of memory a socket instead of 256


def accept_deflate(offers: list[Any]) -> PerMessageDeflateOfferAccept | None:
    """Agree to the first permessage-deflate (RFC 7692) that a client offers. What comes in is never inflated beyond
    the most that a message may have: Autobahn counts while it inflates."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer):
            wanted = offer.request_max_window_bits or DEFLATE_WINDOW_BITS
            return PerMessageDeflateOfferAccept(
                offer, window_bits=min(wanted, DEFLATE_WINDOW_BITS), mem_level=DEFLATE_MEMORY
            )
    return None


class Server(daphne.server.Server):  # type: ignore[misc]
    """Daphne's server with factories of ours."""

    def __init__(
        self, application: Any, *, limits: Limits, is_shared: Callable[[str], bool], deflate: bool, **other: Any
    ) -> None:
        super().__init__(application, **other)
        self._factory = Factory(self, limits, is_shared)
        self._deflate = deflate
        self._sockets: Any = None

    @property
    def http_factory(self) -> Factory:
        """`run` makes one of its own and offers no way to name another."""
        return self._factory

    @http_factory.setter
    def http_factory(self, made: Any) -> None:
        del made

    @property
    def ws_factory(self) -> Any:
        """The one that `run` makes, with what it does not set."""
        return self._sockets

    @ws_factory.setter
    def ws_factory(self, made: Any) -> None:
        made.protocol = WebSocket
        if self._deflate:
            made.setProtocolOptions(perMessageCompressionAccept=accept_deflate)
        self._sockets = made
