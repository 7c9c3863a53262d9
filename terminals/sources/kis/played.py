"""A recording of the WebSocket, understood again by the decoder that understood it live."""

from terminals.recording import Note
from terminals.sources.contract import Receiver
from terminals.sources.kis.intake import Intake, Message


class PlayedFrames:
    """Its first note opens the intake of that terminal."""

    def __init__(self) -> None:
        self._intake: Intake | None = None

    def take(self, note: Note, terminal: Receiver) -> None:
        """Send what a frame says. Records without a date are of the day on which they came."""
        if self._intake is None:
            self._intake = Intake(terminal, terminal.spool.path / "kis")
        self._intake.process(Message(note.data, note.wall_us))
