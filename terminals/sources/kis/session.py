"""One WebSocket session of one appkey: connects, registers what is wanted, answers PINGPONG, hands on what comes, and
notices when nothing does. KIS allows one session per appkey, so its owner holds a lock, and connects with patience.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from pathlib import Path

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from terminals import private
from terminals.lock import FileLock, Locked
from terminals.recording import NoRecorder, Recorder
from terminals.sources.kis import connecting, hours, korean_time, messages
from terminals.sources.kis.connecting import Identity, Timing
from terminals.sources.kis.data_frames import MOST_EARLY, DataFrames, Numbers
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import Alarm, Message
from terminals.sources.kis.layouts import LAYOUTS
from terminals.sources.kis.losses import Losses
from terminals.sources.kis.messages import Meaning, Ping, Reply
from terminals.sources.kis.planner import Registration
from terminals.sources.kis.reconnects import Reconnects
from terminals.sources.kis.registrations import Registrations, State
from terminals.sources.kis.service_clock import ServiceClock

log = logging.getLogger("naru.kis")


class NoApprovalKey(Exception):
    """There is no approval key now; the message says why. `is_final`: there is none until a person has mended it."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class Condition(Enum):
    """Where a session stands."""

    IDLE = "idle"
    OWNED_ELSEWHERE = "owned_elsewhere"
    WAITING = "waiting"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    STOPPED = "stopped"


class _Ending(Enum):
    LOST = "lost"
    DEAD = "dead"
    SILENT = "silent"
    OWNED = "owned"
    STOPPED = "stopped"
    EMPTY = "empty"


