"""From a message of a session to rows in the spool: one thread that decodes, finds what is missing, and sends. No other
talks to the terminal. What does not fit into its queue is lost to it, and the volumes tell how much. What the terminal
does not take any more is counted, and told as a gap of its feed.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from terminals.batcher import Row, UnfitRows
from terminals.link import Failed, Interrupted
from terminals.masking import masked, masked_start
from terminals.sources.contract import Receiver, SymbolGap
from terminals.sources.kis import korean_time
from terminals.sources.kis.encryption import CannotDecrypt, decrypt
from terminals.sources.kis.frames import Frame, Reader, Undecodable, take_apart
from terminals.sources.kis.intake_items import (
    BUFFERS,
    Alarm,
    Counts,
    Item,
    Lost,
    Message,
    PolledRows,
    Status,
    buffer_of,
)
from terminals.sources.kis.layouts import KIS_DELAYED
from terminals.sources.kis.quarantine import Quarantine
from terminals.sources.kis.records import Converter, Rows
from terminals.sources.kis.repeats import Repeats
from terminals.sources.kis.volume_holes import Found, VolumeHoles
from terminals.sources.kis.volume_state import VolumeState
from terminals.spool_state import SpoolFull
from terminals.wire import BatchError, Kind
from terminals.wire.gap_reasons import NOT_TAKEN

log = logging.getLogger("naru.kis")
MOST_MESSAGES: Final = 20_000
_SAVE_S: Final = 30.0
_ALARM_S: Final = 300.0
_ALARMS: Final = 1_000
_WAKE_S: Final = 0.2
CLOSE_S: Final = 5.0
"""After so long of closing, nobody waits for room in the spool any more."""
_LAST_S: Final = 30.0
_ROOM_S: Final = 0.02
_NAMES: Final = {kind: kind.name.lower() for kind in Kind}


class Intake:
    """Start it as a thread by `start`, give it messages by `offer`, and `close` it when all sessions are closed."""

    def __init__(
        self,
        terminal: Receiver,
        folder: Path,
        *,
        most_messages: int = MOST_MESSAGES,
        clock: Callable[[], float] = time.monotonic,
        save_s: float = _SAVE_S,
    ) -> None:
        self._terminal, self._clock, self._save_s = terminal, clock, save_s
        self._queue: queue.Queue[Item] = queue.Queue(most_messages)
        self.room = most_messages
        """How many messages may wait."""
        # Each is written by one thread alone: by who offers, and by who works off.
        self._offered = dict.fromkeys(BUFFERS, 0)
        self._worked_off = dict.fromkeys(BUFFERS, 0)
        self._closing = threading.Event()
        self._not_taken: dict[str, SymbolGap] = {}  # by feed
        self._unproven: dict[tuple[str, str], Lost] = {}  # counted losses after which no trade has come yet
        self.unsettled: set[Lost] = set()
        """Losses that were taken and are neither told nor proved yet; each thread adds or takes out one at a time."""
        self._reader = Reader()
        self._converter = Converter(first_seq=terminal.spool.rows_total + 1)
        self.holes = VolumeHoles()
        self.repeats = Repeats()
        self.quarantine = Quarantine(folder)
        self.counts = Counts()
        self._state = VolumeState(terminal.spool, self.holes, self.repeats)
        self._alarmed: dict[tuple[str, str], float] = {}
        self._save_at = clock() + save_s
        self._thread = threading.Thread(target=self._run, name="naru-kis-intake", daemon=True)
        self.failure: Exception | None = None
        """Why the terminal takes nothing any more, if it does not: what comes after that is counted."""

    def start(self) -> None:
        """Take up the volumes of before, then begin."""
        batches = self._state.load()
        if batches:
            log.info("kis_volumes_restored batches=%d", batches)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many messages have come and are not worked off."""
        return self._queue.qsize()

    @property
    def buffered(self) -> dict[str, int]:
        """The same by buffer."""
        return {name: max(0, self._offered[name] - self._worked_off[name]) for name in BUFFERS}

    @property
    def batches_waiting(self) -> int:
        """How many batches the spool has that are not committed."""
        return self._terminal.spool.last - self._terminal.spool.committed

    def offer(self, item: Item) -> bool:
        """Take something without waiting; False if there is no room."""
        if isinstance(item, Lost):
            self.unsettled.add(item)
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            if isinstance(item, Lost):
                self.unsettled.discard(item)
            return False
        self._offered[buffer_of(item)] += 1
        return True

    def offer_or_lose(self, item: Item) -> None:
        """Take what nobody offers again, or count it as lost."""
        if not self.offer(item):
            self.lose(item)

    def lose(self, item: Item) -> None:
        """Count what was offered in vain and is given up."""
        self.counts.overruns[buffer_of(item)] += 1

    def close(self, last_words: Callable[[], bool] = lambda: True) -> None:
        """Work off what is there, save the volumes, end. While the spool is full that takes no longer than CLOSE_S.
        `last_words` offers what is still to be told, and says whether there was room for all of it."""
        if self._thread.ident is None:
            return
        give_up_at = time.monotonic() + CLOSE_S
        while self._thread.is_alive() and not last_words():
            if time.monotonic() >= give_up_at:
                self._terminal.interrupt()
            time.sleep(_ROOM_S)
        self._closing.set()
        self._thread.join(max(0.0, give_up_at - time.monotonic()))
        if self._thread.is_alive():
            self._terminal.interrupt()
            self._thread.join(_LAST_S)
        if self._thread.is_alive():
            log.error("kis_intake_hangs messages=%d", self.waiting)

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            try:
                item = self._queue.get(timeout=_WAKE_S)
            except queue.Empty:
                item = None
            try:
                if item is not None:
                    self._worked_off[buffer_of(item)] += 1
                    self.process(item)
                self._save_if_due()
            except Exception as error:  # noqa: BLE001  # the source raises it again in its own thread
                self.failure = self.failure or error
        try:
            for lost in self._unproven.values():
                self._tell_lost(lost)
            if self.failure is None:
                self._save(last=True)
            self._tell_not_taken()
        except Exception as error:  # noqa: BLE001  # as above
            self.failure = self.failure or error

    def process(self, item: Item) -> None:
        """Work one off at once; for a caller without a thread. If the terminal takes nothing any more, `failure` is set
        after it."""
        match item:
            case Message():
                self._message(item)
            case Alarm():
                self._alarm(item)
            case PolledRows():
                self._send(item.feed, Found(item.rows, []))
            case Status():
                self._send_rows("krx", [self._converter.event("vendor_status", now_us=item.now_us, body=item.body)])
            case Lost():
                self._lose(item)

    def _message(self, message: Message) -> None:
        try:
            frame = self._read(message)
        except Undecodable as error:
            self._set_aside(message.text, error.reason, error.tr_id, message.now_us)
            return
        self.counts.frames += 1
        self.counts.records += frame.count
        if frame.recounted:
            self.counts.recounted += 1
        if self._reader.new_widths:
            self._tell_widths(message.now_us)
        made = self._converter.convert(frame, message.now_us)
        self.counts.without_price += made.without_price
        if made.wrong:
            self._set_records_aside(made, frame.layout.tr_id, message.now_us)
        if frame.layout.is_counted:
            self._send(made.feed, self._check(made, frame.layout.tr_id, message.now_us))
        else:
            self._send_new(made.feed, made.rows, frame.layout.tr_id, message.now_us)
        if made.events:
            self._send_rows(made.feed, made.events)
        if made.delayed:
            self._send_new(KIS_DELAYED, made.delayed, frame.layout.tr_id, message.now_us)

    def _check(self, made: Rows, tr_id: str, now_us: int) -> Found:
        misdated = self.holes.misdated
        found = self.holes.check(made.feed, made.rows, now_us)
        if self.holes.misdated > misdated:
            self._alarm(Alarm("misdated", tr_id, f"a trade of {tr_id} has a date that has not come", now_us, made.feed))
        if found.repeats:
            self._keep_repeats(made.feed, found.repeats, "old_repeat", tr_id, now_us)
        if self._unproven:
            for row in found.rows:
                key = (made.feed, row["symbol"])
                if key in self._unproven and (trade := self.holes.last_trade(*key))[1] == now_us:
                    self._prove(self._unproven.pop(key), trade[0])
        return found

    def _send_new(self, feed: str, rows: list[Row], tr_id: str, now_us: int) -> None:
        """Rows whose volumes account for nothing, without the trades that came before."""
        new, again = self.repeats.check(feed, rows)
        if again:
            self._keep_repeats(feed, again, "repeat", tr_id, now_us)
        self._send_rows(feed, new)

    def _keep_repeats(self, feed: str, rows: list[Row], reason: str, tr_id: str, now_us: int) -> None:
        for row in rows:
            self.quarantine.keep(json.dumps(row), reason=reason, tr_id=tr_id, now_us=now_us)
        text = f"{len(rows)} trades of {tr_id} came again"
        self._alarm(Alarm("quarantine", f"{tr_id} {reason}", text, now_us, feed))

    def _lose(self, lost: Lost) -> None:
        if not lost.is_counted or lost.symbol is None:
            self._tell_lost(lost)
            return
        key = (lost.feed, lost.symbol)
        before = self._unproven.pop(key, None)
        if before is not None and korean_time.date_of(before.from_us) == korean_time.date_of(lost.from_us):
            from_us, to_us = min(before.from_us, lost.from_us), max(before.to_us, lost.to_us)
            both = replace(before, from_us=from_us, to_us=to_us)
            self.unsettled.add(both)
            self.unsettled.difference_update({before, lost} - {both})
            lost = both
        elif before is not None:
            self._tell_lost(before)
        trade_date, came_us = self.holes.last_trade(*key)
        if came_us >= lost.to_us:
            self._prove(lost, trade_date)  # that trade was quicker
        else:
            self._unproven[key] = lost

    def _prove(self, lost: Lost, trade_date: int) -> None:
        """A trade came after it: its volume says what is missing, if it is of the same day."""
        if trade_date != korean_time.date_of(lost.from_us):
            self._tell_lost(lost)
        self.unsettled.discard(lost)

    def _tell_lost(self, lost: Lost) -> None:
        self._report(lost.feed, [SymbolGap(lost.from_us, lost.to_us, symbol=lost.symbol, reason=lost.reason)])
        self.unsettled.discard(lost)

    def _read(self, message: Message) -> Frame:
        text = message.text
        if isinstance(text, bytes):
            try:
                text = text.decode("utf-8")
            except UnicodeDecodeError:
                raise Undecodable("not_text", "", f"{len(text)} bytes") from None
        encrypted, tr_id, count, payload = take_apart(text)
        if encrypted:
            if not message.key:
                raise Undecodable("no_key", tr_id, "encrypted, and no answer brought its key")
            try:
                payload = decrypt(payload, key=message.key, iv=message.iv)
            except CannotDecrypt as error:
                raise Undecodable("encryption", tr_id, str(error)) from None
        return self._reader.read(tr_id, count, payload)

    def _send(self, feed: str, found: Found) -> None:
        start = 0
        for hole in found.holes:
            # In their order, so that the accounts can be made again from the spool.
            self._send_rows(feed, found.rows[start : hole.at])
            start = hole.at
            if self.failure is not None:
                continue  # a trade behind it is not taken either, so the next start finds it again
            gap = SymbolGap(
                symbol=hole.symbol,
                from_us=hole.from_us,
                to_us=hole.to_us,
                missing=hole.missing,
                trade_date=hole.trade_date,
                reason=hole.reason,
            )
            self._report(feed, [gap])
        self._send_rows(feed, found.rows[start:] if start else found.rows)

    def _report(self, feed: str, gaps: list[SymbolGap]) -> None:
        try:
            self._terminal.report_gaps(gaps, feed=feed)
        except BatchError as error:
            self.counts.unfit += len(gaps)
            log.error("kis_gap_unfit feed=%s reason=%r", feed, error.message)
        except (Interrupted, Failed) as error:  # the terminal keeps them
            self.failure = self.failure or error
            self.counts.gaps += len(gaps)
        else:
            self.counts.gaps += len(gaps)

    def _send_rows(self, feed: str, rows: list[Row]) -> None:
        if not rows:
            return
        if self.failure is not None:
            self._count_not_taken(feed, rows)
            return
        unfit: Collection[int] = ()
        try:
            self._terminal.send(rows, feed=feed)
        except BatchError as error:
            unfit = set(error.places) if isinstance(error, UnfitRows) else range(len(rows))
            log.error("kis_row_unfit feed=%s rows=%d reason=%r", feed, len(unfit), error.message)
        except (Interrupted, Failed) as error:
            self.failure = error
            unfit = set(error.unfit)
            self._count_not_taken(feed, rows[error.taken :])
            rows = rows[: error.taken]
        self.counts.unfit += len(unfit)
        kinds = self.counts.rows
        for place, row in enumerate(rows):
            if place not in unfit:
                kinds[_NAMES[row["kind"]]] += 1

    def _count_not_taken(self, feed: str, rows: list[Row]) -> None:
        if not rows:
            return
        self.counts.not_taken += len(rows)
        times = [row["time_us"] for row in rows]
        before = self._not_taken.get(feed, SymbolGap(min(times), max(times), 0, NOT_TAKEN))
        self._not_taken[feed] = SymbolGap(
            min(before.from_us, *times), max(before.to_us, *times), before.rows + len(rows), NOT_TAKEN
        )

    def _tell_not_taken(self) -> None:
        for feed, gap in self._not_taken.items():
            log.error("kis_not_taken feed=%s rows=%d from_us=%d to_us=%d", feed, gap.rows, gap.from_us, gap.to_us)
            self._report(feed, [gap])
        self._not_taken.clear()

    def _set_aside(self, raw: str | bytes, reason: str, tr_id: str, now_us: int) -> None:
        self.quarantine.keep(raw, reason=reason, tr_id=tr_id, now_us=now_us)
        tr_id = masked_start(tr_id, 32)
        self._alarm(Alarm("quarantine", f"{tr_id} {reason}", f"a frame of {tr_id or '?'}: {reason}", now_us))

    def _set_records_aside(self, made: Rows, tr_id: str, now_us: int) -> None:
        for wrong in made.wrong:
            self.quarantine.keep("^".join(wrong.values), reason=wrong.reason, tr_id=tr_id, now_us=now_us)
        reasons = sorted({wrong.reason for wrong in made.wrong})
        for reason in reasons:
            self._alarm(Alarm("quarantine", f"{tr_id} {reason}", f"a record of {tr_id}: {reason}", now_us, made.feed))

    def _tell_widths(self, now_us: int) -> None:
        for tr_id, width in self._reader.new_widths:
            self.counts.widths.setdefault(tr_id, set()).add(width)
            self._alarm(Alarm("width", f"{tr_id} {width}", f"records of {tr_id} are now {width} wide", now_us))
        self._reader.new_widths.clear()

    def _alarm(self, alarm: Alarm) -> None:
        """Tell it, the same at most once in five minutes; count it each time."""
        self.counts.alarms[alarm.code] += 1
        key, now = (alarm.code, alarm.subject), self._clock()
        if now < self._alarmed.get(key, float("-inf")) + _ALARM_S:
            return
        if len(self._alarmed) >= _ALARMS:
            self._alarmed.clear()
        self._alarmed[key] = now
        # Names, codes and errors in it are from outside.
        subject, text = masked(alarm.subject), masked(alarm.text)
        log.error("kis_alarm code=%s subject=%r text=%r", alarm.code, subject, text)
        body: dict[str, object] = {"subject": subject, "text": text}
        event = self._converter.event(f"vendor_{alarm.code}", now_us=alarm.now_us, body=body)
        self._send_rows(alarm.feed or "krx", [event])

    def _save_if_due(self) -> None:
        if self.failure is None and self._clock() >= self._save_at:
            self._save()

    def settle(self, *, all_of_them: bool = False) -> None:
        """Tell the holes that no further trade has confirmed; `all_of_them` when none will come."""
        for feed, holes in self.holes.settle(all_of_them=all_of_them).items():
            self._send(feed, Found([], holes))

    def _save(self, *, last: bool = False) -> None:
        self._save_at = self._clock() + self._save_s
        self.settle(all_of_them=last)
        self._terminal.flush()
        try:
            self._state.save()
        except (OSError, SpoolFull) as error:
            log.error("kis_volumes_not_saved reason=%r", str(error))
