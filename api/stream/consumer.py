"""The WebSocket of the stream, message by message; the dialect is told in docs/api/stream.md. What is sent comes from
the send queue only."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from api.auth.authentication import KEY_HEADER, SECRET_HEADER, TooManyFailuresError
from api.rest import errors
from api.stream import connection_limits, encoding, replay, requests, socket_logins
from api.stream.encoding import Form
from api.stream.flow_control import FlowControl
from api.stream.requests import Auth, RequestError, Subscribe, Unsubscribe
from api.stream.send_queue import SendQueue, Slow
from api.stream.shared import shared
from api.stream.subscriber import Identity, NoRoomError, Subscriber
from api.stream.task_cancellation import end
from marketdata import metrics
from marketdata.tracing import spans

log = logging.getLogger(__name__)

AUTH_S = 10.0
FRAME_BYTES = 1 << 16
CLOSE_CODES = 4000  # WebSocket close code = this + the error's code
_PACKED = b"application/msgpack"


class StreamConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One socket: connected, auth, then subscriptions."""

    subscriber: Subscriber
    _pump: asyncio.Task[None] | None = None
    _deadline: asyncio.TimerHandle | None = None
    _replay: asyncio.Task[None] | None = None
    _frames = 0

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without channels' look after the database's connections, which goes through a thread before each message:
        what asks the database does it for itself."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        headers: dict[bytes, bytes] = dict(self.scope["headers"])
        self._headers = headers
        self._address = str((self.scope.get("client") or ["unknown"])[0])
        form = Form(packed=headers.get(b"content-type", b"").split(b";")[0].strip().lower() == _PACKED)
        self.subscriber = Subscriber(
            self.scope["url_route"]["kwargs"]["feed"],
            SendQueue(form, max_bytes=settings.WS_OUTBOX_BYTES),
            self.scope.get("flow_control") or FlowControl(),
        )
        self._hub, self._limits = shared()
        await self.accept()
        metrics.SOCKETS.inc()
        self._pump = asyncio.create_task(self._send_all())
        self._limits.enter(self.subscriber, self._address)
        self._deadline = asyncio.get_running_loop().call_later(
            AUTH_S, self.subscriber.end, 404, f"auth timeout: no login within {AUTH_S:.0f} s"
        )
        self.subscriber.tell(T="success", msg="connected")
        await self._enter_by_handshake()

    async def disconnect(self, code: int) -> None:
        if self._pump is None:
            return
        metrics.SOCKETS.dec()
        metrics.STREAM_SKIPPED.inc(self.subscriber.send_queue.skipped)
        metrics.STREAM_OVERTAKEN.inc(self.subscriber.send_queue.overtaken)
        self.subscriber.leave()
        self._hub.leave(self.subscriber)
        self._limits.leave(self.subscriber)
        if self._deadline is not None:
            self._deadline.cancel()
        await end(self._pump, self._replay)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.subscriber.ending is not None:
            return
        began_ns, asked, code = time.time_ns(), "message", 0
        try:
            request, faults = requests.read(text_data or bytes_data or b"", packed=self.subscriber.form.packed)
            asked = type(request).__name__.lower()
            if isinstance(request, Auth):
                await self._auth(request)
                return
            if self.subscriber.identity is None:
                raise RequestError(401, "not authenticated")
            for fault in faults:
                self.subscriber.tell(T="error", code=fault.code, msg=str(fault))
            if isinstance(request, Subscribe):
                await self._subscribe(request)
            else:
                self._unsubscribe(request)
        except RequestError as error:
            code = error.code
            self.subscriber.tell(T="error", code=error.code, msg=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the socket is told and closed
            code = 500
            self._fail(error)
        finally:
            if spans.on():
                self._traced(asked, code, began_ns)

    def _traced(self, asked: str, code: int, began_ns: int) -> None:
        """What was asked over the socket: a trace of its own, for it has no id."""
        place = spans.root(uuid.uuid4().hex)
        spans.record(
            f"websocket {asked}", place.trace, began_ns, time.time_ns(), span=place.span, kind="SERVER",
            attributes={"naru.feed": self.subscriber.feed, "naru.code": code},
            error=str(code) if code >= 500 else "",
        )  # fmt: skip

    def _fail(self, error: Exception) -> None:
        """Close, and say whether it is worth coming back: something is away, or it is our mistake."""
        who = errors.outage(error)
        if who is None:
            log.error("stream request failed", exc_info=error)
            self.subscriber.end(500, "internal error")
        else:
            log.warning("stream request failed: %s does not answer error=%s", who, type(error).__name__)
            self.subscriber.end(500, f"internal error: {who} does not answer now; come back in {errors.RETRY_S} s")

    # --- who it is ----------------------------------------------------------------------------------------------------

    async def _enter_by_handshake(self) -> None:
        key = self._headers.get(KEY_HEADER.lower().encode())
        secret = self._headers.get(SECRET_HEADER.lower().encode())
        if key is not None or secret is not None:
            await self._enter(self._by_key((key or b"").decode("latin-1"), (secret or b"").decode("latin-1")))
        elif self._same_origin():
            await self._enter(self._by(socket_logins.by_session, self.scope["session"]), required=False)

    async def _auth(self, request: Auth) -> None:
        if self.subscriber.identity is not None:
            raise RequestError(403, "already authenticated")
        if not request.ticket:
            await self._enter(self._by_key(request.key, request.secret))
        elif self._same_origin():
            await self._enter(self._by(socket_logins.by_ticket, request.ticket))
        else:
            self.subscriber.end(402, "auth failed: tickets are for pages of this server")

    def _by_key(self, key: str, secret: str) -> Awaitable[socket_logins.Entry]:
        return self._limits.by_key.entry(key, secret, self._address, feed=self.subscriber.feed)

    def _by(self, way: Any, given: object) -> Awaitable[socket_logins.Entry]:
        return socket_logins.entry(way, given, self._address, feed=self.subscriber.feed)

    async def _enter(self, found: Awaitable[socket_logins.Entry], *, required: bool = True) -> None:
        """Find out who it is. One that is not `required` to be known may still log in by a message."""
        try:
            named = self.subscriber.feed
            identity, feed, refused = await found
        except TooManyFailuresError as error:
            self.subscriber.end(402, f"auth failed: {error}")
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the socket is told and closed
            self._fail(error)
            return
        if identity is None:
            if required:
                self.subscriber.end(402, "auth failed")
        elif feed is None:
            # Told in place of the welcome: a client of the dialect then ends instead of coming back for ever.
            self.subscriber.end(409, f"insufficient subscription: there is no feed {named}")
        elif refused is not None:
            self.subscriber.end(*refused)
        else:
            self.subscriber.feed = feed
            if not self._admit(identity):
                await connection_limits.tell_full(self._limits.most)
                self.subscriber.end(406, "connection limit exceeded")

    def _admit(self, identity: Identity) -> bool:
        """Let a reader in; False if there is no room."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self.subscriber.ending is not None:
            return True
        is_in = self._limits.add_reader(self.subscriber, identity)
        if is_in:
            self.subscriber.tell(T="success", msg="authenticated")
        return is_in

    def _same_origin(self) -> bool:
        secure = self.scope.get("scheme") == "wss"
        return socket_logins.same_origin(self._headers, settings.CSRF_TRUSTED_ORIGINS, secure=secure)

    # --- what it wants ------------------------------------------------------------------------------------------------

    async def _subscribe(self, request: Subscribe) -> None:
        one = self.subscriber
        if request.slow is not None and request.slow not in (Slow.CLOSE, Slow.GAP):
            raise RequestError(400, 'invalid syntax: slow is "close" or "gap"')
        if request.from_ is not None and self._replay is not None and not self._replay.done():
            raise RequestError(409, "a replay is going on: wait for replay_completed")
        snapshots_of = request.wants_snapshots_of()
        if request.alerts and one.identity is not None:
            one.alerts_of = await socket_logins.asked(socket_logins.alerts_of, one.identity)
            if one.alerts_of is None:
                raise RequestError(409, "insufficient subscription: alerts are for people and their named keys")
        try:
            one.add(request.lists(), most=settings.WS_MAX_SYMBOLS, room=self._limits.room_for_symbols(one.identity))
        except NoRoomError:
            await connection_limits.tell_no_room(self._limits.most_symbols)
            raise
        if request.slow is not None:
            one.send_queue.slow = Slow(request.slow)
        if request.seq is not None:
            one.send_queue.form = Form(packed=one.form.packed, numbered=request.seq)
        one.forming = one.forming if request.forming is None else request.forming
        one.heartbeat = one.heartbeat if request.heartbeat is None else request.heartbeat
        channel = await self._hub.join(one)
        told = one.subscription()
        if one.form.numbered:
            # Who is still to be given what it missed is told its `at` when it has it. Of a feed that has nothing yet
            # it is now: Redis may be another one before anything was told.
            at = None if request.from_ is not None else channel.committed_at or encoding.now()
            told |= {"epoch": self._hub.epoch, "o": channel.delivered, "at": at}
        one.send_queue.put(encoding.message(one.form, told))
        channel.retell(request.lists())
        if request.from_ is not None:
            one.live, one.replaying = False, one.ending is None
            self._replay = asyncio.create_task(replay.Replay(self._hub, channel, one).run(request.from_))
        elif not one.live and (self._replay is None or self._replay.done()):
            replay.go_live(channel, one)
        if snapshots_of:
            # Read after it listens: whatever came meanwhile is told by one of both, or by both.
            for piece in encoding.snapshots(one.form, await self._hub.snapshots(channel, snapshots_of)):
                one.send_queue.put(piece)

    def _unsubscribe(self, request: Unsubscribe) -> None:
        self.subscriber.remove(request.lists())
        self.subscriber.send_queue.put(encoding.message(self.subscriber.form, self.subscriber.subscription()))

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        """A socket that cannot be sent to is closed: an open one that says nothing more looks like a quiet market."""
        try:
            await self._send_on()
        except Exception:
            log.exception("nothing more can be sent to a socket")
            self.subscriber.leave()
            await self.close(code=CLOSE_CODES + 500)

    async def _send_on(self) -> None:
        one, send_queue = self.subscriber, self.subscriber.send_queue
        while True:
            await send_queue.filled()
            if one.ending is None and not send_queue.too_slow:
                await self._until_room()
            if send_queue.too_slow and one.ending is None:
                one.end(407, "slow client: more waits than fits; resume by offset, or choose slow=gap")
            pieces = send_queue.take(FRAME_BYTES)
            if pieces:
                await self._send_frame(pieces)
            elif one.ending is not None:
                metrics.STREAM_CLOSED.labels(str(one.ending)).inc()
                await self.close(code=CLOSE_CODES + one.ending)
                return

    async def _until_room(self) -> None:
        """Wait for the network; whoever is to be closed waits no longer."""
        if self.subscriber.flow_control.free:
            return
        room = asyncio.ensure_future(self.subscriber.flow_control.room())
        ended = asyncio.ensure_future(self.subscriber.send_queue.ended())
        try:
            await asyncio.wait((room, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            room.cancel()
            ended.cancel()

    async def _send_frame(self, pieces: list[encoding.Piece]) -> None:
        form = self.subscriber.form
        if form.numbered:
            self._frames += 1
            pieces = [encoding.message(form, {"T": "seq", "n": self._frames}), *pieces]
        data = encoding.frame(form, pieces)
        if form.packed:
            await self.send(bytes_data=data)
        else:
            await self.send(text_data=data.decode())
