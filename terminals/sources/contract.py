"""What a source of ticks gets and what it has to do. A module of a source has these names:

`CODE` (who the terminal says it is), `FEED` and `MARKET` (defaults of the options), `HELP` (Korean and English),
`add_arguments(parser)`, and `open_source(arguments)`, which checks its input and answers a `Source`.
"""

from collections.abc import Iterable
from typing import Protocol

from terminals.batcher import Row
from terminals.spool import Spool


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

    def send(self, rows: Iterable[Row]) -> None:
        """Take rows; waits while there is no room."""

    def flush(self) -> None:
        """Put all that was taken into the spool."""


class Source(Protocol):
    """Sends until it has nothing more, or is told to stop."""

    def describe(self) -> str:
        """One line for the log."""

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """True when everything was sent, False when stopped before."""
