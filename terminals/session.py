"""One session with the server as a state machine: bytes and times in, bytes and events out. No sockets, no clock."""

import itertools
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from terminals.audits import Audits
from terminals.session_events import Committed, Ended, Event, Rejected, Renewed, Resending, ServerClock, Welcomed
from terminals.spool_state import SpoolFull
from terminals.wire import frames, limits, messages, pack_checksums, proof
from terminals.wire.versions import Readable

AGENT: Final = f"naru-terminal/1 python/{platform.python_version()}"
HANDSHAKE_S: Final = 10.0
LACKING_S: Final = 1.0
"""When what the ledger lacked is compared again."""


@dataclass(frozen=True)
class Identity:
    """Who the terminal says it is. The secret is never shown."""

    client: str
    secret: str
    source: str
    register_market: str | None = None
    agent: str = AGENT

    def __repr__(self) -> str:
        return f"Identity(client={self.client!r}, source={self.source!r})"


class Batches(Protocol):
    """What a session needs of a spool. Only batches up to `durable` may be sent."""

    @property
    def epoch(self) -> str: ...

    @property
    def first(self) -> int: ...

    @property
    def durable(self) -> int: ...

    @property
    def committed(self) -> int: ...

    def get(self, seq: int) -> bytes: ...

    @property
    def confirmed(self) -> int: ...

    @property
    def pressed(self) -> bool: ...

    def rows(self, first: int, last: int) -> int: ...

    def checksum(self, seq: int) -> int: ...

    def piece(self, first: int, last: int, most: int) -> int: ...

    def confirm(self, first: int, last: int) -> None: ...

    def doubt(self, seq: int) -> None: ...

    def renew(self, taken: Iterable[tuple[int, int]], upto: int) -> None: ...

    def resume(self, committed: int) -> None: ...

    def commit(self, upto: int) -> None: ...


