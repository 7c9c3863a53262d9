"""The registrations of one session: what is wanted, what is in force, and which command comes next. Knows no socket and
no clock. An answer has no number: it is matched by TR and key, may come twice, late, or not at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from terminals.sources.kis.messages import Meaning, Reply
from terminals.sources.kis.planner import MOST_REGISTRATIONS, Registration

SPACING_S: Final = 0.1
"""Between two commands; no rate is published, samples wait 0.05 to 0.1 s."""
ANSWER_S: Final = 10.0
RETRY_S: Final = 10.0
_MOST_RETRY_S: Final = 600.0
_TRIES: Final = 8


class State(Enum):
    """Where a registration stands."""

    WAITING = "waiting"
    ASKED = "asked"
    ACTIVE = "active"
    LEAVING = "leaving"
    REFUSED = "refused"


@dataclass(slots=True)
class _Entry:
    state: State
    due_at: float
    tries: int = 0
    code: str = ""
    shown: list[str] = field(default_factory=list)
    """The approval keys of the commands that have no answer yet, the oldest first."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to send now."""

    registration: Registration
    register: bool


class Registrations:
    """At most `most` are active or asked for at a time. Seconds of a clock that only goes forward."""

    def __init__(
        self,
        *,
        most: int = MOST_REGISTRATIONS,
        spacing_s: float = SPACING_S,
        answer_s: float = ANSWER_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._most, self._spacing_s, self._answer_s, self._retry_s = most, spacing_s, answer_s, retry_s
        self._wanted: set[Registration] = set()
        self._entries: dict[Registration, _Entry] = {}
        self._next_at = 0.0

    def want(self, registrations: Iterable[Registration], now: float) -> None:
        """What is to be registered from now on, instead of what was. What the session had no room for may be asked for
        again when something else leaves."""
        self._wanted = set(registrations)
        leaves = False
        for one, entry in list(self._entries.items()):
            if one not in self._wanted:
                leaves = True
                if entry.state in (State.WAITING, State.REFUSED):
                    del self._entries[one]
                elif entry.state is not State.LEAVING:
                    self._entries[one] = _Entry(State.LEAVING, now)
        for one in sorted(self._wanted):
            kept = self._entries.get(one)
            again = kept is not None and kept.state is State.REFUSED and kept.code == "OPSP0008" and leaves
            if kept is None or kept.state is State.LEAVING or again:
                self._entries[one] = _Entry(State.WAITING, now)

    def restart(self, now: float) -> None:
        """A new session, in which nothing is registered. What was refused for itself stays refused."""
        for one, entry in list(self._entries.items()):
            if entry.state is State.LEAVING:
                del self._entries[one]
            elif entry.state is not State.REFUSED or entry.code == "OPSP0008":
                self._entries[one] = _Entry(State.WAITING, now)

    def next(self, now: float, approval_key: str = "") -> Command | None:
        """The command to send now, if one is due; it counts as sent with that key."""
        if now < self._next_at:
            return None
        found = self._choose(now)
        if found is not None:
            self._next_at = now + self._spacing_s
            entry = self._entries[found.registration]
            entry.tries += 1
            entry.due_at = now + self._answer_s
            entry.shown = [*entry.shown, approval_key][-_TRIES:]
            if found.register:
                entry.state = State.ASKED
        return found

    def on_reply(self, reply: Reply, now: float) -> None:
        """What a reply to one registration changes."""
        entry = self._entries.get(reply.registration) if reply.registration else None
        if entry is None or reply.registration is None:
            return
        entry.code = reply.code
        entry.shown.clear()
        if entry.state is State.LEAVING:
            if reply.meaning is Meaning.INACTIVE:
                self._left(reply.registration, now)
            return
        match reply.meaning:
            case Meaning.ACTIVE:
                entry.state, entry.tries = State.ACTIVE, 0
            case Meaning.INACTIVE:  # a late answer to an end that was taken back
                entry.state, entry.due_at = State.WAITING, now
            case Meaning.FULL | Meaning.REFUSED:
                entry.state = State.REFUSED
            case Meaning.RETRY:
                entry.state = State.WAITING
                doublings = min(entry.tries, _TRIES) - 1
                entry.due_at = now + min(self._retry_s * 2**doublings, _MOST_RETRY_S)
            case _:
                pass  # of the whole session

    def refused_key(self, one: Registration | None) -> str | None:
        """The approval key that an answer to `one` refuses: that of its oldest command without an answer; of any, if it
        names none. None if there is no such command."""
        entries = [self._entries[one]] if one in self._entries else [] if one else list(self._entries.values())
        for entry in entries:
            if entry.shown:
                return entry.shown.pop(0)
        return None

    def ask_again(self, now: float) -> None:
        """Whatever was asked and not answered is asked with another key; what is active stays so."""
        for entry in self._entries.values():
            if entry.state is State.ASKED:
                entry.state, entry.due_at = State.WAITING, now
            elif entry.state is State.LEAVING:
                entry.due_at = now

    def on_data(self, registration: Registration) -> None:
        """Its data came: it is active, whatever became of the answer."""
        entry = self._entries.get(registration)
        if entry is not None and entry.state in (State.ASKED, State.WAITING):
            entry.state, entry.tries = State.ACTIVE, 0

    def due_at(self) -> float:
        """When `next` may have something; infinity if never."""
        times = [entry.due_at for entry in self._entries.values() if entry.state not in (State.ACTIVE, State.REFUSED)]
        return max(self._next_at, min(times, default=float("inf")))

    def in_state(self, state: State) -> list[Registration]:
        """The registrations that stand so."""
        return [one for one, entry in self._entries.items() if entry.state is state]

    def state_of(self, one: Registration) -> State | None:
        """Where it stands; None if it is not known."""
        entry = self._entries.get(one)
        return entry.state if entry else None

    @property
    def has_waiting(self) -> bool:
        """Whether any was asked for and is not known to be active."""
        return any(entry.state in (State.WAITING, State.ASKED) for entry in self._entries.values())

    def is_asking(self, now: float) -> bool:
        """Whether a question is out whose answer may still come."""
        return any(entry.state is State.ASKED and entry.due_at > now for entry in self._entries.values())

    def refused(self) -> dict[Registration, str]:
        """What KIS refused, with its code."""
        return {one: entry.code for one, entry in self._entries.items() if entry.state is State.REFUSED}

    def _choose(self, now: float) -> Command | None:
        occupied = 0
        waiting = None
        for one, entry in self._entries.items():
            if entry.state in (State.ACTIVE, State.ASKED, State.LEAVING):
                occupied += 1
            if entry.due_at > now:
                continue
            if entry.state is State.LEAVING:
                if entry.tries < _TRIES:
                    return Command(one, register=False)
                self._left(one, now)  # it never answered; the session ends one day, too
                return None
            if entry.state is State.ASKED:
                return Command(one, register=True)  # no answer: asked again, which is harmless
            if entry.state is State.WAITING and waiting is None:
                waiting = Command(one, register=True)
        return waiting if occupied < self._most else None

    def _left(self, one: Registration, now: float) -> None:
        if one in self._wanted:
            self._entries[one] = _Entry(State.WAITING, now)
        else:
            del self._entries[one]
