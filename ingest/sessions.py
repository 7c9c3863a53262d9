"""Who is connected: sockets come, say who they are, are let in, audited, taken over, and leave. What they send goes to
`ingest.delivery`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import ssl
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis

from ingest import authenticator, notifications
from ingest.alarmboard import AlarmBoard
from ingest.clocks import ClockOffset
from ingest.connection import Connection
from ingest.delivery import Delivery
from ingest.jobs import Jobs
from ingest.limits import Limits
from ingest.outages import Outages
from ingest.recent import Recent
from ingest.registry import Member, Registry
from ingest.session import BatchReceived, Event, State
from marketdata import metrics
from marketdata.ledger import batch_ledger, session_fences
from marketdata.ledger.session_fences import Fence
from marketdata.limits.unauthenticated import Unauthenticated
from marketdata.realtime import live_state
from terminals import wire

log = logging.getLogger(__name__)

T = TypeVar("T")
LOOK_S = 5.0
AUDITORS = 2
ELSEWHERE = "the same client logged in again at another ingest server"


class Sessions:
    """The connections of one ingest server, as their owner (`ingest.connection.Owner`). All methods run on the event
    loop."""

    def __init__(
        self,
        limits: Limits,
        registry: Registry[Connection],
        delivery: Delivery,
        *,
        instance: str,
        channel_binding: str,
        alarms: AlarmBoard,
        jobs: Jobs,
        database: Outages,
        changed: asyncio.Event,
    ) -> None:
        self.limits = limits
        self.channel_binding = channel_binding
        self.tls: ssl.SSLContext | None = None
        self.errors: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self._registry = registry
        self._delivery = delivery
        self._instance = instance
        self._alarms = alarms
        self._jobs = jobs
        self._database = database
        self._changed = changed
        self._holder = f"{instance}/{secrets.token_hex(4)}"  # a name may come again; a process does not
        self._unauthenticated: Unauthenticated[Connection] = Unauthenticated(
            most=limits.max_unauthenticated, most_of_caller=limits.max_unauthenticated_of_address
        )
        self._draining = False
        self._loop = asyncio.get_running_loop()
        # Audits have threads of their own: however much clients ask, nobody's login waits for them.
        self._auditors = ThreadPoolExecutor(AUDITORS, thread_name_prefix="audit")

    # --- life -------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Read nobody any more, and let nobody in."""
        self._draining = True
        for connection in list(self.connections):
            connection.halt(True)

    def dismiss(self) -> None:
        """Tell everybody that the server ends."""
        for connection in list(self.connections):
            if connection.session is not None:
                connection.session.go_away("shutting_down", "the server restarts; everything acknowledged is kept", 0.5)
                connection.flush()

    def stop(self) -> None:
        """Let go of the threads."""
        self._auditors.shutdown(wait=False, cancel_futures=True)

    def tick(self, now: float, time_us: int) -> None:
        """Look at every connection's timers."""
        for connection in list(self.connections):
            connection.tick(now, time_us, self._database.returns)

    # --- connections ------------------------------------------------------------------------------------------------

    def accepted(self, connection: Connection) -> None:
        """A socket was accepted; who it is is not known. When there are too many of those, an older one has to go."""
        self.connections.add(connection)
        gone = self._unauthenticated.enter(connection, connection.address)
        if gone is not None:
            metrics.TURNED_AWAY.labels("terminal").inc()
            gone.turn_away()
        metrics.UNAUTHENTICATED.labels("terminal").set(len(self._unauthenticated))
        metrics.CONNECTIONS.set(len(self.connections))

    def opened(self, connection: Connection) -> None:
        """A socket can be spoken to."""
        session = connection.session
        if session is None:
            return
        if self._draining:
            session.go_away("shutting_down", "the server restarts", 1.0)
        elif len(self.connections) > self.limits.max_clients + self.limits.max_unauthenticated:
            session.refuse("too_many_connections", "the server has as many connections as it may")

    def closed(self, connection: Connection) -> None:
        """A socket is gone; what it sent stays in flight."""
        connection.halt(False)
        if connection.audit is not None:
            connection.audit.cancel()
        self.connections.discard(connection)
        self._is_known(connection)
        if connection.member is not None:
            self._registry.leave(connection.member)
            if connection.member.admission.client_id not in self._registry.members:
                self._alarms.end("clock_offset", subject=connection.member.admission.name)
            log.info("left client=%s", connection.member.admission.name)
            connection.member = None  # they point to each other: without this the ring waits for the garbage collector
        metrics.CONNECTIONS.set(len(self.connections))

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
                connection.member.spooled = max(connection.member.spooled, event.last)
                connection.member.dropped = event.dropped
        elif isinstance(event, wire.Hello):
            clock = ClockOffset()
            clock.add(event.time_us, batch_ledger.now_us())
            self._jobs.spawn(self._admit(connection, event, clock))
        elif isinstance(event, wire.Audit) and connection.member is not None:
            connection.audit = self._jobs.spawn(self._audit(connection, connection.member, event))

    async def _admit(self, connection: Connection, hello: wire.Hello, clock: ClockOffset) -> None:
        session = connection.session
        if session is None:
            return
        known = self._registry.numbers.get((hello.client, hello.epoch), 0)
        authenticate = functools.partial(authenticator.authenticate, given=known, above=self._registry.greatest_number)
        answer = await self._asked(connection, functools.partial(authenticate, hello, session.auth_message(hello)))
        if answer is None:
            return
        if isinstance(answer, authenticator.Refused):
            metrics.AUTH_FAILURES.labels(answer.reason).inc()
            log.warning(
                "login refused client=%.64r reason=%s address=%s", hello.client, answer.reason, connection.address
            )
            session.refuse(answer.code, answer.message)
            connection.flush()
            return
        if len(self._registry.members) >= self.limits.max_clients and answer.client_id not in self._registry.members:
            session.refuse("too_many_connections", "the server has as many clients as it may")
            connection.flush()
            return
        # Last of all: who is not let in takes over from nobody.
        take = functools.partial(authenticator.take_session, answer.client_id, self._holder)
        taken = await self._asked(connection, take)
        if taken is None:
            return
        fence, previous = taken
        if (newer := self._registry.newer(fence)) is not None:
            self._supersede(connection, answer.name, f"the same client logged in again from {newer.address}")
            return
        self._welcome(connection, hello, answer, fence, clock)
        instance, _, _process = previous.rpartition("/")
        if instance and previous != self._holder:
            self._jobs.spawn(self._tell(instance))

    async def _asked(self, connection: Connection, question: Callable[[], T]) -> T | None:
        """The database's answer for who waits to be let in; None if there is none or nobody waits any more."""
        try:
            answer = await self._loop.run_in_executor(None, question)
        except Exception as error:  # noqa: BLE001 - the database is away: the client is asked to come again
            log.warning("login impossible error=%s", type(error).__name__)
            self._database.away()
            if connection.session is not None:
                connection.session.refuse("server_busy", "the database does not answer; come again")
                connection.flush()
            return None
        session = connection.session
        return answer if session is not None and session.state is State.CHECKING and not session.closing else None

    async def _tell(self, instance: str) -> None:
        """Have the server look at once that had the client before; without Redis it finds out by itself."""
        try:
            await self._loop.run_in_executor(
                None, lambda: notifications.sessions_changed(live_state.connection(), instance)
            )
        except redis.RedisError as error:
            log.debug("not told of a session instance=%s error=%s", instance, type(error).__name__)

    def _supersede(self, connection: Connection, name: str, why: str) -> None:
        metrics.SUPERSEDED.inc()
        log.warning("taken over client=%s from=%s: %s", name, connection.address, why)
        if connection.session is not None:
            connection.session.go_away("superseded", why, 30.0)
            connection.flush()

    def _welcome(
        self,
        connection: Connection,
        hello: wire.Hello,
        admission: authenticator.ClientSession,
        fence: Fence,
        clock: ClockOffset,
    ) -> None:
        session = connection.session
        if session is None:
            return
        stream = self._registry.stream(admission.stream)
        stream.merge(admission.commit, admission.ranges)
        member = Member(
            link=connection,
            admission=admission,
            fence=fence,
            stream=stream,
            register_market=hello.register_market,
            address=connection.address,
            agent=hello.agent,
            recent=Recent(max_bytes=self.limits.ring_bytes, max_age_s=self.limits.ring_age_s),
            clock=clock,
            spooled=hello.last,
        )
        connection.member = member  # from here on back-pressure holds for it; what a stranger says is always heard
        self._is_known(connection)
        old = self._registry.join(member)
        if old is not None:
            self._supersede(old.link, admission.name, f"the same client logged in again from {member.address}")
        session.welcome(
            session=f"{self._instance}/{admission.stream}/{int(member.since * 1000)}",
            proof=admission.proof,
            commit=stream.commit,
            ranges=stream.ranges(),
            credit=self._delivery.credit(),
            audit_s=self.limits.audit_s,
            time_us=batch_ledger.now_us(),
        )
        log.info(
            "joined client=%s source=%s address=%s commit=%d",
            admission.name,
            admission.source,
            member.address,
            stream.commit,
        )
        connection.flush()
        self._delivery.press(member)

    async def _audit(self, connection: Connection, member: Member[Connection], audit: wire.Audit) -> None:
        name = member.admission.name
        try:
            look = functools.partial(authenticator.audit, given=member.stream.id)
            found = await self._loop.run_in_executor(self._auditors, look, member.admission, audit, member.fence)
        except session_fences.SupersededError:
            self._supersede(connection, name, ELSEWHERE)
            return
        except Exception as error:  # noqa: BLE001 - the client audits again
            log.warning("audit impossible error=%s", type(error).__name__)
            self._database.away()
            if connection.session is not None:
                if audit.checksums:  # it waits for the answer before it goes on
                    connection.session.refuse("server_busy", "the database does not answer; come again")
                    connection.flush()
                else:
                    connection.session.leave_unanswered()
            return
        self._database.answers()
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

    def _batch(self, connection: Connection, event: BatchReceived) -> None:
        member = connection.member
        if member is None:
            return
        member.spooled = max(member.spooled, event.seq)
        if not member.stream.id:
            member.held.append(event)
            if len(member.held) == 1:  # what was read with it waits as well, and no more is read
                connection.halt(True)
                self._jobs.spawn(self._number(connection, member))
            return
        self._delivery.take(member, event)

    async def _number(self, connection: Connection, member: Member[Connection]) -> None:
        """A new spool gets its number with its first batch: who only logs in uses none up."""
        try:
            give = functools.partial(authenticator.open_stream, above=self._registry.greatest_number)
            answer = await self._loop.run_in_executor(None, give, member.fence, member.admission.epoch)
        except Exception as error:  # noqa: BLE001 - the database is away: the client is asked to come again
            log.warning("no number for a spool error=%s", type(error).__name__)
            answer = authenticator.Refused("server_busy", "the database does not answer; come again", "server_busy")
        held, member.held = member.held, []
        if connection.member is not member or connection.session is None or connection.session.closing:
            return  # the terminal has them and sends them again
        if isinstance(answer, authenticator.Refused):
            if answer.reason == "superseded":
                self._supersede(connection, member.admission.name, ELSEWHERE)
                return
            log.warning("no number for a spool client=%s reason=%s", member.admission.name, answer.reason)
            connection.session.refuse(answer.code, answer.message)
            connection.flush()
            return
        self._registry.number(member, answer)
        for event in held:
            self._batch(connection, event)
        self._delivery.press(member)
        connection.flush()

    # --- once in a while --------------------------------------------------------------------------------------------

    async def look_for_ended(self) -> None:
        """End the sessions of clients that were switched off in the admin, or logged in at another server since."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LOOK_S)
            self._changed.clear()
            members = dict(self._registry.members)
            if not members:
                continue
            fences = [member.fence for member in members.values()]
            try:
                revoked, superseded = await self._loop.run_in_executor(None, authenticator.ended, fences)
            except Exception as error:  # noqa: BLE001 - the database is away; the next turn asks again
                log.warning("rights unknown error=%s", type(error).__name__)
                self._database.away()
                continue
            self._database.answers()
            for client_id in revoked:
                member = self._registry.members.get(client_id)
                if member is not None and member.link.session is not None:
                    member.link.session.refuse("not_authorised", "this client may no longer send")
                    member.link.flush()
            for client_id in superseded:
                member = members[client_id]
                if self._registry.members.get(client_id) is member:  # not who has come since
                    self._supersede(member.link, member.admission.name, ELSEWHERE)
