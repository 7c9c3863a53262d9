"""The thread that keeps a session with the server: connects, moves bytes, reconnects with jitter, or gives up."""

import logging
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from terminals import session as sessions
from terminals import session_events
from terminals.backoff import Backoff
from terminals.clock import steady_us
from terminals.connection import Address, CannotConnect, Connection, RefusedByRule
from terminals.retry_policy import RetryPolicy, policy_for
from terminals.wire.traces import trace_id

log = logging.getLogger("naru.uplink")
steps = logging.getLogger("naru.batches")

_SLOW_S: Final = 30.0
_PENDING_BYTES: Final = 256 * 1024


class Uplink:
    """One thread, one socket at a time. `wake` tells it that the spool has something new.

    Of several addresses it stays with the one that welcomed it. When that ends, or does not answer, it goes to the
    next, at once as long as there is one that was not tried since; then by the ordinary back-off, round and round."""

    def __init__(
        self,
        address: Address,
        identity: sessions.Identity,
        batches: sessions.Batches,
        on_event: Callable[[session_events.Event], None],
        *,
        others: Sequence[Address] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """`dropped` says how many rows the terminal has dropped so far."""
        self._dropped = dropped
        self._address, self._identity, self._batches, self._on_event = address, identity, batches, on_event
        self._addresses = (address, *others)
        self._untried = len(others)
        self._clock, self._wall = clock, wall
        self._backoff = Backoff(rng or random.SystemRandom())
        self._stopping = threading.Event()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._was_welcomed = False
        self._told = ""
        self._committed = 0
        self.unacked = 0
        self.read_us: int | None = None
        """When the bytes were read that the event now told came of, by `clock.steady_us`."""
        self.state = "connecting"
        self.failure: session_events.Ended | None = None
        self._thread = threading.Thread(target=self._run, name="naru-uplink", daemon=True)

    def start(self) -> None:
        """Begin connecting."""
        self._thread.start()

    def wake(self) -> None:
        """Something new may be sent."""
        try:
            self._ringer.send(b"\0")
        except BlockingIOError:
            # The bell is ringing already.
            return

    def stop(self, timeout_s: float = 5.0) -> None:
        """Say BYE if there is a session, and end the thread. What is unacked stays in the spool."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if not self._thread.is_alive():
            self._bell.close()
            self._ringer.close()

    def _run(self) -> None:
        try:
            self._stay_connected()
        finally:
            if self.state not in ("refused", "stopped"):
                self._fail(session_events.Ended("uplink_died", "the uplink thread died, its traceback is above"))

    def _stay_connected(self) -> None:
        while not self._stopping.is_set():
            ended = self._once()
            self.unacked = 0
            if self._stopping.is_set():
                break
            self.state = "waiting"
            what = policy_for(ended.code, was_welcomed=self._was_welcomed)
            if what is RetryPolicy.STOP:
                self._fail(ended)
                return
            self._stopping.wait(self._pause(ended, what))
            self._address = self._addresses[(self._addresses.index(self._address) + 1) % len(self._addresses)]
        self.state = "stopped"

    def _pause(self, ended: session_events.Ended, what: RetryPolicy) -> float:
        if self._untried and what is RetryPolicy.RETRY:
            self._untried -= 1
            pause_s = self._backoff.elsewhere()
        else:
            self._untried = len(self._addresses) - 1
            pause_s = self._backoff.failed(max(ended.retry_after_s, _SLOW_S if what is RetryPolicy.SLOW else 0.0))
        # The same trouble is told once, not at each try.
        if ended.code + ended.message != self._told:
            self._told = ended.code + ended.message
            log.warning("disconnected code=%s retry_s=%.1f reason=%r", ended.code, pause_s, ended.message)
        return pause_s

    def _fail(self, ended: session_events.Ended) -> None:
        self.state = "refused"
        self.failure = ended
        log.error("refused code=%s reason=%r", ended.code, ended.message)
        self._on_event(ended)

    def _once(self) -> session_events.Ended:
        self.state = "connecting"
        try:
            connection = Connection(self._address)
        except RefusedByRule as error:
            return session_events.Ended("refused_by_rule", str(error))
        except CannotConnect as error:
            return session_events.Ended("cannot_connect", str(error))
        try:
            return self._converse(connection)
        finally:
            connection.close()

    def _converse(self, connection: Connection) -> session_events.Ended:
        session = sessions.Session(
            self._identity,
            self._batches,
            now=self._clock(),
            time_us=self._time_us(),
            channel_binding=connection.channel_binding,
            dropped=self._dropped,
        )
        pending = memoryview(b"")
        while True:
            if self._stopping.is_set():
                session.goodbye()
            if not pending:
                before = session.sent
                pending = memoryview(session.outgoing(now=self._clock(), max_bytes=_PENDING_BYTES))
                self._tell("batch sent", before, session.sent)
            try:
                sent = connection.send(pending) if pending else 0
            except OSError as error:
                return session_events.Ended("closed", f"the connection broke: {error.strerror or error}")
            pending = pending[sent:]
            self.unacked = session.unacked
            if self._stopping.is_set() and not pending:
                return session_events.Ended("stopped", "stopped by us")
            if not sent:
                self._wait(connection, session, writable=bool(pending))
            # Events first, all of them: an ACK read together with the end of the connection still counts.
            for event in self._read(connection, session):
                if isinstance(event, session_events.Ended):
                    return event
                self._note(event)

    def _read(self, connection: Connection, session: sessions.Session) -> list[session_events.Event]:
        data = connection.receive()
        self.read_us = steady_us()
        if data is not None:
            return session.receive(data, now=self._clock(), time_us=self._time_us())
        return session.tick(now=self._clock(), time_us=self._time_us())

    def _note(self, event: session_events.Event) -> None:
        match event:
            case session_events.Welcomed():
                self._was_welcomed = True
                self._told = ""
                self._backoff.succeeded()
                self._untried = len(self._addresses) - 1
                self.state = "open"
                log.info("welcomed server=%s session=%s committed=%d", self._address, event.session, event.committed)
                self._committed = event.committed
            case session_events.Committed(upto):
                self._tell("batch committed", self._committed, upto)
                self._committed = max(self._committed, upto)
            case session_events.Rejected(reject):
                log.warning(
                    "rejected seq=%d code=%s rows=%d reasons=%s message=%r",
                    reject.seq, reject.code, reject.rows, dict(reject.reasons), reject.message,
                    extra={"traces": (trace_id(self._batches.epoch, reject.seq),)},
                )  # fmt: skip
            case session_events.Renewed(epoch, batches):
                log.error("spool_differs new_epoch=%s batches=%d", epoch, batches)
            case session_events.Resending(ranges):
                log.warning("resending ranges=%s", list(ranges))
            case _:
                pass
        self._on_event(event)

    def _tell(self, what: str, before: int, upto: int) -> None:
        """A line for each batch behind `before`, where each batch's way is logged."""
        if steps.isEnabledFor(logging.DEBUG):
            for seq in range(before + 1, upto + 1):
                steps.debug(what + " seq=%d", seq, extra={"traces": (trace_id(self._batches.epoch, seq),)})

    def _wait(self, connection: Connection, session: sessions.Session, *, writable: bool) -> None:
        timeout_s = max(0.0, min(1.0, session.next_deadline() - self._clock()))
        writers = [connection.socket] if writable or connection.wants_write else []
        readable, _, _ = select.select([connection.socket, self._bell], writers, [], timeout_s)
        if self._bell in readable:
            self._bell.recv(4096)

    def _time_us(self) -> int:
        return int(self._wall() * 1_000_000)
