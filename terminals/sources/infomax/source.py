"""Reads a sheet again and again: sends what changed as snapshots, and events when it goes stale or comes back."""

import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from terminals.batcher import Row, UnfitRows
from terminals.finding import Finding
from terminals.recording import NoRecorder, Note, Recorder
from terminals.sources.contract import Pace, Receiver, WrongInput
from terminals.sources.infomax import checking
from terminals.sources.infomax.column_map import Block, ColumnMap, MapError
from terminals.sources.infomax.freshness import STALE, Freshness, Told
from terminals.sources.infomax.reading import NotReadable, Reader, ReadingThread
from terminals.sources.infomax.sheet import Change, Sheet
from terminals.wire import BatchError, Kind

log = logging.getLogger("naru")

_BUSY_S: Final = 0.05  # the first wait after a refused call; doubled up to the next
_BUSY_MOST_S: Final = 2.0
_AWAY_MOST_S: Final = 5.0
_SUMMARY_S: Final = 60.0
_ONCE_TRIES: Final = 20
_CHANNEL: Final = "block"


@dataclass(frozen=True)
class Options:
    """How often it is read, and when it counts as stale. Plain seconds."""

    poll_s: float = 0.3
    stale_s: float = 10.0
    frozen_s: float = 60.0
    answer_s: float = 1.0  # how long a reading may take before it counts as hung
    once: bool = False


