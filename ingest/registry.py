"""Who is connected: since when, in what state, how much it sends, when it was last heard. One session a client; the
newest wins."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ingest.authenticator import ClientSession
from ingest.clocks import ClockOffset
from ingest.recent import Recent
from ingest.streams import Stream
from marketdata.ledger.session_fences import Fence

Link = TypeVar("Link")


@dataclass(slots=True, kw_only=True)
class Member(Generic[Link]):
    """A client that was let in, and the connection (`link`) it came by."""

    link: Link
    admission: ClientSession
    fence: Fence
    stream: Stream
    register_market: str | None
    address: str
    agent: str
    recent: Recent
    clock: ClockOffset = field(default_factory=ClockOffset)
    held: list[Any] = field(default_factory=list)  # batches of a spool whose number is being asked for
    since: float = field(default_factory=time.time)
    last_received: float = field(default_factory=time.time)
    batches: int = 0
    ticks: int = 0
    rejected: int = 0
    paused: bool = False
    spooled: int = 0  # the last batch of its spool that is known of: told at the login, or sent since
    dropped: int | None = None  # rows that it has dropped since it began, as its last heartbeat says
    _marks: tuple[float, int] = (0.0, 0)
    rate: float = 0.0

    def measure(self, now: float) -> None:
        """Ticks a second since the last call."""
        before, ticks = self._marks
        if before and now > before:
            self.rate = (self.ticks - ticks) / (now - before)
        self._marks = (now, self.ticks)

    def describe(self) -> dict[str, Any]:
        """For the admin and the dashboard."""
        return {
            "client": self.admission.name,
            "source": self.admission.source,
            "address": self.address,
            "agent": self.agent,
            "since": round(self.since, 3),
            "heard": round(self.last_received, 3),
            "batches": self.batches,
            "ticks": self.ticks,
            "rejected": self.rejected,
            "rate": round(self.rate, 1),
            "commit": self.stream.commit,
            "waiting": max(self.spooled - self.stream.commit, 0),
            "dropped": self.dropped,
            "clock_offset_ms": None if self.clock.us is None else round(self.clock.us / 1000, 1),
            "paused": self.paused,
            "ring_rows": len(self.recent),
            "ring_bytes": self.recent.nbytes,
        }


class Registry(Generic[Link]):
    """Members by client, and the streams they have had; a stream outlives its sessions."""

    def __init__(self) -> None:
        self.members: dict[int, Member[Link]] = {}
        self.streams: dict[int, Stream] = {}
        self.numbers: dict[tuple[str, str], int] = {}  # of the spools that were here, by client and epoch

    def newer(self, fence: Fence) -> Member[Link] | None:
        """The member that has logged in since a login of this fence, whose answer came later."""
        there = self.members.get(fence.client_id)
        return there if there is not None and there.fence.number > fence.number else None

    def join(self, member: Member[Link]) -> Member[Link] | None:
        """Enter a member; returns the one it takes over from."""
        old = self.members.get(member.admission.client_id)
        self.members[member.admission.client_id] = member
        if member.stream.id:
            self.numbers[member.admission.name, member.admission.epoch] = member.stream.id
        return old

    def leave(self, member: Member[Link]) -> None:
        """The member's connection is gone."""
        if self.members.get(member.admission.client_id) is member:
            del self.members[member.admission.client_id]

    def stream(self, number: int) -> Stream:
        """The stream of this number, remembered; 0 is a spool without a number and each time another one."""
        return self.streams.setdefault(number, Stream(number)) if number else Stream(0)

    def number(self, member: Member[Link], number: int) -> None:
        """The member's new spool has its number now."""
        self.numbers[member.admission.name, member.admission.epoch] = number
        waited, member.stream = member.stream, self.stream(number)
        member.stream.merge(waited.commit, [])
        member.stream.wanted |= waited.wanted

    @property
    def greatest_number(self) -> int:
        """The greatest number of a spool known here; whatever a failover lost of them is given to no other."""
        return max(self.streams, default=0)

    def recent(self, client: str) -> Recent | None:
        """The recent batches of a client by its name, if it is here. From any thread."""
        return next((one.recent for one in list(self.members.values()) if one.admission.name == client), None)
