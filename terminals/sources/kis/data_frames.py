"""The data frames of one session on their way to the intake. What comes before the time of KIS is known waits for it;
what there is no room for is lost here, and noted.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from terminals.clock import steady_us
from terminals.sources.kis import frames
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import Message
from terminals.sources.kis.losses import Losses
from terminals.sources.kis.planner import Registration
from terminals.sources.kis.registrations import Registrations, State
from terminals.sources.kis.service_clock import ServiceClock

MOST_EARLY: Final = 5_000
"""More do not wait for the time of KIS: their session presumes it."""


@dataclass
class Numbers:
    """Since the start."""

    connections: int = 0
    failures: int = 0
    pings: int = 0
    commands: int = 0
    data: int = 0
    overrun: int = 0


class DataFrames:
    """In the event loop of its session, which counts in `numbers`. Keys are those of the connection that is open."""

    def __init__(
        self,
        intake: Intake,
        losses: Losses,
        registrations: Registrations,
        service_clock: ServiceClock,
        numbers: Numbers,
        *,
        patience_s: float,
        clock: Callable[[], float],
    ) -> None:
        """`patience_s` is how long a frame waits for room before it is lost; `clock` gives seconds that only go on."""
        self._intake, self._losses, self._registrations = intake, losses, registrations
        self._service_clock, self._numbers = service_clock, numbers
        self._patience_s, self._clock = patience_s, clock
        self._keys: dict[str, tuple[str, str]] = {}
        self._overrunning = False
        self._early: deque[tuple[int, str | bytes | Registration]] = deque()
        """What waits for the time of KIS, with the moment of the steady clock at which it came."""

    @property
    def early(self) -> int:
        """What waits for the time of KIS."""
        return len(self._early)

    def begin(self) -> None:
        """A connection begins: its keys are others."""
        self._keys.clear()

    def keep_key(self, tr_id: str, key: str, iv: str) -> None:
        """What the records of a TR are encrypted with."""
        self._keys[tr_id] = (key, iv)

    def active(self, registration: Registration) -> None:
        """From now on the registration brings data."""
        if self._service_clock.is_known:
            self._losses.active(registration, self._service_clock.now_us())
        else:
            self._early.append((steady_us(), registration))

    async def take(self, message: str | bytes) -> None:
        """A frame that came now."""
        self._numbers.data += 1
        if not self._service_clock.is_known:
            self._learn_time(message)
        if self._early or not self._service_clock.is_known:
            self._early.append((steady_us(), message))
        else:
            await self.take_of(message, self._service_clock.now_us())

    async def take_early(self) -> None:
        """What waited, if the time is known by now."""
        while self._early and self._service_clock.is_known:
            came_us, item = self._early.popleft()
            if isinstance(item, Registration):
                self._losses.active(item, self._service_clock.at_us(came_us))
            else:
                await self.take_of(item, self._service_clock.at_us(came_us))

    def end(self) -> None:
        """The connection has ended: what waits goes on, though nothing has told the time since it began."""
        while self._early:
            came_us, item = self._early.popleft()
            at_us = self._service_clock.at_us(came_us)
            if isinstance(item, Registration):
                self._losses.active(item, at_us)
            else:
                message = self._message(item, at_us)
                taken = self._intake.offer(message)
                if not taken:
                    self._intake.lose(message)
                self._note(item, at_us, taken=taken)

    async def take_of(self, message: str | bytes, at_us: int) -> None:
        """A frame that came then."""
        taken = False
        try:
            taken = await self._hand_on(self._message(message, at_us))
        finally:  # the connection may end meanwhile
            self._note(message, at_us, taken=taken)

    def _learn_time(self, message: str | bytes) -> None:
        """From the first record of a trade, which has a date."""
        with contextlib.suppress(frames.Undecodable, ValueError):
            text = message if isinstance(message, str) else message.decode("utf-8", "replace")
            moment_us = frames.moment_of(text)
            if moment_us is not None:
                self._service_clock.seen(moment_us)

    def _message(self, text: str | bytes, at_us: int) -> Message:
        key = iv = ""
        if isinstance(text, str) and text[:1] == "1":
            key, iv = self._keys.get(text[2 : text.find("|", 2)], ("", ""))
        return Message(text, at_us, key, iv)

    def _note(self, message: str | bytes, at_us: int, *, taken: bool) -> None:
        if not taken or self._losses or self._registrations.has_waiting:
            named = self._named_in(message)
            for one in named:
                self._registrations.on_data(one)
            if taken:
                self._losses.data(named, at_us)
            else:
                known = (one for one in named if self._registrations.state_of(one) is not None)
                self._losses.dropped(known, at_us)

    async def _hand_on(self, message: Message) -> bool:
        """Wait for room for a moment: the service waits too. False if there is none: then it is lost here."""
        give_up_at = self._clock() + (0.0 if self._overrunning else self._patience_s)
        while not self._intake.offer(message):  # the queue is another thread's
            if self._clock() >= give_up_at:
                self._overrunning = True
                self._numbers.overrun += 1
                self._intake.lose(message)
                return False
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self._intake.lose(message)
                raise
        self._overrunning = False
        return True

    def _named_in(self, message: str | bytes) -> list[Registration]:
        """The registrations a data frame has records of; all of its TR if it is encrypted, for that hides the codes."""
        try:
            encrypted, tr_id, count, payload = frames.take_apart(
                message if isinstance(message, str) else message.decode("utf-8", "replace")
            )
        except frames.Undecodable:
            return []
        if encrypted:
            return [one for one in self._registrations.in_state(State.ACTIVE) if one.tr_id == tr_id]
        return [Registration(tr_id, code) for code in frames.codes_in(count, payload)]