class Session:
    """`run` it as a task; `want` says what is to be registered. In one event loop."""

    def __init__(
        self,
        identity: Identity,
        approval: Callable[[str], Awaitable[str]],
        intake: Intake,
        losses: Losses,
        folder: Path,
        *,
        timing: Timing | None = None,
        recorder: Recorder | None = None,
        rng: random.Random | None = None,
        service_clock: ServiceClock | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`approval` gives an approval key, another one than its argument; NoApprovalKey. `service_clock` is the one of
        all sessions."""
        private.make(folder)
        self.identity, self._approval, self._intake, self._folder = identity, approval, intake, folder
        self._losses = losses
        self.timing = timing or Timing()
        self._recorder = recorder or NoRecorder()
        self._clock, self._wall = clock, wall
        self.service_clock = service_clock or ServiceClock(lambda: int(wall() * 1_000_000))
        # Not for secrets: when to connect again.
        self._rng = rng or random.Random()  # noqa: S311  # see the line above
        self.registrations = Registrations(
            spacing_s=self.timing.spacing_s, answer_s=self.timing.answer_s, retry_s=self.timing.retry_s
        )
        self.condition = Condition.IDLE
        self.reason = ""
        self.numbers = Numbers()
        self._wanted: frozenset[Registration] = frozenset()
        self._changed = asyncio.Event()
        self._data = DataFrames(
            intake, losses, self.registrations, self.service_clock, self.numbers,
            patience_s=self.timing.patience_s, clock=clock,
        )  # fmt: skip
        self._approval_key = self._refused_key = ""
        self._proven = False
        self._renewed = False
        self._ending: _Ending | None = None
        self._connected_at = self._received_at = self._data_at = 0.0
        self._silence_answered: tuple[str, int] | None = None

    def want(self, registrations: Iterable[Registration]) -> None:
        """Register these, and end the others."""
        self._wanted = frozenset(registrations)
        self.registrations.want(self._wanted, self._clock())
        self._changed.set()

    @property
    def data_age_s(self) -> float | None:
        """Since the last data frame of this session; None before the first."""
        return self._clock() - self._data_at if self._data_at else None

    async def run(self) -> None:
        """Keep the session until cancelled, or until KIS says that this cannot work."""
        lock = await self._own()
        try:
            reconnects = connecting.reconnects_of(self._folder, self.identity, self.timing, self._rng)
            at_least_s = 0.0
            while self.condition is not Condition.STOPPED:
                await self._until_wanted()
                await self._wait(reconnects, at_least_s)
                ending = await self._once(reconnects)
                at_least_s = self.timing.owned_s if ending is _Ending.OWNED else 0.0
        finally:
            lock.release()

    # Before a connection

    async def _own(self) -> FileLock:
        """The lock of this appkey, as soon as no other process of this machine has it."""
        while True:
            try:
                return connecting.own(self._folder, self.identity)
            except Locked as error:
                self._set(Condition.OWNED_ELSEWHERE, str(error))
                self._alarm("owned", "another process of this machine has the session of this appkey")
                await asyncio.sleep(self.timing.owned_s)

    async def _until_wanted(self) -> None:
        while not self._wanted:
            self._set(Condition.IDLE, "nothing is to be registered")
            self._changed.clear()
            await self._changed.wait()

    async def _wait(self, reconnects: Reconnects, at_least_s: float) -> None:
        wait_s = reconnects.wait_s(time.time(), at_least_s)  # as who checks: by this machine's clock, which jumps less
        if wait_s > 0:
            self._set(Condition.WAITING, f"{wait_s:.1f} s before attempt {reconnects.attempts + 1}")
            await asyncio.sleep(wait_s)

    async def _once(self, reconnects: Reconnects) -> _Ending:
        """One connection, from its beginning to its end."""
        self._set(Condition.CONNECTING)
        reconnects.begin(time.time())
        self.numbers.connections += 1
        try:
            self._approval_key = await self._approval(self._refused_key)
            socket = await connecting.open_socket(self.identity, self.timing)
        except (NoApprovalKey, OSError, WebSocketException, TimeoutError) as error:
            self.numbers.failures += 1
            if isinstance(error, NoApprovalKey) and error.is_final:
                self._stop(str(error))
                return _Ending.STOPPED
            self._alarm("connection", f"no connection: {type(error).__name__} {error}"[:200])
            return _Ending.LOST
        try:
            try:
                ending = await self._connected(socket, reconnects)
            except Exception:
                self._note_loss(_Ending.LOST)
                raise
            self._note_loss(ending)
        finally:
            with contextlib.suppress(WebSocketException, OSError):
                await socket.close()
        if ending not in (_Ending.EMPTY, _Ending.STOPPED):
            self.numbers.failures += 1
            self._alarm("connection", f"the connection ended: {ending.value}")
        return ending

    # While connected

    async def _connected(self, socket: ClientConnection, reconnects: Reconnects) -> _Ending:
        self._begin(self._clock())
        tasks = [
            asyncio.create_task(self._read(socket)),
            asyncio.create_task(self._command(socket)),
            asyncio.create_task(self._watch(reconnects)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except (ConnectionClosed, OSError):
            pass
        except asyncio.CancelledError:
            await self._say_goodbye(socket)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._data.end()
        return self._ending or _Ending.LOST

    def _begin(self, now: float) -> None:
        self._connected_at = self._received_at = now
        self._ending, self._proven = None, False
        self._data.begin()
        self.registrations.restart(now)
        self._set(Condition.CONNECTED)

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            self._received_at = self._clock()
            head = message[:1]
            if head == "{" or head == b"{":
                await self._control(socket, message)
            else:
                self._recorder.note(f"websocket {self.identity.name}", message)
                self._data_at = self._received_at
                await self._data.take(message)
            if self._data.early:
                await self._data.take_early()
            if self._ending is not None:
                return

    async def _control(self, socket: ClientConnection, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        match messages.parse(text):
            case Ping(moment):
                self.numbers.pings += 1
                with contextlib.suppress(ConnectionClosed):  # what else came is still to be read
                    await socket.send(text)
                self._compare_clocks(moment)
            case Reply() as reply:
                await self._reply(reply)
            case None:
                self._intake.offer_or_lose(Message(message, self.now_us()))

    async def _reply(self, reply: Reply) -> None:
        named = f"{reply.code} {reply.text}"
        match reply.meaning:
            case Meaning.OWNED:
                self._alarm("owned", f"{named}: another session has this appkey")
                self._end(_Ending.OWNED, named)
            case Meaning.STOP:
                self._stop(named)
            case Meaning.NEW_KEY:
                # An answer to a command with the key of before says nothing of the one that came since.
                if self.registrations.refused_key(reply.registration) == self._approval_key:
                    await self._renew_key(named)
            case meaning:
                one = reply.registration
                if meaning is Meaning.ACTIVE:
                    self._proven, self._renewed = True, False
                    if one and reply.key:
                        self._data.keep_key(one.tr_id, reply.key, reply.iv)
                    if one:
                        self._data.active(one)
                elif meaning is Meaning.INACTIVE:
                    if one in self._wanted and self.registrations.state_of(one) is State.ACTIVE:
                        self._losses.begin([one], self.now_us())
                else:
                    what = f"{one.tr_id} {one.tr_key}" if one else "-"
                    self._alarm("registration", f"{named}: {what}", subject=f"{self.identity.name} {what}")
                self.registrations.on_reply(reply, self._clock())
        self._changed.set()

    async def _renew_key(self, named: str) -> None:
        if self._renewed:
            self._stop(f"{named}: a new approval key was not taken either")
            return
        self._renewed, self._proven = True, False
        self._refused_key = self._approval_key
        self._alarm("approval", f"{named}: asking for one new approval key")
        try:
            self._approval_key = await self._approval(self._refused_key)
        except NoApprovalKey as error:
            if error.is_final:
                self._stop(f"{named}: {error}")
            else:  # the next connection asks again, after its wait
                self._alarm("connection", f"{named}: {error}")
                self._end(_Ending.LOST, f"{named}: {error}")
            return
        self.registrations.ask_again(self._clock())

    async def _command(self, socket: ClientConnection) -> None:
        while True:
            self._changed.clear()
            now = self._clock()
            # One question until the first answer: a key that is not taken must not be shown forty times.
            if self._proven or not self.registrations.is_asking(now):
                found = self.registrations.next(now, self._approval_key)
                if found is not None:
                    self.numbers.commands += 1
                    text = messages.command(
                        found.registration,
                        register=found.register,
                        approval_key=self._approval_key,
                        customer=self.identity.customer,
                    )
                    try:
                        await socket.send(text)
                    except ConnectionClosed:
                        # What came before the end says why; the reader has it, and ends with it.
                        await asyncio.get_running_loop().create_future()
                    continue
            if not self._wanted and not self.registrations.in_state(State.LEAVING):
                self._end(_Ending.EMPTY, "nothing is to be registered")
                return
            wait_s = min(1.0, max(0.005, self.registrations.due_at() - self._clock()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()

    async def _watch(self, reconnects: Reconnects) -> None:
        every_s = max(0.02, min(1.0, self.timing.dead_s / 20))
        held = False
        while True:
            await asyncio.sleep(every_s)
            now = self._clock()
            self._losses.tell()
            if now - self._connected_at > self.timing.clock_s or self._data.early > MOST_EARLY:
                self.service_clock.presume()
            if not held and self._data_at - self._connected_at >= self.timing.held_s:
                held = True
                reconnects.held()
            if now - self._received_at > self.timing.dead_s:
                self._end(_Ending.DEAD, f"no frame for {self.timing.dead_s:g} s")
                return
            if self._is_silent(now):
                self._end(_Ending.SILENT, "no data")
                return

    def _is_silent(self, now: float) -> bool:
        """Whether silence asks for a new connection: once in each phase of a day, further silence is told only."""
        if not self.numbers.pings:
            return False  # the hour is not known for sure
        feeds = frozenset(LAYOUTS[one.tr_id].feed for one in self._wanted if one.tr_id in LAYOUTS)
        now_us = self.now_us()
        phase = hours.expected(feeds, now_us)
        if phase is None:
            return False
        most_s = phase.silence_s * self.timing.silence
        silent_s = now - max(self._data_at, self._connected_at)
        if min(silent_s, hours.began_s_ago(phase, now_us)) <= most_s:
            return False
        self._alarm("silence", f"no data for {silent_s:.0f} s in the phase {phase.name} of {phase.feed}")
        mark = (f"{phase.feed} {phase.name}", korean_time.date_of(now_us))
        if self._silence_answered == mark:
            return False
        self._silence_answered = mark
        return True

    # Its words

    def now_us(self) -> int:
        """Now, by the clock of the service as far as PINGPONG tells it."""
        return self.service_clock.now_us()

    def _compare_clocks(self, moment: str) -> None:
        try:
            self.service_clock.heard(moment)
        except ValueError:
            return
        if offset_us := self.service_clock.offset_us:
            self._alarm("clock", f"the clock of KIS is {offset_us / 1e6:+.1f} s from this machine's")

    def _note_loss(self, ending: _Ending) -> None:
        """What came over a connection is whole up to its last frame, or up to its last data if it was silent."""
        last = max(self._data_at, self._connected_at) if ending is _Ending.SILENT else self._received_at
        at_us = self.now_us() - int(max(0.0, self._clock() - last) * 1_000_000)
        self._losses.begin(self.registrations.in_state(State.ACTIVE), at_us)

    async def _say_goodbye(self, socket: ClientConnection) -> None:
        """Unregister before closing, as KIS asks for, within `goodbye_s`."""
        self._wanted = frozenset()
        with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
            async with asyncio.timeout(self.timing.goodbye_s):
                for one in self.registrations.in_state(State.ACTIVE):
                    text = messages.command(
                        one, register=False, approval_key=self._approval_key, customer=self.identity.customer
                    )
                    await socket.send(text)
                    await asyncio.sleep(self.timing.spacing_s)

    def _end(self, ending: _Ending, reason: str) -> None:
        self._ending, self.reason = ending, reason

    def _stop(self, reason: str) -> None:
        self._alarm("stopped", reason)
        self._set(Condition.STOPPED, reason)
        self._end(_Ending.STOPPED, reason)

    def _set(self, condition: Condition, reason: str = "") -> None:
        if self.condition is not condition:
            log.info("kis_session name=%s condition=%s reason=%r", self.identity.name, condition.value, reason)
        self.condition, self.reason = condition, reason

    def _alarm(self, code: str, text: str, *, subject: str = "") -> None:
        # Not by the clock of the service: what is of the server's future would be refused.
        alarm = Alarm(code, subject or self.identity.name, text, int(self._wall() * 1_000_000))
        self._intake.offer_or_lose(alarm)
