"""The WebSocket side of a terminal as a whole: a plan over all appkeys, one session each, one intake. `run` it in an
event loop; the terminal's rows leave by the thread of the intake.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from terminals.clock import wall_us
from terminals.recording import Recorder
from terminals.sources.contract import Receiver
from terminals.sources.kis import planner
from terminals.sources.kis.connecting import Identity, Timing
from terminals.sources.kis.coverage import covered
from terminals.sources.kis.intake import MOST_MESSAGES, Intake
from terminals.sources.kis.losses import Losses
from terminals.sources.kis.planner import Coverage, Kind, Plan, Registration, Wish
from terminals.sources.kis.registrations import State
from terminals.sources.kis.service_clock import ServiceClock
from terminals.sources.kis.session import Condition, Session
from terminals.sources.kis.unfinished import Unfinished, UnfinishedFile
from terminals.wire.gap_reasons import NOT_RUNNING

_LOOK_S: Final = 0.2
_LAG_US: Final = 2_000_000
"""What came so long before the newest batch may have waited behind it when the terminal was killed."""

Approval = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One appkey, by its name."""

    name: str
    condition: str
    reason: str
    active: int
    planned: int
    refused: int
    connections: int
    failures: int
    overrun: int
    pings: int
    clock_offset_s: float
    data_age_s: float | None


class Streams:
    """`wish` may be called before `run` and while it runs."""

    def __init__(
        self,
        accounts: Sequence[tuple[Identity, Approval]],
        terminal: Receiver,
        folder: Path,
        *,
        per_appkey: int = planner.PLANNED,
        polling: Mapping[Kind, int] | None = None,
        timing: Timing | None = None,
        most_messages: int = MOST_MESSAGES,
        recorder: Recorder | None = None,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        """`folder` is the same for all processes of this machine: locks and attempts lie there, by appkey. What cannot
        be read is kept beside the spool."""
        self.intake = Intake(terminal, terminal.spool.path / "kis", most_messages=most_messages)
        self.losses = Losses(self.intake.offer)
        self._clock = ServiceClock(now_us)
        self._unfinished = UnfinishedFile(terminal.spool.path)
        self._captured_us = terminal.spool.last_captured_us  # before anything is sent
        self.sessions = {
            identity.name: Session(
                identity,
                approval,
                self.intake,
                self.losses,
                folder,
                timing=timing,
                recorder=recorder,
                service_clock=self._clock,
                wall=lambda: now_us() / 1e6,
            )
            for identity, approval in accounts
        }
        self._per_appkey, self._polling, self._wall_us = per_appkey, polling, now_us
        self._wishes: list[Wish] = []
        self.plan = Plan({})

    def wish(self, wishes: Iterable[Wish]) -> Plan:
        """What is wanted from now on; the plan for it."""
        self._wishes = list(wishes)
        return self._replan()

    async def run(self) -> None:
        """Until cancelled. What the terminal raises to the intake's thread is raised here again: its `Failed` or
        `Interrupted`."""
        self.intake.start()
        self._resume()
        tasks = {name: asyncio.create_task(session.run()) for name, session in self.sessions.items()}
        try:
            while self.intake.failure is None:
                await asyncio.sleep(_LOOK_S)
                for task in tasks.values():
                    if task.done():
                        task.result()
                if self._usable() != list(self.plan.by_appkey):
                    self._replan()
                self._keep(self._registered())
        finally:
            registered, until_us = self._registered(), self._now_us()
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
            self.losses.end(self._now_us())
            await asyncio.to_thread(self.intake.close, self.losses.tell)
            self._keep(registered, until_us=until_us)
        raise self.intake.failure

    def status(self) -> list[SessionStatus]:
        """How each session stands."""
        return [
            SessionStatus(
                name=name,
                condition=one.condition.value,
                reason=one.reason,
                active=len(one.registrations.in_state(State.ACTIVE)),
                planned=len(self.plan.by_appkey.get(name, ())),
                refused=len(one.registrations.refused()),
                connections=one.numbers.connections,
                failures=one.numbers.failures,
                overrun=one.numbers.overrun,
                pings=one.numbers.pings,
                clock_offset_s=one.service_clock.offset_us / 1e6,
                data_age_s=one.data_age_s,
            )
            for name, one in self.sessions.items()
        ]

    def coverage(self) -> Mapping[Wish, Coverage]:
        """How each wish is covered now, the most wanted first."""
        return covered(self.plan.wishes, self._active(), self._polling or {})

    def refused(self) -> set[Registration]:
        """What KIS does not register."""
        return {one for session in self.sessions.values() for one in session.registrations.refused()}

    # Over a restart

    def _resume(self) -> None:
        """What the last terminal had registered has lost what came since it ended, and what it had not told yet."""
        before = self._unfinished.load()
        if self._captured_us is None:
            return
        if before is None:  # then all that is wanted may have been registered
            before = Unfinished(frozenset(wish.registration for wish in self._wishes))
        # A batch is stamped by this machine's clock, what came by the service's.
        last_us = self._captured_us + self._wall_us() - wall_us() + before.offset_us - _LAG_US
        at_us = last_us if before.until_us is None else before.until_us
        if not self.sessions:  # for the next terminal, that has
            going_on = {one: (one, at_us, NOT_RUNNING) for one in before.registered}
            going_on |= {kept[0]: kept for kept in before.going_on}
            self._unfinished.save(replace(before, going_on=tuple(going_on.values())))
            return
        wanted = {wish.registration for wish in self._wishes}
        self.losses.told_on = before.told_on
        for one, from_us, reason in before.going_on:
            self.losses.begin([one], from_us, reason)
        self.losses.end(at_us, but=wanted)
        self.losses.begin(before.registered & wanted, at_us, NOT_RUNNING)
        for lost in before.losses:
            self.intake.offer_or_lose(lost)

    def _keep(self, registered: frozenset[Registration], *, until_us: int | None = None) -> None:
        if self.sessions:
            self._unfinished.save(
                Unfinished(
                    registered,
                    tuple(self.losses.going_on()),
                    frozenset([*self.intake.unsettled.copy(), *self.losses.together()]),
                    self.losses.told_on,
                    until_us,
                    self._clock.offset_us,
                )
            )

    def _registered(self) -> frozenset[Registration]:
        """What is registered, and what has lost something since it was."""
        return frozenset([*self._active(), *(one for one, _from_us, _reason in self.losses.going_on())])

    def _active(self) -> set[Registration]:
        return {
            one
            for session in self.sessions.values()
            if session.condition is Condition.CONNECTED
            for one in session.registrations.in_state(State.ACTIVE)
        }

    def _usable(self) -> list[str]:
        """Sessions that this process has, or may have any moment."""
        lost = (Condition.STOPPED, Condition.OWNED_ELSEWHERE)
        return [name for name, one in self.sessions.items() if one.condition not in lost]

    def _replan(self) -> Plan:
        self.plan = planner.plan(self._wishes, self._usable(), per_appkey=self._per_appkey, before=self.plan)
        for name, session in self.sessions.items():
            if name in self.plan.by_appkey:
                session.want(self.plan.by_appkey[name])
            elif session.condition is Condition.OWNED_ELSEWHERE:
                session.want(())  # others have them; it gets what is left when it is ours again
        # A registration that waits for another appkey still loses what does not come.
        self.losses.end(self._now_us(), but=(wish.registration for wish in self._wishes))
        return self.plan

    def _now_us(self) -> int:
        return self._clock.now_us()
