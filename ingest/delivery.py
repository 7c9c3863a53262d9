"""What terminals sent, until it is committed: in flight, in messages to the workers and back, driven again when that
takes too long, acknowledged when the ledger has it, and how much of it is held before nobody is read any more."""

from __future__ import annotations

import asyncio
import logging
import time

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from ingest import batch_spans, dispatch, ledger_outcomes, notifications
from ingest.alarmboard import AlarmBoard
from ingest.connection import Connection
from ingest.dataset import Dataset
from ingest.in_flight import InFlightBatch, InFlightWindow, ids_of
from ingest.limits import Limits
from ingest.listener import Listener
from ingest.outages import Outages
from ingest.recent import RecentBatch
from ingest.registry import Member, Registry
from ingest.session import BatchReceived
from marketdata import metrics
from marketdata.ledger import batch_ledger
from marketdata.logs import configuration
from marketdata.tracing import spans
from marketdata.types import records
from marketdata.types.tick_arrays import batch_number
from terminals import wire

log = logging.getLogger(__name__)
steps = logging.getLogger(configuration.BATCHES)

POLL_S = 1.0
HASTE_S = 1.0
STALLED_CREDIT = 1
BROKER_FAILING = _("the broker takes no message: {error}. Batches wait here and in the terminals")
RESUME_AT = 0.8


