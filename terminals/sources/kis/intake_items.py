"""What an intake is given and what it counts: messages, rows that were polled, alarms, what was lost, statuses."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from terminals.batcher import Row
from terminals.sources.kis.layouts import LAYOUTS, Content
from terminals.wire import Kind

BUFFERS: Final = ("price", "book", "event")
"""What waits in the queue, by what it tells."""
_BUFFER_OF: Final = {
    Content.BOOK: "book",
    Content.OVERSEAS_BOOK: "book",
    Content.MARKET_STATUS: "event",
    Content.INDEX: "event",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What a session received. `key` and `iv` where it is encrypted; `now_us` by the clock of the service."""

    text: str | bytes
    now_us: int
    key: str = field(default="", repr=False)
    iv: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something an operator should see: in the log, as an event on the server, and as a count."""

    code: str
    subject: str
    text: str
    now_us: int
    feed: str | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of a symbol (None: of many of the feed) was lost in that time. `is_counted`: the next trade of that day
    shows by its volume how much, so it is told only if none comes; otherwise no volume does."""

    feed: str
    symbol: str | None
    from_us: int
    to_us: int
    reason: str
    is_counted: bool = False


@dataclass(frozen=True, slots=True)
class PolledRows:
    """Rows that another part of the source made, of a feed."""

    feed: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Status:
    """How the source stands, for the server."""

    body: dict[str, object]
    now_us: int


Item = Message | Alarm | Lost | PolledRows | Status


@dataclass
class Counts:
    """Since the start."""

    frames: int = 0
    records: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    """By kind."""
    gaps: int = 0
    recounted: int = 0
    without_price: int = 0
    unfit: int = 0
    """Rows and gaps that fitted no column, and were not sent."""
    not_taken: int = 0
    """Rows that the terminal did not take any more when it ended."""
    alarms: Counter[str] = field(default_factory=Counter)
    overruns: Counter[str] = field(default_factory=Counter)
    """Messages there was no room for, by buffer."""
    widths: dict[str, set[int]] = field(default_factory=dict)
    """New widths by TR."""


def buffer_of(item: Item) -> str:
    match item:
        case Message(text=str() as text):
            layout = LAYOUTS.get(text[2 : text.find("|", 2)])
            return _BUFFER_OF.get(layout.content, "price") if layout else "event"
        case PolledRows(rows=rows) if rows:
            kind = rows[0].get("kind")
            return "book" if kind == Kind.BOOK else "event" if kind == Kind.STATUS else "price"
        case _:
            return "event"
