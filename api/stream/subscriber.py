"""One socket as the hub sees it: who it is, what it wants, and its send queue. The socket itself belongs to the
consumer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from api.stream import encoding
from api.stream.encoding import Form
from api.stream.flow_control import FlowControl
from api.stream.requests import CHANNELS, LISTED, WITH_TRADES, RequestError
from api.stream.send_queue import SendQueue

_ages = itertools.count()


class NoRoomError(RequestError):
    """All sockets together, or those of one reader, name as many symbols as may be."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose socket it is: ("client" | "key" | "user" | "page", primary key), and by which login he came if by one, as
    `api.auth.sessions` names it: two sockets of one person are his, whichever browser opened them."""

    kind: str
    number: int
    session: str = field(default="", compare=False, repr=False)


@dataclass(eq=False, slots=True)
class Subscriber:
    """`live` says whether it gets what the hub reads; only offsets above `after` are new to it. While it is `replaying`
    it gets no trades and quotes of the hub, but candles, which are states."""

    feed: str
    send_queue: SendQueue
    flow_control: FlowControl = field(default_factory=FlowControl)
    identity: Identity | None = None
    channels: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in CHANNELS})
    live: bool = False
    replaying: bool = False
    after: int = 0
    forming: bool = False
    heartbeat: bool = False
    alerts_of: int | str | None = None  # whose alerts it may be told, as `api.auth.access.alerts_of` says
    left_at: str | None = None  # the epoch up to whose end it has had everything of the hub
    lagging: bool = False  # nobody waits for it any more
    ending: int | None = None  # the code it is being closed with
    age: int = field(default_factory=lambda: next(_ages))
    came_us: int = field(default_factory=lambda: time.time_ns() // 1000)

    @property
    def form(self) -> Form:
        return self.send_queue.form

    @property
    def listening(self) -> bool:
        """Whether candles are given to it."""
        return self.live or self.replaying

    def go_live(self, after: int) -> None:
        """Everything above an offset from now on, unless it is being closed."""
        self.after, self.replaying = after, False
        self.live = self.ending is None

    def leave(self) -> None:
        """Nothing more."""
        self.live = self.replaying = False

    @property
    def named(self) -> int:
        """How many symbols it named, of all channels."""
        return sum(map(len, self.channels.values()))

    def add(self, lists: Mapping[str, Iterable[str]], *, most: int, room: int) -> None:
        """Subscribe to more, `most` symbols in all and `room` more than now. RequestError 405 beyond the first and
        NoRoomError, also 405, beyond the second, and then nothing was added."""
        wanted = self.channels | {name: self.channels[name] | set(codes) for name, codes in lists.items()}
        named = sum(map(len, wanted.values()))
        if named > most:
            raise RequestError(405, f"symbol limit exceeded: at most {most}, or * for all")
        if named - self.named > max(room, 0):
            raise NoRoomError(405, f"symbol limit exceeded: there is room for {max(room, 0)} more; * counts one")
        self.channels = wanted

    def remove(self, lists: Mapping[str, Iterable[str]]) -> None:
        """Unsubscribe; "*" takes back "*", not everything."""
        for name, codes in lists.items():
            self.channels[name] -= set(codes)

    def codes(self, channel: str) -> set[str]:
        """What it is told of a channel: who has a symbol's trades is told which of them are taken back as well."""
        own = self.channels.get(channel, set())
        return own | self.channels["trades"] if channel in WITH_TRADES else own

    def subscription(self) -> dict[str, object]:
        """Everything it is subscribed to now, by all channels of the dialect."""
        return {"T": "subscription", **{name: sorted(self.codes(name)) for name in LISTED}}

    def tell(self, **content: object) -> None:
        """Queue a message that is not market data."""
        self.send_queue.put(encoding.message(self.form, content))

    def end(self, code: int, message: str) -> None:
        """Tell why, and close; what else waits is forgotten."""
        if self.ending is None:
            self.ending = code
            self.leave()
            self.send_queue.clear()
            self.tell(T="error", code=code, msg=message)
            self.send_queue.end()