class Session:
    """From the CHALLENGE to the end of one connection. `now` is any clock that only goes forward, in seconds."""

    def __init__(
        self,
        identity: Identity,
        batches: Batches,
        *,
        now: float,
        time_us: int,
        channel_binding: str = "",
        dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """`dropped` says how many rows the terminal has dropped so far."""
        self._dropped = dropped
        self._identity, self._batches, self._binding = identity, batches, channel_binding
        self._decoder = frames.FrameDecoder(limits.FRAME_BYTES)
        self._out = bytearray()
        self._events: list[Event] = []
        self._state = "challenge"
        self._nonce = proof.new_nonce()
        self._auth = b""
        self._received_at = self._sent_at = self._began_at = self._clock_sent_at = now
        self._time_us = time_us
        self._heartbeat_s, self._dead_s = limits.HEARTBEAT_S, limits.DEAD_S
        self._window_batches, self._window_bytes = limits.WINDOW_BATCHES, limits.WINDOW_BYTES
        self._readable_there = Readable()
        self._credit = 0
        self._next = 0
        self._hello = (1, 0)
        self._in_flight: dict[int, int] = {}
        self._in_flight_bytes = 0
        self._resend: Iterator[int] = iter(())
        self._resend_next: int | None = None
        self._audits: Audits | None = None  # of a server that compares
        self._audit_s, self._audit_at = limits.AUDIT_S, float("inf")
        self._commit = 0  # what the server says; counts as committed when it was compared
        self._generation: int | None = None
        self._lacking = 0  # the lowest batch the ledger turned out not to have

    @property
    def is_open(self) -> bool:
        """Whether batches may flow."""
        return self._state == "open"

    @property
    def ended(self) -> bool:
        """Whether the connection has to be closed."""
        return self._state == "ended"

    @property
    def sent(self) -> int:
        """The last batch that was sent; what is sent again is not counted."""
        return self._next - 1

    @property
    def unacked(self) -> int:
        """Batches sent in this session and not yet committed."""
        return len(self._in_flight)

    def receive(self, data: bytes, *, now: float, time_us: int) -> list[Event]:
        """Bytes from the server; empty bytes mean that it has closed."""
        self._time_us = time_us
        if not data:
            self._end("closed", "the server closed the connection")
        else:
            self._received_at = now
            self._decoder.feed(data)
        try:
            while not self.ended and (frame := self._decoder.next()) is not None:
                self._handle(messages.decode(frame))
        except (frames.FramingError, messages.MessageError) as error:
            self._end("bad_server_frame", f"the server sent what is no frame of ours: {error}")
        return self._take_events()

    def tick(self, *, now: float, time_us: int) -> list[Event]:
        """Let time pass: the deadline of the handshake, silence of the server, our own heartbeat."""
        self._time_us = time_us
        if self.ended:
            return []
        if not self.is_open and now >= self._began_at + HANDSHAKE_S:
            self._end("handshake_timeout", f"no WELCOME within {HANDSHAKE_S:g} s")
        elif self.is_open and now >= self._received_at + self._dead_s:
            self._end("dead_peer", f"nothing heard for {self._dead_s:g} s")
        elif (
            self.is_open
            and not self._out
            and (now >= self._sent_at + self._heartbeat_s or now >= self._clock_sent_at + limits.CLOCK_S)
        ):
            self._clock_sent_at = now
            self._out += messages.Heartbeat(time_us, self._next - 1, dropped=self._dropped()).encode()
        if self._audits is not None and (now >= self._audit_at or (self._batches.pressed and now >= self._received_at)):
            self._audit_at = now + self._audit_s
            self._audits.again(min(self._commit, self._next - 1))
        return self._take_events()

    def next_deadline(self) -> float:
        """When `tick` has to be called at the latest."""
        if not self.is_open:
            return self._began_at + HANDSHAKE_S
        return min(self._sent_at + self._heartbeat_s, self._received_at + self._dead_s, self._audit_at)

    def outgoing(self, *, now: float, max_bytes: int = 256 * 1024) -> bytes:
        """The bytes to write now: control frames, then as many batches as the window and `max_bytes` let through."""
        self._ask()
        while self.is_open and len(self._out) < max_bytes and self._send_one():
            pass
        data = bytes(self._out)
        self._out.clear()
        if data:
            self._sent_at = now
        return data

    def goodbye(self) -> None:
        """Say BYE with the next `outgoing`; what is unacked stays in the spool."""
        if self.is_open:
            self._out += messages.Bye().encode()
            self._state = "leaving"

    def _handle(self, message: messages.Message) -> None:
        match message:
            case messages.Error():
                self._end(message.code, message.message)
            case messages.GoAway():
                self._end(message.code, message.message, message.retry_after_s)
            case messages.Bye():
                self._end("closed", "the server said BYE")
            case messages.Challenge() if self._state == "challenge":
                self._answer(message)
            case messages.Welcome() if self._state == "welcome":
                self._begin(message)
            case messages.Ack() if self._state in ("open", "leaving"):
                self._credit = message.credit
                self._settle(message.commit, message.ranges)
            case messages.Reject() if self._state in ("open", "leaving"):
                self._events.append(Rejected(message))
            case messages.Missing() if self._state in ("open", "leaving"):
                self._take_answer(message)
            case messages.Heartbeat():
                self._events.append(ServerClock(message.time_us))
                if self._generation is None:
                    self._generation = message.audit
                elif message.audit != self._generation and self._audits is not None:
                    self._generation = message.audit
                    self._audits.everything()
            case _:
                self._end("unexpected_frame", f"{message.type.name} while waiting for {self._state}")

    def _answer(self, challenge: messages.Challenge) -> None:
        if limits.PROTOCOL not in challenge.protocol:
            self._end("unknown_version", f"the server speaks {list(challenge.protocol)}, we speak {limits.PROTOCOL}")
            return
        self._window_batches = challenge.limits.get("window_batches", self._window_batches)
        self._window_bytes = challenge.limits.get("window_bytes", self._window_bytes)
        self._readable_there = Readable.of(challenge.limits)
        who, epoch = self._identity, self._batches.epoch
        first, last = self._hello = self._batches.first, self._batches.durable
        self._auth = proof.auth_message(
            server_nonce=challenge.nonce,
            client_nonce=self._nonce,
            client=who.client,
            epoch=epoch,
            first=first,
            last=last,
            source=who.source,
            register_market=who.register_market,
            channel_binding=self._binding,
        )
        mine = proof.client_proof(who.secret, self._auth)
        self._out += messages.Hello(
            client=who.client,
            epoch=epoch,
            nonce=self._nonce,
            first=first,
            last=last,
            source=who.source,
            register_market=who.register_market,
            agent=who.agent,
            time_us=self._time_us,
            proof=mine,
            compares=True,
        ).encode()
        self._state = "welcome"

    def _begin(self, welcome: messages.Welcome) -> None:
        if not proof.check_server(self._identity.secret, self._auth, welcome.proof):
            self._end("server_proof_wrong", "the server does not know this client's key; no batch was sent to it")
            return
        first, last = self._hello
        known = max([welcome.commit, *(end for _start, end in welcome.ranges)])
        compares = welcome.audit_batches > 0
        if known > last and not compares:
            self._end("spool_behind", f"the server has batches up to {known} of this epoch, the spool ends at {last}")
            return
        self._state = "open"
        self._credit = welcome.credit
        self._heartbeat_s, self._dead_s = welcome.heartbeat_s or limits.HEARTBEAT_S, welcome.dead_s or limits.DEAD_S
        self._commit = welcome.commit
        # What the server says is a number. It counts as committed when its content was compared.
        self._batches.resume(min(welcome.commit, self._batches.confirmed) if compares else welcome.commit)
        # Every batch from the first uncommitted one is sent, those in `ranges` too: numbers go up by one.
        self._next = max(welcome.commit + 1, first)
        self._events.append(Welcomed(welcome.session, self._batches.committed))
        if welcome.time_us:
            self._events.append(ServerClock(welcome.time_us))
        if compares:
            self._audits = Audits(self._batches, min(welcome.audit_batches, limits.AUDIT_BATCHES))
            self._audit_s = welcome.audit_s or limits.AUDIT_S
            self._audit_at = self._received_at + self._audit_s
            if known > last:
                self._audits.close()
                self._renew_if_closed(self._audits)
            else:
                self._audits.begin(welcome.commit)
                self._release()
        elif first <= welcome.commit:
            audited = self._batches.rows(first, welcome.commit)
            self._out += messages.Audit(((first, welcome.commit),), audited).encode()

    def _ask(self) -> None:
        """The next piece of a comparison."""
        if self._audits is not None and self.is_open and (piece := self._audits.next_piece()) is not None:
            sums = [self._batches.checksum(seq) for seq in range(piece.first, piece.last + 1)]
            rows = self._batches.rows(piece.first, piece.last)
            self._out += messages.Audit(
                ((piece.first, piece.last),), rows, pack_checksums(sums), piece.closing
            ).encode()

    def _take_answer(self, answer: messages.Missing) -> None:
        if self._audits is None:
            self._queue_missing(answer.ranges)
            if not answer.ranges:
                self._batches.confirm(self._batches.first, self._batches.committed)
            return
        piece = self._audits.answered(answer.ranges, answer.differs)
        if self._audits.closing:
            self._renew_if_closed(self._audits)
            return
        if answer.ranges:
            lacking = min(first for first, _last in answer.ranges)
            self._lacking = min(lacking, self._lacking or lacking)
            self._batches.doubt(lacking)
            self._queue_missing(answer.ranges)
            self._audit_at = min(self._audit_at, self._received_at + LACKING_S)
        elif piece is not None and piece.first <= self._lacking <= piece.last:
            self._lacking = 0
        self._release(compared=piece.last if piece else 0)
        if piece is not None:
            self._batches.confirm(piece.first, piece.last)

    def _release(self, compared: int = 0) -> None:
        """Count as committed what was compared, and what the server said when all of it was."""
        if self._audits is None:
            return
        upto = min(compared, self._commit) if self._audits.held else min(self._commit, self._next - 1)
        if self._lacking:  # it is being sent again; the next comparison sees it there
            upto = min(upto, self._lacking - 1)
        if upto > self._batches.committed:
            self._batches.commit(upto)
            self._events.append(Committed(upto))

    def _renew_if_closed(self, audits: Audits) -> None:
        """The new epoch, when all is known that it has to take over."""
        if not audits.closed:
            return
        try:
            self._batches.renew(self._with_lost(audits.taken, audits.upto), audits.upto)
        except SpoolFull as error:
            self._end("spool_full", f"no room to begin a new epoch: {error}", 5.0)
            return
        self._events.append(Renewed(self._batches.epoch, self._batches.durable))
        self._end("new_epoch", "the server had other content under this spool's numbers; it goes on in a new epoch")

    def _with_lost(self, taken: list[tuple[int, int]], upto: int) -> list[tuple[int, int]]:
        """A batch whose bytes rotted cannot be compared. Behind the first one that differs it is most likely another
        one than the ledger's, so it goes along, to be told as a gap."""
        start = taken[0][0] if taken else upto + 1
        lost = [seq for seq in range(start, upto + 1) if not self._batches.checksum(seq) and not _within(seq, taken)]
        return sorted([*taken, *((seq, seq) for seq in lost)])

    def _settle(self, commit: int, ranges: messages.Ranges) -> None:
        if commit > max(self._next - 1, self._hello[1], self._commit):
            self._end("bad_server_frame", f"ACK of batch {commit}, the last one sent is {self._next - 1}")
            return
        for seq in [seq for seq in self._in_flight if seq <= commit or _within(seq, ranges)]:
            self._in_flight_bytes -= self._in_flight.pop(seq)
        self._commit = max(self._commit, commit)
        if self._audits is not None:
            self._release()
        elif commit > self._batches.committed:
            self._batches.commit(commit)
            self._batches.confirm(self._batches.first, commit)  # by a server that does not compare there is no more
            self._events.append(Committed(commit))

    def _queue_missing(self, ranges: messages.Ranges) -> None:
        first, last = self._batches.first, self._next - 1
        kept = tuple((max(start, first), min(end, last)) for start, end in ranges if end >= first and start <= last)
        if kept:
            self._events.append(Resending(kept))
            # Behind those an earlier answer named: none of them is forgotten for the next.
            more = (seq for start, end in kept for seq in range(start, end + 1))
            self._resend = itertools.chain(self._resend, more)
            if self._resend_next is None:
                self._resend_next = next(self._resend, None)

    def _send_one(self) -> bool:
        if self._audits is not None and self._audits.held:
            return False
        if self._resend_next is not None:
            if not self._has_room():
                return False
            seq, self._resend_next = self._resend_next, next(self._resend, None)
            if seq >= self._batches.first and (payload := self._readable(seq)) is not None:
                # The ledger lacks it although it lies below `commit`: no ACK will name it, so it takes no window.
                self._out += frames.encode(frames.FrameType.BATCH, payload)
            return True
        if self._next > self._batches.durable or not self._has_room():
            return False
        payload = self._readable(self._next)
        if payload is None:
            return False
        self._in_flight[self._next] = len(payload)
        self._in_flight_bytes += len(payload)
        self._out += frames.encode(frames.FrameType.BATCH, payload)
        self._next += 1
        return True

    def _readable(self, seq: int) -> bytes | None:
        """The batch; None, and the end of the session, if this server does not read such a one: it would refuse the
        batch for good."""
        payload = self._batches.get(seq)
        refusal = self._readable_there.refusal(payload)
        if refusal is None:
            return payload
        code, why = refusal
        self._end(code, f"batch {seq} {why}: update the server. The batch stays in the spool")
        return None

    def _has_room(self) -> bool:
        batches = min(self._credit, self._window_batches)
        return len(self._in_flight) < batches and self._in_flight_bytes < self._window_bytes

    def _end(self, code: str, message: str, retry_after_s: float = 0.0) -> None:
        if not self.ended:
            self._state = "ended"
            self._events.append(Ended(code, message, retry_after_s))

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events


def _within(seq: int, ranges: messages.Ranges) -> bool:
    return any(start <= seq <= end for start, end in ranges)
