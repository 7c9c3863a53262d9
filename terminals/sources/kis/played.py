"""A recording of the WebSocket and of REST, understood again by the decoders that understood it live."""

from typing import Final

from terminals.batcher import Row
from terminals.recording import Note
from terminals.sources.contract import Receiver, WrongInput
from terminals.sources.kis import quotes
from terminals.sources.kis.collector import TTL_S
from terminals.sources.kis.duplicates import Duplicates
from terminals.sources.kis.intake import Intake
from terminals.sources.kis.intake_items import Message, PolledRows
from terminals.sources.kis.rest import read_channel
from terminals.wire.language import gettext as _

_SETTLE_US: Final = 30_000_000


class PlayedInput:
    """Its first note opens the intake of that terminal."""

    def __init__(self) -> None:
        self._intake: Intake | None = None
        self._duplicates = Duplicates(TTL_S)
        self._settled_us = 0

    def take(self, note: Note, terminal: Receiver) -> None:
        """Send what a frame or an answer says. Records without a date are of the day on which they came. WrongInput if
        an answer is none; what the terminal raises."""
        if self._intake is None:
            self._intake = Intake(terminal, terminal.spool.path / "kis")
            self._settled_us = note.wall_us
        if note.wall_us >= self._settled_us + _SETTLE_US:
            self._settled_us = note.wall_us
            self._intake.settle()
        if read_channel(note.channel) is None:
            self._intake.process(Message(note.data, note.wall_us))
        else:
            for feed, rows in self._pictures(note).items():
                self._intake.process(PolledRows(feed, rows))
        if self._intake.failure is not None:
            raise self._intake.failure

    def ended(self, terminal: Receiver) -> None:
        """Tell the holes that nothing in the recording has confirmed. What the terminal raises."""
        if self._intake is not None:
            self._intake.settle(all_of_them=True)
            if self._intake.failure is not None:
                raise self._intake.failure

    def _pictures(self, note: Note) -> dict[str, list[Row]]:
        """By feed, without those that say what was just sent, as live."""
        try:
            found = quotes.replay(note.channel, note.data, note.wall_us)
        except ValueError as error:
            raise WrongInput(
                _("the recorded answer of {channel} cannot be read: {reason}").format(
                    channel=note.channel[:80], reason=error
                )
            ) from None
        now_s = note.mono_us / 1e6
        return {
            feed: [
                row
                for row in rows
                if not self._duplicates.seen((feed, row["kind"], row.get("symbol") or row["body"]["index"]), row, now_s)
            ]
            for feed, rows in found.items()
        }
