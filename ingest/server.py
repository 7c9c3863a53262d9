"""The ingest server: connections in, messages to the workers out, acknowledgements back. The one place where its
parts meet.

A batch is acknowledged only when the ledger has it. Until then it is kept here, and driven again when it takes too
long; the terminal keeps it too, so that even this process may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import ssl
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ingest import authenticator, dispatch, ledger_outcomes, notifications
from ingest.alarmboard import AlarmBoard
from ingest.clocks import ClockOffset
from ingest.connection import Connection
from ingest.dataset import Dataset
from ingest.in_flight import InFlightBatch, InFlightWindow
from ingest.inspector import Inspector
from ingest.limits import Limits
from ingest.listener import Listener
from ingest.recent import Recent, RecentBatch
from ingest.registry import Member, Registry
from ingest.session import BatchReceived, Event, State
from marketdata import metrics
from marketdata.ledger import batch_ledger
from marketdata.limits.unauthenticated import Unauthenticated
from marketdata.realtime import live_state, redis_health
from marketdata.types.ticks import batch_number
from terminals import wire

log = logging.getLogger(__name__)

TICK_S = 0.25
POLL_S = 1.0
REVOKE_S = 5.0
WATCH_S = 5.0
HASTE_S = 1.0
AUDITORS = 2
STALLED_CREDIT = 1
ALARM_S = 1.0
CLOCKS_S = 5.0
CLOCK_STEP_US = 50_000  # a change worth writing down
SEVERAL = 3
CLOCK_OFFSET = "its clock is {:.1f} s {} this server's: set it by NTP. Events too far from their capture are refused"
SERVER_CLOCK = "the clocks of all {} terminals are far from this server's, so it is probably this one: set it by NTP"
STORAGE_FAILING = "{}. {} batches wait, nothing is lost; they are stored when it works again"
BROKER_FAILING = "the broker takes no message: {}. Batches wait here and in the terminals"
RESUME_AT = 0.8


class Server:
    """Everything one ingest process holds. All methods run on the event loop; threads come back by
    call_soon_threadsafe."""

    def __init__(self, limits: Limits, *, instance: str | None = None, channel_binding: str = "") -> None:
        self.limits = limits
        self.host = socket.gethostname()
        self.instance = instance or f"{self.host}-{os.getpid()}"
        self.channel_binding = channel_binding
        self.registry: Registry[Connection] = Registry()
        self.in_flight = InFlightWindow(limits.max_messages, limits.message_ticks, limits.redrive_s)
        self.dataset = Dataset(max_bytes=limits.dataset_bytes, max_age_s=limits.ring_age_s)
        self.errors: Counter[str] = Counter()
        self.alarms = AlarmBoard()
        self._connections: set[Connection] = set()
        self.tls: ssl.SSLContext | None = None
        self._unauthenticated: Unauthenticated[Connection] = Unauthenticated(
            most=limits.max_strangers, most_of_caller=limits.max_strangers_of_address
        )
        self.broken = asyncio.Event()
        self._halted = False
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._dispatcher = dispatch.Dispatcher(
            reply_to=self.instance, max_messages=limits.max_messages, done=self._published_from_thread
        )
        self._listener = Listener(self.instance, heard=self._heard_from_thread, back=self._back_from_thread)
        self._inspector = Inspector(self.instance, self.registry, self.dataset)
        self._listening: asyncio.Server | None = None
        # Audits have threads of their own: however much clients ask, nobody's login waits for them.
        self._auditors = ThreadPoolExecutor(AUDITORS, thread_name_prefix="audit")
        self._audits = 0  # goes up when the database was away: whoever is connected compares again
        self._database_away = False

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port."""
        self._dispatcher.start()
        self._listener.start()
        self._inspector.start()
        self.tls = tls
        self._listening = await self._loop.create_server(lambda: Connection(self), host, port, backlog=256)
        jobs = (self._look_at_timers(), self._poll_ledger(), self._mirror(), self._look_for_revoked(), self._alarm())
        for job in (*jobs, self._keep_clocks(), self._watch_redis()):
            self._spawn(job, vital=True)
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take nothing more, wait for what is in flight (at most `drain_s`), say so to everybody, and end."""
        self._draining = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.halt(True)
        deadline = time.monotonic() + self.limits.drain_s
        while len(self.in_flight) and time.monotonic() < deadline:  # noqa: ASYNC110 - a short wait at the very end
            await asyncio.sleep(0.05)
        log.info("drained left=%d", len(self.in_flight))
        for connection in list(self._connections):
            if connection.session is not None:
                connection.session.go_away("shutting_down", "the server restarts; everything acknowledged is kept", 0.5)
                connection.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._dispatcher.stop()
        self._listener.stop()
        self._inspector.stop()
        self._auditors.shutdown(wait=False, cancel_futures=True)
        await self._loop.run_in_executor(None, self._dispatcher.join, 2.0)

    def _spawn(self, job: Any, *, vital: bool = False) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._vital_finished if vital else self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background job failed", exc_info=error)

    def _vital_finished(self, task: asyncio.Task[None]) -> None:
        """Without its timers or its ledger a server only looks alive: better it ends and is started again."""
        self._finished(task)
        if not task.cancelled():
            self.broken.set()

    # --- connections ------------------------------------------------------------------------------------------------

    def accepted(self, connection: Connection) -> None:
        """A socket was accepted; who it is is not known. When there are too many of those, an older one has to go."""
        self._connections.add(connection)
        gone = self._unauthenticated.enter(connection, connection.address)
        if gone is not None:
            metrics.TURNED_AWAY.labels("terminal").inc()
            gone.turn_away()
        metrics.UNAUTHENTICATED.labels("terminal").set(len(self._unauthenticated))
        metrics.CONNECTIONS.set(len(self._connections))

    def opened(self, connection: Connection) -> None:
        """A socket can be spoken to."""
        session = connection.session
        if session is None:
            return
        if self._draining:
            session.go_away("shutting_down", "the server restarts", 1.0)
        elif len(self._connections) > self.limits.max_clients + self.limits.max_strangers:
            session.refuse("too_many_connections", "the server has as many connections as it may")

    def closed(self, connection: Connection) -> None:
        """A socket is gone; what it sent stays in flight."""
        connection.halt(False)
        if connection.audit is not None:
            connection.audit.cancel()
        self._connections.discard(connection)
        self._is_known(connection)
        if connection.member is not None:
            self.registry.leave(connection.member)
            if connection.member.admission.client_id not in self.registry.members:
                self.alarms.end("clock_offset", subject=connection.member.admission.name)
            log.info("left client=%s", connection.member.admission.name)
            connection.member = None  # they point to each other: without this the ring waits for the garbage collector
        metrics.CONNECTIONS.set(len(self._connections))

    def _is_known(self, connection: Connection) -> None:
        self._unauthenticated.leave(connection)
        metrics.UNAUTHENTICATED.labels("terminal").set(len(self._unauthenticated))

    def note_error(self, connection: Connection, code: str) -> None:
        """A connection ended for an error."""
        self.errors[code] += 1
        name = connection.member.admission.name if connection.member else "-"
        log.warning("refused code=%s client=%s address=%s", code, name, connection.address)

    # --- what terminals say -----------------------------------------------------------------------------------------

    def handle(self, connection: Connection, event: Event) -> None:
        """An event of a connection's session."""
        if isinstance(event, BatchReceived):
            self._batch(connection, event)
        elif isinstance(event, wire.Heartbeat):
            if connection.member is not None:
                connection.member.clock.add(event.time_us, batch_ledger.now_us())
        elif isinstance(event, wire.Hello):
            clock = ClockOffset()
            clock.add(event.time_us, batch_ledger.now_us())
            self._spawn(self._admit(connection, event, clock))
        elif isinstance(event, wire.Audit) and connection.member is not None:
            connection.audit = self._spawn(self._audit(connection, connection.member, event))

    async def _admit(self, connection: Connection, hello: wire.Hello, clock: ClockOffset) -> None:
        session = connection.session
        if session is None:
            return
        try:
            known = self.registry.numbers.get((hello.client, hello.epoch), 0)
            authenticate = functools.partial(
                authenticator.authenticate, given=known, above=self.registry.greatest_number
            )
            answer = await self._loop.run_in_executor(None, authenticate, hello, session.auth_message(hello))
        except Exception as error:  # noqa: BLE001 - the database is away: the client is asked to come again
            log.warning("login impossible error=%s", type(error).__name__)
            self._database_away = True
            session.refuse("server_busy", "the database does not answer; come again")
            connection.flush()
            return
        if session.state is not State.CHECKING or session.closing:
            return
        if isinstance(answer, authenticator.Refused):
            metrics.AUTH_FAILURES.labels(answer.reason).inc()
            log.warning(
                "login refused client=%.64r reason=%s address=%s", hello.client, answer.reason, connection.address
            )
            session.refuse(answer.code, answer.message)
            connection.flush()
            return
        if len(self.registry.members) >= self.limits.max_clients and answer.client_id not in self.registry.members:
            session.refuse("too_many_connections", "the server has as many clients as it may")
            connection.flush()
            return
        self._welcome(connection, hello, answer, clock)

    def _welcome(
        self, connection: Connection, hello: wire.Hello, admission: authenticator.ClientSession, clock: ClockOffset
    ) -> None:
        session = connection.session
        if session is None:
            return
        stream = self.registry.stream(admission.stream)
        stream.merge(admission.commit, admission.ranges)
        member = Member(
            link=connection,
            admission=admission,
            stream=stream,
            register_market=hello.register_market,
            address=connection.address,
            agent=hello.agent,
            recent=Recent(max_bytes=self.limits.ring_bytes, max_age_s=self.limits.ring_age_s),
            clock=clock,
        )
        connection.member = member  # from here on back-pressure holds for it; what a stranger says is always heard
        self._is_known(connection)
        old = self.registry.join(member)
        if old is not None and old.link.session is not None:
            metrics.SUPERSEDED.inc()
            log.warning("taken over client=%s from=%s by=%s", admission.name, old.address, member.address)
            old.link.session.go_away("superseded", f"the same client logged in again from {member.address}", 30.0)
            old.link.flush()
        session.welcome(
            session=f"{self.instance}/{admission.stream}/{int(member.since * 1000)}",
            proof=admission.proof,
            commit=stream.commit,
            ranges=stream.ranges(),
            credit=self._credit(),
            audit_s=self.limits.audit_s,
        )
        log.info(
            "joined client=%s source=%s address=%s commit=%d",
            admission.name,
            admission.source,
            member.address,
            stream.commit,
        )
        connection.flush()
        self._press(member)

    async def _audit(self, connection: Connection, member: Member[Connection], audit: wire.Audit) -> None:
        name = member.admission.name
        try:
            look = functools.partial(authenticator.audit, given=member.stream.id)
            found = await self._loop.run_in_executor(self._auditors, look, member.admission, audit)
        except Exception as error:  # noqa: BLE001 - the client audits again
            log.warning("audit impossible error=%s", type(error).__name__)
            self._database_away = True
            if connection.session is not None:
                if audit.checksums:  # it waits for the answer before it goes on
                    connection.session.refuse("server_busy", "the database does not answer; come again")
                    connection.flush()
                else:
                    connection.session.leave_unanswered()
            return
        self._database_answers()
        holes = found.missing
        if found.differs and not audit.closing:
            log.error("spool differs from the ledger client=%s first=%d", name, found.differs[0][0])
        lost = [(first, last) for first, last in holes if first <= member.stream.commit]
        if lost:
            log.error("ledger lacks acknowledged batches client=%s ranges=%s", name, lost[:5])
        member.stream.want(holes)
        if connection.session is not None:
            connection.session.missing(holes, found.differs)
            connection.flush()

    def _database_answers(self) -> None:
        """It may be another one than before, which lacks what was acknowledged last."""
        if self._database_away:
            self._database_away = False
            self._audits += 1
            log.warning("the database is back clients=%d", len(self.registry.members))

    def _batch(self, connection: Connection, event: BatchReceived) -> None:
        member = connection.member
        if member is None:
            return
        if not member.stream.id:
            member.held.append(event)
            if len(member.held) == 1:  # what was read with it waits as well, and no more is read
                connection.halt(True)
                self._spawn(self._number(connection, member))
            return
        stream, number = member.stream, batch_number(member.stream.id, event.seq)
        member.batches += 1
        metrics.RECEIVED_BATCHES.inc()
        repeated, waiting = stream.has(event.seq), self.in_flight.by_number.get(number)
        if repeated or waiting is not None:
            metrics.REPEATED_BATCHES.inc()
        if waiting is not None:
            if waiting.payload != event.payload and connection.session is not None:
                connection.session.refuse("bad_seq", f"seq {event.seq} is under way with other content")
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
            since=now,
            offset_us=member.clock.us,
        )
        self.in_flight.add(entry)
        stream.bytes += len(event.payload)
        if not repeated:  # a worker compares a repeated one with the ledger: what differs is kept aside, not lost
            self._remember(member, entry, now)
        self._press(member)
        self._pump()

    async def _number(self, connection: Connection, member: Member[Connection]) -> None:
        """A new spool gets its number with its first batch: who only logs in uses none up."""
        try:
            give = functools.partial(authenticator.open_stream, above=self.registry.greatest_number)
            answer = await self._loop.run_in_executor(None, give, member.admission.client_id, member.admission.epoch)
        except Exception as error:  # noqa: BLE001 - the database is away: the client is asked to come again
            log.warning("no number for a spool error=%s", type(error).__name__)
            answer = authenticator.Refused("server_busy", "the database does not answer; come again", "server_busy")
        held, member.held = member.held, []
        if connection.member is not member or connection.session is None or connection.session.closing:
            return  # the terminal has them and sends them again
        if isinstance(answer, authenticator.Refused):
            log.warning("no number for a spool client=%s reason=%s", member.admission.name, answer.reason)
            connection.session.refuse(answer.code, answer.message)
            connection.flush()
            return
        self.registry.number(member, answer)
        for event in held:
            self._batch(connection, event)
        self._press(member)
        connection.flush()

    def _remember(self, member: Member[Connection], entry: InFlightBatch, now: float) -> None:
        """Keep the newest batches at hand, unopened: what is in them is told to those who ask."""
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
        self.dataset.keep(batch, now=now)
        member.recent.add(batch, now=now)

    # --- to the workers and back ------------------------------------------------------------------------------------

    def _pump(self) -> None:
        if self._dispatcher.idle:
            entries = self.in_flight.next_message(time.monotonic())
            if entries:
                self._dispatcher.give(entries)

    def _published_from_thread(self, entries: list[InFlightBatch], taken: bool) -> None:
        self._loop.call_soon_threadsafe(self._published, entries, taken)

    def _published(self, entries: list[InFlightBatch], taken: bool) -> None:
        self._dispatcher.idle = True
        self.alarms.set("broker_failing", "" if taken else BROKER_FAILING.format(self._dispatcher.error))
        if taken:
            self.in_flight.published(entries, time.monotonic())
        else:
            self.in_flight.unpublished(entries)
        self._pump()

    def _heard_from_thread(self, outcomes: list[notifications.Outcome]) -> None:
        self._loop.call_soon_threadsafe(self._settle, outcomes)

    def _back_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._redis_is_back)

    def _redis_is_back(self) -> None:
        log.warning("redis is back batches=%d", len(self.in_flight))
        self.in_flight.hasten(time.monotonic(), HASTE_S)

    def _settle(self, outcomes: list[notifications.Outcome]) -> None:
        now, credit = time.monotonic(), self._credit()
        members = {member.stream.id: member for member in self.registry.members.values()}
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
                    log.error("worker failed batch=%d error=%s", outcome.batch, outcome.failed)
                continue
            entry = self.in_flight.settle(outcome.batch, now)
            if entry is None:
                continue
            metrics.COMMIT_SECONDS.observe(now - entry.since)
            stream = self.registry.stream(entry.stream)
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
                log.error("storage failing batches=%d error=%s", len(batches), error)
        for member in self.registry.members.values() if self._credit() != credit else touched.values():
            self._ack(member)
        self._press(*touched.values())
        self._pump()

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
            session.ack(commit=stream.commit, ranges=stream.ranges(), credit=self._credit(), now=time.monotonic())
            member.link.flush()

    def _credit(self) -> int:
        """While nothing can be stored, terminals keep what they have in their spools."""
        stalled = self.in_flight.trouble is not None and self.in_flight.trouble.stalled
        return STALLED_CREDIT if stalled else wire.WINDOW_BATCHES

    def _press(self, *changed: Member[Connection]) -> None:
        """Back-pressure: read nobody above the global limit, and not a client above its own, until it has gone down
        by a fifth. `changed` are the clients whose batches came or were committed."""
        metrics.INFLIGHT_BYTES.set(self.in_flight.bytes)
        limit, was_halted = self.limits.inflight_bytes, self._halted
        if self.in_flight.bytes > limit:
            self._halted = True
        elif self.in_flight.bytes < limit * RESUME_AT:
            self._halted = False
        if self._draining:
            return
        for member in changed if self._halted == was_halted else self.registry.members.values():
            of_client = member.stream.bytes
            keep = member.link.halted and of_client > self.limits.client_bytes * RESUME_AT
            member.link.halt(self._halted or bool(member.held) or of_client > self.limits.client_bytes or keep)

    # --- once in a while --------------------------------------------------------------------------------------------

    async def _look_at_timers(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now, time_us = time.monotonic(), time.time_ns() // 1000
            for connection in list(self._connections):
                connection.tick(now, time_us, self._audits)
            self._pump()

    async def _poll_ledger(self) -> None:
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
                self._database_answers()
                depth = await self._loop.run_in_executor(None, dispatch.queue_depth)
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn asks again
                log.warning("ledger does not answer error=%s", type(error).__name__)
                self._database_away = True
                continue
            self._settle(outcomes)
            if depth is not None and depth < self.limits.max_messages:  # else they are only waiting for a worker
                late = self.in_flight.overdue(time.monotonic())
                if late:
                    metrics.REDRIVEN.inc(sum(entry.publishes > 0 for entry in late))
                    log.warning("driven again batches=%d", len(late))
                    self._pump()

    async def _look_for_revoked(self) -> None:
        """End the sessions of clients that were switched off in the admin."""
        while True:
            await asyncio.sleep(REVOKE_S)
            clients = list(self.registry.members)
            if not clients:
                continue
            try:
                gone = await self._loop.run_in_executor(None, authenticator.revoked, clients)
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn asks again
                log.warning("rights unknown error=%s", type(error).__name__)
                self._database_away = True
                continue
            self._database_answers()
            for client_id in gone:
                member = self.registry.members.get(client_id)
                if member is not None and member.link.session is not None:
                    member.link.session.refuse("not_authorised", "this client may no longer send")
                    member.link.flush()

    async def _alarm(self) -> None:
        """Say what is wrong as alarms, and take them back; what the database does not take now is tried again."""
        while True:
            await asyncio.sleep(ALARM_S)
            trouble = self.in_flight.trouble
            metrics.STORAGE_FAILING.set(trouble is not None)
            if trouble is not None:
                self.alarms.set("storage_failing", STORAGE_FAILING.format(trouble.error, len(self.in_flight)))
            elif self.in_flight.has_settled:
                self.alarms.set("storage_failing", "")
            self._watch_clocks()
            if self.alarms.pending(time.monotonic()):
                await self._loop.run_in_executor(None, self.alarms.write, time.monotonic())

    def _watch_clocks(self) -> None:
        """Terminals whose clock is far from ours: their events would be refused, or ours is wrong."""
        limit_us, far, known = int(self.limits.clock_offset_s * 1e6), 0, 0
        for member in self.registry.members.values():
            offset_us = member.clock.us
            if offset_us is None:
                continue
            known, name = known + 1, member.admission.name
            metrics.CLOCK_OFFSET.labels(name).set(offset_us / 1e6)
            far += abs(offset_us) > limit_us
            words = CLOCK_OFFSET.format(abs(offset_us) / 1e6, "ahead of" if offset_us > 0 else "behind")
            self.alarms.set("clock_offset", words if abs(offset_us) > limit_us else "", subject=name)
        everybody = known >= SEVERAL and far == known
        self.alarms.set("server_clock", SERVER_CLOCK.format(known) if everybody else "", subject=self.host)

    async def _keep_clocks(self) -> None:
        """Write the measured offsets where requeue and the admin find them."""
        kept: dict[int, int] = {}
        while True:
            await asyncio.sleep(CLOCKS_S)
            now = {number: one.clock.us for number, one in self.registry.members.items() if one.clock.us is not None}
            changed = {number: us for number, us in now.items() if abs(us - kept.get(number, 2**62)) > CLOCK_STEP_US}
            try:
                await self._loop.run_in_executor(None, authenticator.keep_offsets, changed)
                kept = kept | changed
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn writes them
                log.debug("offsets not kept error=%s", type(error).__name__)

    async def _mirror(self) -> None:
        """Show the registry to the admin and the dashboard, and let old rows go."""
        while True:
            await asyncio.sleep(1.0)
            now = time.time()
            for member in self.registry.members.values():
                member.measure(now)
                member.recent.expire(now=time.monotonic())
            self.dataset.expire(now=time.monotonic())
            metrics.RING_BYTES.set(sum(member.recent.nbytes for member in self.registry.members.values()))
            metrics.DATASET_BYTES.set(self.dataset.nbytes)
            try:
                await self._loop.run_in_executor(None, live_state.show_ingest, self.instance, self.describe())
            except Exception as error:  # noqa: BLE001 - a mirror that is missing for a moment harms nothing
                log.debug("mirror failed error=%s", type(error).__name__)

    async def _watch_redis(self) -> None:
        """A Redis that is away, full or slow is an alarm; its own tasks could not say so."""
        watches = redis_health.watches()
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._loop.run_in_executor(None, authenticator.watch_redis, watches)
            except Exception as error:  # noqa: BLE001 - the database is away: a later look tells it
                log.warning("state of redis cannot be told error=%s", type(error).__name__)

    def describe(self) -> dict[str, Any]:
        """The state of this server, for people."""
        median, slow = self.in_flight.latency_s()
        return {
            "instance": self.instance,
            "time": round(time.time(), 3),
            "connections": len(self._connections),
            "inflight_batches": len(self.in_flight),
            "inflight_bytes": self.in_flight.bytes,
            "waiting_batches": self.in_flight.waiting,
            "messages": self.in_flight.messages,
            "paused": self._halted,
            "commit_ms_p50": round(median * 1e3, 2),
            "commit_ms_p99": round(slow * 1e3, 2),
            "dataset_rows": len(self.dataset),
            "dataset_bytes": self.dataset.nbytes,
            "errors": dict(self.errors),
            "alarms": self.alarms.active(),
            "clients": [member.describe() for member in self.registry.members.values()],
        }