class Delivery:
    """The batches of one ingest server. All methods run on the event loop; threads come back by
    call_soon_threadsafe."""

    def __init__(
        self,
        limits: Limits,
        registry: Registry[Connection],
        dataset: Dataset,
        *,
        instance: str,
        alarms: AlarmBoard,
        database: Outages,
        sessions_changed: asyncio.Event,
    ) -> None:
        self.in_flight = InFlightWindow(limits.max_messages, limits.message_ticks, limits.redrive_s)
        self.halted = False
        """Whether nobody is read, for all together have too much in flight."""
        self._limits = limits
        self._registry = registry
        self._dataset = dataset
        self._alarms = alarms
        self._database = database
        self._draining = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatch.Dispatcher(
            reply_to=instance, max_messages=limits.max_messages, done=self._published_from_thread
        )
        self._sessions_changed = sessions_changed
        self._listener = Listener(
            instance,
            heard=self._heard_from_thread,
            sessions=self._sessions_from_thread,
            back=self._back_from_thread,
        )

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to publish and to listen."""
        self._dispatcher.start()
        self._listener.start()

    async def drain(self) -> None:
        """Wait for what is in flight, at most `drain_s`."""
        self._draining = True
        deadline = time.monotonic() + self._limits.drain_s
        while len(self.in_flight) and time.monotonic() < deadline:  # noqa: ASYNC110 - a short wait at the very end
            await asyncio.sleep(0.05)
        log.info("drained left=%d", len(self.in_flight))

    async def stop(self) -> None:
        """End the threads; the message in hand is published first."""
        if self._timer is not None:
            self._timer.cancel()
        self._dispatcher.stop()
        self._listener.stop()
        await self._loop.run_in_executor(None, self._dispatcher.join, 2.0)

    # --- from the terminals -----------------------------------------------------------------------------------------

    def take(self, member: Member[Connection], event: BatchReceived) -> None:
        """A batch of a spool that has its number."""
        stream, number = member.stream, batch_number(member.stream.id, event.seq)
        member.batches += 1
        metrics.RECEIVED_BATCHES.inc()
        repeated, waiting = stream.has(event.seq), self.in_flight.by_number.get(number)
        if repeated or waiting is not None:
            metrics.REPEATED_BATCHES.inc()
        if waiting is not None:
            session = member.link.session
            if waiting.payload != event.payload and session is not None:
                session.refuse("bad_seq", f"seq {event.seq} is under way with other content")
            return
        now = time.monotonic()
        entry = InFlightBatch(
            number=number,
            stream=stream.id,
            seq=event.seq,
            payload=event.payload,
            rows=event.rows,
            received_us=batch_ledger.now_us(),
            source_id=member.admission.source_id,
            register_market=member.register_market,
            epoch=member.admission.epoch,
            since=now,
            offset_us=member.clock.us,
        )
        self.in_flight.add(entry)
        if steps.isEnabledFor(logging.DEBUG):
            steps.debug(
                "batch received client=%s rows=%d bytes=%d",
                member.admission.name,
                entry.rows,
                len(entry.payload),
                extra=entry.ids,
            )
        stream.bytes += len(event.payload)
        if not repeated:  # a worker compares a repeated one with the ledger: what differs is kept aside, not lost
            self._remember(member, entry, now)
        self.press(member)
        self.pump()

    def _remember(self, member: Member[Connection], entry: InFlightBatch, now: float) -> None:
        """Keep the newest batches at hand, unopened: what is in them is told to those who ask. That is ticks; order
        books and events only pass through."""
        if records.holds_records(entry.payload):
            metrics.RECEIVED_RECORDS.inc(entry.rows)
            return
        member.ticks += entry.rows
        metrics.RECEIVED_TICKS.inc(entry.rows)
        batch = RecentBatch(
            payload=entry.payload,
            number=entry.number,
            source_id=entry.source_id,
            rows=entry.rows,
            client=member.admission.name,
            received_us=entry.received_us,
        )
        self._dataset.keep(batch, now=now)
        member.recent.add(batch, now=now)

    # --- to the workers and back ------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Give the dispatcher the next message, if it is time for one."""
        if self._dispatcher.idle:
            now = time.monotonic()
            entries = self.in_flight.next_message(now)
            if entries:
                self._dispatcher.give(entries)
            elif self._timer is None and (pause_s := self.in_flight.pause_s(now)) is not None:
                self._timer = self._loop.call_later(pause_s, self._pump_again)

    def _pump_again(self) -> None:
        self._timer = None
        self.pump()

    def _published_from_thread(self, entries: list[InFlightBatch], taken: bool) -> None:
        self._loop.call_soon_threadsafe(self._published, entries, taken)

    def _published(self, entries: list[InFlightBatch], taken: bool) -> None:
        self._dispatcher.idle = True
        self._alarms.set("broker_failing", "" if taken else format_lazy(BROKER_FAILING, error=self._dispatcher.error))
        if taken:
            self.in_flight.published(entries, time.monotonic())
        else:
            self.in_flight.unpublished(entries)
        self.pump()

    def _heard_from_thread(self, outcomes: list[notifications.Outcome]) -> None:
        self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _sessions_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._sessions_changed.set)

    def _back_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._redis_is_back)

    def _redis_is_back(self) -> None:
        log.warning("redis is back batches=%d", len(self.in_flight))
        self.in_flight.hasten(time.monotonic(), HASTE_S)

    def _settle(self, outcomes: list[notifications.Outcome]) -> None:
        now, credit = time.monotonic(), self.credit()
        members = {member.stream.id: member for member in self._registry.members.values()}
        touched: dict[int, Member[Connection]] = {}
        held: dict[str, list[int]] = {}
        for outcome in outcomes:
            waiting = self.in_flight.by_number.get(outcome.batch)
            if waiting is None or waiting.checksum != outcome.checksum:
                continue  # it is said of other content under this number: the ledger is asked about this one
            if outcome.infrastructure:
                held.setdefault(outcome.failed, []).append(outcome.batch)
                continue
            if outcome.failed:
                if self.in_flight.fail(outcome.batch, outcome.failed, now) is not None:
                    log.error("worker failed batch=%d error=%s", outcome.batch, outcome.failed, extra=waiting.ids)
                continue
            entry = self.in_flight.settle(outcome.batch, now)
            if entry is None:
                continue
            metrics.COMMIT_SECONDS.observe(now - entry.since)
            if spans.on():
                batch_spans.settled(entry, outcome.code)
            if steps.isEnabledFor(logging.DEBUG):
                steps.debug(
                    "batch settled code=%s seconds=%.3f", outcome.code or "-", now - entry.since, extra=entry.ids
                )
            stream = self._registry.stream(entry.stream)
            stream.bytes -= len(entry.payload)
            stream.settle(entry.seq)
            member = members.get(entry.stream)
            if member is None:
                continue
            touched[entry.stream] = member
            if outcome.code:
                self._reject(member, entry, outcome)
        for error, numbers in held.items():
            if batches := self.in_flight.hold(numbers, error, now):
                log.error("storage failing batches=%d error=%s", len(batches), error, extra=ids_of(batches))
        for member in self._registry.members.values() if self.credit() != credit else touched.values():
            self._ack(member)
        self.press(*touched.values())
        self.pump()

    def _reject(self, member: Member[Connection], entry: InFlightBatch, outcome: notifications.Outcome) -> None:
        rows = outcome.rejected if outcome.code == "rows" else entry.rows
        member.rejected += rows
        if outcome.code and member.link.session is not None:
            member.link.session.reject(
                seq=entry.seq,
                code=outcome.code,
                message=outcome.message or "rows were refused and kept with their reasons",
                rows=rows,
                reasons=dict(outcome.reasons or {}),
            )

    def _ack(self, member: Member[Connection]) -> None:
        session, stream = member.link.session, member.stream
        if session is not None:
            session.ack(commit=stream.commit, ranges=stream.ranges(), credit=self.credit(), now=time.monotonic())
            member.link.flush()

    def credit(self) -> int:
        """While nothing can be stored, terminals keep what they have in their spools."""
        stalled = self.in_flight.trouble is not None and self.in_flight.trouble.stalled
        return STALLED_CREDIT if stalled else wire.WINDOW_BATCHES

    def press(self, *changed: Member[Connection]) -> None:
        """Back-pressure: read nobody above the global limit, and not a client above its own, until it has gone down
        by a fifth. `changed` are the clients whose batches came or were committed."""
        metrics.INFLIGHT_BYTES.set(self.in_flight.bytes)
        limit, was_halted = self._limits.inflight_bytes, self.halted
        if self.in_flight.bytes > limit:
            self.halted = True
        elif self.in_flight.bytes < limit * RESUME_AT:
            self.halted = False
        if self._draining:
            return
        for member in changed if self.halted == was_halted else self._registry.members.values():
            of_client = member.stream.bytes
            keep = member.link.halted and of_client > self._limits.client_bytes * RESUME_AT
            member.link.halt(self.halted or bool(member.held) or of_client > self._limits.client_bytes or keep)

    # --- once in a while --------------------------------------------------------------------------------------------

    async def poll_ledger(self) -> None:
        """Notices are hints that may be lost: ask the ledger about what is old, and drive again what it does not
        have."""
        while True:
            await asyncio.sleep(POLL_S)
            waiting = self.in_flight.unsettled(time.monotonic(), POLL_S)
            if not waiting:
                continue
            try:
                asked = [self.in_flight.by_number[number] for number in waiting[:5000]]
                outcomes = await self._loop.run_in_executor(None, ledger_outcomes.look_up, asked)
                self._database.answers()
                depth = await self._loop.run_in_executor(None, dispatch.queue_depth)
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn asks again
                log.warning("ledger does not answer error=%s", type(error).__name__)
                self._database.away()
                continue
            self._settle(outcomes)
            if depth is not None and depth < self._limits.max_messages:  # else they are only waiting for a worker
                late = self.in_flight.overdue(time.monotonic())
                if late:
                    metrics.REDRIVEN.inc(sum(entry.publishes > 0 for entry in late))
                    log.warning("driven again batches=%d", len(late), extra=ids_of(late))
                    self.pump()