class Infomax:
    """`open_reader` gets the folder of the spool, where a reader may keep what it has to restore."""

    def __init__(
        self,
        given: ColumnMap,
        open_reader: Callable[[Path], Reader],
        *,
        place: str,
        options: Options,
        market: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._map, self._open_reader, self._place = given, open_reader, place
        self._options, self._market = options, market
        self._recorder: Recorder = recorder or NoRecorder()
        self._recorded: Block | None = None
        self._sheet = Sheet(given, market=market)
        self._fresh: Freshness | None = None
        self._seq: Iterator[int] = itertools.count(1)
        self._failures = self._unreadable = self._rows_refused = 0
        self._last_failure = ""

    def describe(self) -> str:
        """One line for the log."""
        sheet, fresh = self._sheet, self._fresh
        problems = ",".join(f"{column}.{reason}:{count}" for (column, reason), count in sheet.problems.items())
        return (
            f"infomax {self._place} sheet={self._map.sheet} blocks={sheet.blocks} rows={sheet.rows}"
            f" refused={self._rows_refused} unreadable={self._unreadable} cells_without_value={problems or '-'}"
            f" code_twice={sheet.duplicates} volume_falls={sheet.volume_falls} float_noise={sheet.float_noise}"
            f" stale={(fresh.stale if fresh else None) or '-'} stale_codes={fresh.stale_codes if fresh else 0}"
        )

    def check(self) -> Iterator[Finding]:
        """One picture of the sheet, and what is in the way of sending it. Leaves everything as it was."""
        with tempfile.TemporaryDirectory() as kept:
            reading = ReadingThread(self._open_reader(Path(kept)), self._map.heartbeat)
            try:
                yield from checking.findings(self._map, reading, place=self._place, market=self._market)
            finally:
                reading.close()

    def run(self, terminal: Receiver, pace: Pace) -> bool:
        """Send until stopped; with `once`, one picture of the sheet and then True. WrongInput if the map does not fit
        or, with `once`, the sheet cannot be read."""
        # As every source that counts: a restart goes on where the spool ended.
        self._seq = itertools.count(terminal.spool.rows_total + 1)
        self._sheet = Sheet(self._map, market=self._market, seq=self._seq)
        self._fresh = Freshness(stale_s=self._options.stale_s, frozen_s=self._options.frozen_s, now=pace.now())
        reading = ReadingThread(self._open_reader(terminal.spool.path), self._map.heartbeat)
        try:
            return self._read_on(terminal, pace, reading, self._fresh)
        finally:
            if not reading.close():
                log.warning("reader_not_closed reason=no_answer %s", self._place)

    def _read_on(self, terminal: Receiver, pace: Pace, reading: ReadingThread, fresh: Freshness) -> bool:
        summary_at = pace.now() + _SUMMARY_S
        while True:
            began = pace.now()
            # A spool that was full held up the reading: say so before the next picture makes it good again.
            told = fresh.judge(began, expects_movement=self._map.expects_movement(pace.now_us()))
            rows: list[Row] = []
            try:
                change = self._look(reading, pace, fresh)
            except NotReadable as error:
                wait_s = self._failed(error, fresh)
            else:
                rows, wait_s = change.rows, self._options.poll_s
                told += fresh.read(change.readable, change.unreadable, moved=bool(rows), now=pace.now())
            told += fresh.judge(pace.now(), expects_movement=self._map.expects_movement(pace.now_us()))
            self._send(terminal, [*rows, *(self._event(one, pace.now_us()) for one in told)])
            if self._options.once and self._sheet.blocks:
                return pace.wait(0.0)
            if pace.now() >= summary_at:
                summary_at = pace.now() + _SUMMARY_S
                log.info("%s", self.describe())
            if not pace.wait(wait_s - (pace.now() - began)):
                return False

    def _look(self, reading: ReadingThread, pace: Pace, fresh: Freshness) -> Change:
        """The next picture and what changed. NotReadable; WrongInput if the map does not fit the first one."""
        picture = reading.read(self._options.answer_s)
        if picture.block != self._recorded:
            self._recorded = picture.block
            self._recorder.note(_CHANNEL, json.dumps(picture.block, ensure_ascii=False, default=str))
        if self._map.heartbeat:
            fresh.beat(picture.beat, pace.now())
        try:
            change = self._sheet.take(picture.block, now_us=pace.now_us())
        except MapError as error:
            if not self._sheet.blocks:
                raise WrongInput(f"{self._place} sheet={self._map.sheet}: {error}") from None
            raise NotReadable("no_header", str(error)) from None
        if self._failures:
            log.info("readable_again block=%d after_tries=%d", self._sheet.blocks, self._failures)
        self._failures, self._last_failure = 0, ""
        for note in change.notes:
            log.warning("%s block=%d", note, self._sheet.blocks)
        if change.rows:
            log.debug("sheet_changed block=%d rows=%d", self._sheet.blocks, len(change.rows))
        return change

    def _failed(self, error: NotReadable, fresh: Freshness) -> float:
        """Count it and tell it once; how long to wait before the next try. WrongInput if there was only one to make."""
        self._failures += 1
        self._unreadable += 1
        fresh.failed(error.reason, str(error))
        if error.reason != self._last_failure:
            self._last_failure = error.reason
            log.warning("not_readable reason=%s after_block=%d: %s", error.reason, self._sheet.blocks, error)
        if self._options.once and self._failures >= _ONCE_TRIES:
            raise WrongInput(str(error))
        first_s, most_s = (_BUSY_S, _BUSY_MOST_S) if error.soon else (self._options.poll_s, _AWAY_MOST_S)
        return min(most_s, first_s * 2.0 ** min(self._failures - 1, 10))

    def _event(self, told: Told, now_us: int) -> Row:
        body = {**told.body, "block": self._sheet.blocks}
        log.log(
            logging.WARNING if told.event == STALE else logging.INFO,
            "%s symbol=%s %s",
            told.event,
            told.symbol or "-",
            " ".join(f"{name}={value}" for name, value in body.items()),
        )
        event = {"time_us": now_us, "kind": Kind.STATUS, "seq": next(self._seq), "event": told.event, "body": body}
        return event if told.symbol is None else {**event, "symbol": told.symbol}

    def _send(self, terminal: Receiver, rows: Sequence[Row]) -> None:
        if not rows:
            return
        try:
            terminal.send(rows, feed=self._map.feed)
        except BatchError as error:
            # All others were taken; a cell that fits no column must not end the feed.
            self._rows_refused += len(error.places) if isinstance(error, UnfitRows) else len(rows)
            log.error("row_refused block=%d reason=%r", self._sheet.blocks, error.message)


class PlayedSheet:
    """The blocks of a recording, understood as when they came; dates and times are texts in them."""

    def __init__(self, given: ColumnMap, *, market: str | None = None) -> None:
        self._map, self._sheet = given, Sheet(given, market=market)

    def take(self, note: Note, terminal: Receiver) -> None:
        """Send what changed since the block before. WrongInput if the map does not fit the first one."""
        if note.channel != _CHANNEL:
            return
        try:
            change = self._sheet.take(json.loads(note.data), now_us=note.wall_us)
        except MapError as error:
            if not self._sheet.blocks:
                raise WrongInput(str(error)) from None
            log.warning("not_readable reason=no_header after_block=%d: %s", self._sheet.blocks, error)
            return
        for told in change.notes:
            log.warning("%s block=%d", told, self._sheet.blocks)
        if change.rows:
            terminal.send(change.rows, feed=self._map.feed)
