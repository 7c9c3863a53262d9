"""What a source of ticks gets and what it has to do. The module of a source is a `SourceModule`."""

import argparse
from collections.abc import Iterable
from typing import Literal, Protocol

from terminals.batcher import Row
from terminals.spool import Spool
from terminals.wire import Gap

SymbolGap = Gap
"""What a source found missing of a symbol (or, without one, of its feed): `symbol`, `from_us`, `to_us`, `rows` (0:
unknown), `missing` (a volume in 1e-6), `trade_date` (days since 1970), `reason`. By name, please."""


class Pace(Protocol):
    """Time as a source sees it."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""

    def now(self) -> float:
        """Seconds of a clock that only goes forward."""

    def wait(self, seconds: float) -> bool:
        """Let time pass; False if the program is to stop."""


class Receiver(Protocol):
    """Where the rows go; `terminals.link.Terminal` is one."""

    @property
    def spool(self) -> Spool:
        """For a source that counts on what was already taken."""

    def send(self, rows: Iterable[Row], *, feed: str | None = None) -> None:
        """Take rows of a feed, by default the terminal's own; ticks, order books and events in any mix. Waits while
        there is no room."""

    def report_gaps(self, gaps: Iterable[SymbolGap], *, feed: str | None = None) -> None:
        """Say that something is missing. Leaves after all rows of the feed that were sent before; what cannot leave
        now is kept, and told at the end at the latest."""

    def flush(self) -> None:
        """Put all that was taken into the spool."""

    def interrupt(self) -> None:
        """Let calls that wait for room end with `terminals.link.Interrupted`: this source ends."""


class Source(Protocol):
    """Sends until it has nothing more, or is told to stop."""

    def describe(self) -> str:
        """One line for the log."""

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """True when everything was sent, False when stopped before."""


class SourceModule(Protocol):
    """What the command line needs of a source's module. It imports on a bare Python, so that its help is always there:
    what has to be installed is imported by `open_source`.

    A source that can say how it stands has `check(arguments)` beside these, which gives `terminals.finding.Finding`s,
    and one whose input can be recorded the names of `terminals.recording.RecordedModule`. `arguments` has, beside the
    options, `recorder` and `tables`: the tables of the file of --config."""

    CODE: str
    """Who the terminal says it is: a row of `source` on the server."""
    FEED: str
    """What `--feed` is when it is left out."""
    MARKET: str | None
    """What `--register-market` is when it is left out."""
    WHEN_FULL: Literal["block", "drop"]
    """What `--when-full` is when it is left out: a source that cannot wait drops, and the gap is told."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The options of this source."""

    def open_source(self, arguments: argparse.Namespace) -> Source:
        """Check its input. WrongInput, ValueError or OSError says what is wrong with it."""


class WrongInput(Exception):
    """What was given to a source cannot be used; the message says why. A source may raise it while it runs, too."""
