"""What came in, raw, as it came: written for later, and read again at any speed. Knows nothing of what it means.

A recording is JSON lines. The first line of each run of the program says so; the others are notes: `mono_us` (a clock
that only goes forward, of this run), `wall_us` (UTC since 1970), `channel` (the source's word for where it came from)
and one of `text`, `utf8` (bytes) and `base64` (bytes that are no UTF-8). FILE is the newest part, FILE.1 the one before
it, and so on; the oldest goes.
"""

import argparse
import base64
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self

from terminals import private
from terminals.sources.contract import Pace, Receiver, WrongInput
from terminals.wire.language import gettext as _

PARTS: Final = 8
_FLUSH_S: Final = 1.0

log = logging.getLogger("naru.recording")


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that came in. `starts` if it is the first of a run: `mono_us` before it is another clock's."""

    channel: str
    data: str | bytes
    mono_us: int
    wall_us: int
    starts: bool = False


class Recorder(Protocol):
    """What a source tells of everything that comes in, before it looks at it. Never of what it sends: that has keys."""

    def note(self, channel: str, data: str | bytes) -> None:
        """Something came in on `channel`. Thread-safe; never raises, never waits long."""


class Decoder(Protocol):
    """The part of a source that understands what came in. The source feeds it live, a recording feeds it again. One
    that holds something back has `ended(terminal)` beside `take`, for behind the last note."""

    def take(self, note: Note, terminal: Receiver) -> None:
        """Send what this note says to `terminal`."""


class RecordedModule(Protocol):
    """What the module of a source has beside the names of SourceModule, if its input can be recorded: the command line
    then has --record, and gives `open_source` the recorder as `arguments.recorder`."""

    def open_decoder(self, arguments: argparse.Namespace) -> Decoder:
        """For `play`. WrongInput, ValueError or OSError says what is wrong with the arguments."""


class NoRecorder:
    """Nothing is recorded."""

    def note(self, channel: str, data: str | bytes) -> None:
        """Forget it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to close."""


class FileRecorder:
    """Writes notes to at most PARTS files of `max_bytes` together. What cannot be written is counted in `lost`."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        mono: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._path, self._part_bytes = path, max(1, max_bytes // PARTS)
        self._mono, self._wall = mono, wall
        self._mutex = threading.Lock()
        self._flushed_at = mono()
        self.lost = 0
        self._file = self._open()
        if self._file.tell():
            self._file.write(b"\n")  # the line before may be torn
        self._write({"recording": 1, "wall_us": wall() // 1000})

    def note(self, channel: str, data: str | bytes) -> None:
        """See Recorder."""
        with self._mutex:
            mono_ns = self._mono()
            line: dict[str, Any] = {"mono_us": mono_ns // 1000, "wall_us": self._wall() // 1000, "channel": channel}
            line.update(_content(data))
            try:
                self._write(line)
                if mono_ns - self._flushed_at >= _FLUSH_S * 1e9:
                    self._flushed_at = mono_ns
                    self._file.flush()
            except (OSError, ValueError) as error:  # a full disk, or closed already: prices go on
                self.lost += 1
                if self.lost == 1:
                    log.error("not_recorded file=%s reason=%r", self._path, str(error))

    def close(self) -> None:
        """Write out what is left."""
        with self._mutex, contextlib.suppress(OSError):
            self._file.close()
        if self.lost:
            log.error("recording_incomplete file=%s lost=%d", self._path, self.lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        return os.fdopen(os.open(self._path, flags, private.FILE_MODE), "ab")

    def _write(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        # Closed: the last attempt to begin a part failed, perhaps because somebody looks at a file.
        if self._file.closed or (self._file.tell() and self._file.tell() + len(data) > self._part_bytes):
            self._file.close()
            free = next((number for number in range(1, PARTS) if not _part(self._path, number).exists()), PARTS - 1)
            for number in range(free, 0, -1):
                _part(self._path, number - 1).replace(_part(self._path, number))
            self._file = self._open()
        self._file.write(data)


def read(path: Path) -> Iterator[Note]:
    """The notes of a recording, oldest first; a line that is none (the last may be torn) is told and left out.
    WrongInput if there is no recording, or no line of the file is one."""
    found, wrong, starts = 0, 0, False
    parts = [part for number in range(PARTS - 1, -1, -1) if (part := _part(path, number)).is_file()]
    if not path.is_file():
        raise WrongInput(_("{file} is no recording: there is no such file").format(file=path))
    for part in parts:
        with part.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    content = json.loads(line)
                    if "recording" in content:
                        starts, found = True, found + 1
                        continue
                    note = Note(
                        content["channel"], _data(content), content["mono_us"], content["wall_us"], starts or not found
                    )
                except (ValueError, KeyError, TypeError):
                    wrong += 1
                    log.warning("%s line %d is left out: it is no note", part, number)
                    continue
                found, starts = found + 1, False
                yield note
    if not found:
        raise WrongInput(
            _("{file} is no recording: none of its {lines} lines is a note").format(file=path, lines=wrong)
        )


def paced(notes: Iterable[Note], pace: Pace, *, speed: float) -> Iterator[Note]:
    """The notes when they are due, `speed` times as fast as they came, 0 without pauses; between two runs of the
    recorded program there is no pause. Ends early when the program is to stop."""
    began, first_us = pace.now(), 0
    for note in notes:
        if note.starts:
            began, first_us = pace.now(), note.mono_us
        wait_s = began + (note.mono_us - first_us) / 1e6 / speed - pace.now() if speed else 0.0
        if not pace.wait(max(0.0, wait_s)):
            return
        yield note


class PlayedRecording:
    """A source: what was recorded, understood again by the source's own decoder."""

    def __init__(self, path: Path, decoder: Decoder, *, speed: float = 1.0) -> None:
        self._path, self._decoder, self._speed = path, decoder, speed
        self._notes = 0

    def describe(self) -> str:
        """One line for the log."""
        return f"recording file={self._path.name} notes={self._notes} speed={self._speed:g}"

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Feed the decoder to the end; True when the end was reached. WrongInput if the file is no recording."""
        for note in paced(read(self._path), pace, speed=self._speed):
            self._notes += 1
            self._decoder.take(note, terminal)
        if hasattr(self._decoder, "ended"):
            self._decoder.ended(terminal)
        if not pace.wait(0.0):
            return False
        terminal.flush()
        return True


def _part(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _content(data: str | bytes) -> dict[str, str]:
    if isinstance(data, str):
        return {"text": data}
    try:
        return {"utf8": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _data(content: dict[str, str]) -> str | bytes:
    """KeyError, ValueError or TypeError if there is none."""
    if "text" in content:
        return content["text"]
    return content["utf8"].encode("utf-8") if "utf8" in content else base64.b64decode(content["base64"], validate=True)
