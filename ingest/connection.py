"""A terminal's socket: carries bytes between asyncio and the session, and stops reading when it is told to. Decides
nothing."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from typing import Protocol, cast

from ingest.limits import Limits
from ingest.registry import Member
from ingest.session import Event, Session, State
from marketdata import metrics
from terminals import wire

log = logging.getLogger(__name__)


class Owner(Protocol):
    """What a connection needs of the server it belongs to."""

    @property
    def limits(self) -> Limits: ...

    @property
    def tls(self) -> ssl.SSLContext | None: ...

    @property
    def channel_binding(self) -> str: ...

    def accepted(self, connection: Connection) -> None:
        """A socket was accepted; who it is is not known yet."""

    def opened(self, connection: Connection) -> None:
        """It may speak now: after the TLS handshake, where there is one."""

    def handle(self, connection: Connection, event: Event) -> None:
        """Something a terminal said was understood."""

    def note_error(self, connection: Connection, code: str) -> None:
        """A session ends with an error of this code."""

    def closed(self, connection: Connection) -> None:
        """The socket is gone."""


class Connection(asyncio.Protocol):
    """One accepted socket."""

    def __init__(self, server: Owner) -> None:
        self.server = server
        self.session: Session | None = None
        self.member: Member[Connection] | None = None
        self.audit: asyncio.Task[None] | None = None
        self.address = "?"
        self.halted = False
        self._transport: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._congested_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        self.server.accepted(self)  # counted from here on: a handshake that never comes takes a place as well
        if self.server.tls is None:
            self._begin(self._transport)
        elif not transport.is_closing():
            self._handshake = asyncio.get_running_loop().create_task(self._secure(self._transport, self.server.tls))

    async def _secure(self, plain: asyncio.Transport, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                plain,
                self,
                tls,
                server_side=True,
                ssl_handshake_timeout=wire.HELLO_S,
                ssl_shutdown_timeout=wire.HELLO_S,
            )
        except (OSError, ssl.SSLError) as error:
            metrics.WIRE_ERRORS.labels("tls_handshake").inc()
            log.info("no TLS address=%s error=%s", self.address, type(error).__name__)
            plain.abort()
            return
        if secured is not None and not secured.is_closing():
            self._begin(secured)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=self.server.limits.write_bytes)
        self.session = Session(now=time.monotonic(), channel_binding=self.server.channel_binding)
        self.server.opened(self)
        self.flush()

    def turn_away(self) -> None:
        """Somebody else needs the place: say so where a session can."""
        if self.session is not None:
            self.session.refuse("too_many_connections", "too many connections have not said who they are")
            self.flush()
        elif self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None:
            return
        metrics.RECEIVED_BYTES.inc(len(data))
        if self.member is not None:
            self.member.last_received = time.time()
        try:
            for event in session.receive(data, time.monotonic()):
                self.server.handle(self, event)
        except Exception:  # a defect of ours must end this connection only, and say so
            log.exception("connection failed address=%s", self.address)
            session.refuse("internal", "the server could not handle this; it is in its log")
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.session is not None:
            self.session.state = State.CLOSED
        if self._handshake is not None:
            self._handshake.cancel()
        self.server.closed(self)

    def pause_writing(self) -> None:
        self._congested_since = time.monotonic()

    def resume_writing(self) -> None:
        self._congested_since = None

    def flush(self) -> None:
        """Send what the session has to say, and close when that was its last word."""
        session, transport = self.session, self._transport
        if session is None or transport is None or transport.is_closing():
            return
        if session.outgoing:
            transport.write(bytes(session.outgoing))
            session.outgoing.clear()
        if session.closing:
            if session.error is not None:
                metrics.WIRE_ERRORS.labels(session.error).inc()
                self.server.note_error(self, session.error)
            transport.close()

    def tick(self, now: float, time_us: int, audit: int = 0) -> None:
        """Timers; a peer that does not read what we write for long is given up."""
        if self.session is None or self._transport is None:
            return
        if self._congested_since is not None and now - self._congested_since > wire.FRAME_S:
            self._transport.abort()
            return
        if self.halted:
            self.session.paused(now)
        self.session.tick(now, time_us, audit)
        self.flush()
        if self.session.closing and self._transport.is_closing() and now - self._opened_close(now) > wire.HELLO_S:
            self._transport.abort()

    def _opened_close(self, now: float) -> float:
        self._closing_since: float = getattr(self, "_closing_since", now)
        return self._closing_since

    def halt(self, halted: bool) -> None:
        """Stop or go on reading: what is not read stays with the terminal, and TCP tells it to wait."""
        if halted == self.halted or self._transport is None:
            return
        self.halted = halted
        if self.member is not None:
            self.member.paused = halted
        metrics.READING_PAUSED.inc(1 if halted else -1)
        if self._transport.is_closing():
            return
        if halted:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


def tls_context(cert: str, key: str) -> tuple[ssl.SSLContext, str]:
    """A server context (TLS 1.2 or newer) and the channel binding of its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key or None)
    with open(cert, encoding="ascii") as file:  # noqa: PTH123 - one read at start
        pem = file.read()
    end = "-----END CERTIFICATE-----"
    first = pem[pem.index("-----BEGIN CERTIFICATE-----") : pem.index(end) + len(end)]
    return context, wire.certificate_binding(ssl.PEM_cert_to_DER_cert(first))
