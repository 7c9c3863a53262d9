"""The server's half of a terminal's connection as a state machine: bytes and times in, events and bytes to send out.

No sockets, clocks or databases; `docs/protocol.md` tells the rules it keeps.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from terminals import wire


class State(enum.Enum):
    """Where a connection stands."""

    UNAUTHENTICATED = "unauthenticated"  # has not said HELLO
    CHECKING = "checking"  # the server is looking up who it is
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class BatchReceived:
    """A batch frame whose header is readable. `seq` was checked against the session's order."""

    seq: int
    rows: int
    payload: bytes


Event = wire.Hello | BatchReceived | wire.Audit | wire.Heartbeat | wire.Bye


class Session:
    """One connection. `receive` gives events; whatever is to be sent gathers in `outgoing`; `closing` says: send that,
    then close."""

    def __init__(self, *, now: float, channel_binding: str = "") -> None:
        self.nonce = wire.new_nonce()
        self.channel_binding = channel_binding
        self.state = State.UNAUTHENTICATED
        self.closing = False
        self.error: str | None = None
        self.last: int | None = None  # last seq taken in this session
        self.outgoing = bytearray()
        self._decoder = wire.FrameDecoder(wire.HELLO_BYTES)
        self._opened_at = self._received_at = self._sent_at = self._clock_sent_at = now
        self._frame_since: float | None = None
        self._resumes_at = 1
        self._auditing = False
        self._say(
            wire.Challenge(
                nonce=self.nonce,
                protocol=[wire.PROTOCOL],
                limits={
                    "hello_bytes": wire.HELLO_BYTES,
                    "frame_bytes": wire.FRAME_BYTES,
                    "batch_rows": wire.BATCH_ROWS,
                    "window_batches": wire.WINDOW_BATCHES,
                    "window_bytes": wire.WINDOW_BYTES,
                    "size_scale": wire.SIZE_SCALE,
                    "encoding": max(wire.Encoding),
                    "column": max(wire.Column),
                },
                timers={
                    "hello_s": wire.HELLO_S,
                    "frame_s": wire.FRAME_S,
                    "heartbeat_s": wire.HEARTBEAT_S,
                    "dead_s": wire.DEAD_S,
                },
            )
        )

    # --- bytes in -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes as they came. After an error the rest is ignored and `closing` is set."""
        if self.closing or self.state is State.CLOSED:
            return []
        self._received_at = now
        events: list[Event] = []
        try:
            self._decoder.feed(data)
            self._take_frames(events)
        except wire.FramingError as error:
            self.refuse(error.code, error.message)
        except (wire.MessageError, wire.BatchError) as error:
            self.refuse("bad_batch_header" if isinstance(error, wire.BatchError) else error.code, error.message)
        except _Refusal as refusal:
            self.refuse(refusal.code, refusal.message)
        self._frame_since = (
            (self._frame_since if self._frame_since is not None else now) if self._decoder.partial else None
        )
        return events

    def _take_frames(self, events: list[Event]) -> None:
        while not self.closing and (frame := self._decoder.next()) is not None:
            self._frame_since = None
            if frame.type is wire.FrameType.BATCH:
                if self.state is not State.OPEN:
                    raise _Refusal("unexpected_frame", "a BATCH before WELCOME")
                events.append(self._batch(frame.payload))
            else:
                event = self._control(wire.decode(frame))
                if event is not None:
                    events.append(event)

    def _batch(self, payload: bytes) -> BatchReceived:
        header = wire.parse_header(payload)
        if not 1 <= header.seq <= wire.MAX_SEQ:
            raise _Refusal("bad_seq", f"seq {header.seq} is none of 1 to {wire.MAX_SEQ}")
        expected = max(self._resumes_at, (self.last or 0) + 1)
        if header.seq > expected:
            raise _Refusal("bad_seq", f"seq {header.seq} came where at most {expected} was expected")
        self.last = max(header.seq, self.last or 0)
        return BatchReceived(header.seq, header.rows, payload)

    def _control(self, message: wire.Message) -> Event | None:
        if isinstance(message, wire.Hello) and self.state is State.UNAUTHENTICATED:
            self.state = State.CHECKING
            return message
        if isinstance(message, wire.Bye):
            self.closing = True
            return message
        if self.state is State.OPEN:
            if isinstance(message, wire.Heartbeat):
                return message
            if isinstance(message, wire.Audit):
                if self._auditing:  # each costs questions to the database, so nobody may queue them
                    raise _Refusal("unexpected_frame", "an AUDIT before the one before it was answered")
                _check_audit(message)
                self._auditing = True
                return message
        raise _Refusal("unexpected_frame", f"{message.type.name} does not belong here")

    # --- what the server answers ------------------------------------------------------------------------------------

    def auth_message(self, hello: wire.Hello) -> bytes:
        """What the client's proof must sign."""
        return wire.auth_message(
            server_nonce=self.nonce,
            client_nonce=hello.nonce,
            client=hello.client,
            epoch=hello.epoch,
            first=hello.first,
            last=hello.last,
            source=hello.source,
            register_market=hello.register_market,
            channel_binding=self.channel_binding,
        )

    def welcome(
        self,
        *,
        session: str,
        proof: str,
        commit: int,
        ranges: list[tuple[int, int]],
        credit: int,
        audit_s: float = wire.AUDIT_S,
        time_us: int = 0,
    ) -> None:
        """The client is known: from now on it may send batches from `commit + 1` (or earlier ones again). `time_us`
        is the wall clock."""
        self.state = State.OPEN
        self._decoder.max_payload = wire.FRAME_BYTES
        self._resumes_at = commit + 1
        self._say(
            wire.Welcome(
                proof=proof,
                session=session,
                commit=commit,
                ranges=ranges,
                credit=credit,
                heartbeat_s=wire.HEARTBEAT_S,
                dead_s=wire.DEAD_S,
                audit_batches=wire.AUDIT_BATCHES,
                audit_s=audit_s,
                time_us=time_us,
            )
        )

    def ack(self, *, commit: int, ranges: list[tuple[int, int]], credit: int, now: float) -> None:
        """Tell how far everything is committed."""
        if self.state is State.OPEN and not self.closing:
            self._sent_at = now
            self._say(wire.Ack(recv=self.last or commit, commit=commit, ranges=ranges, credit=credit))

    def reject(
        self, *, seq: int, code: wire.RejectCode | wire.BatchCode, message: str, rows: int, reasons: dict[str, int]
    ) -> None:
        """Tell that rows of a batch, or all of it, were refused and kept aside."""
        if self.state is State.OPEN and not self.closing:
            self._say(wire.Reject(seq=seq, code=code, message=message[:1000], rows=rows, reasons=reasons))

    def missing(self, ranges: Sequence[tuple[int, int]], differs: Sequence[tuple[int, int]] = ()) -> None:
        """Answer an AUDIT."""
        self._auditing = False
        if self.state is State.OPEN and not self.closing:
            self._say(wire.Missing(ranges=ranges, differs=differs))

    def leave_unanswered(self) -> None:
        """There is no answer to an AUDIT; the client may ask again."""
        self._auditing = False

    def go_away(self, code: wire.GoAwayCode, message: str, retry_after_s: float) -> None:
        """End the session without blame."""
        if not self.closing:
            self._say(wire.GoAway(code=code, message=message, retry_after_s=retry_after_s))
            self.closing = True

    def refuse(self, code: wire.ErrorCode, message: str) -> None:
        """End the connection for an error."""
        if not self.closing:
            self.error = code
            self.closing = True
            self._say(wire.Error(code=code, message=message[:1000]))

    def tick(self, now: float, time_us: int, audit: int = 0) -> None:
        """Look at the timers; call it about twice a second. `time_us` is the wall clock, for the heartbeat; `audit`
        changes when clients are to compare again what they keep."""
        if self.closing or self.state is State.CLOSED:
            return
        if self.state is State.UNAUTHENTICATED and now - self._opened_at > wire.HELLO_S:
            self.refuse("hello_timeout", f"no HELLO within {wire.HELLO_S:g} s")
        elif self._frame_since is not None and now - self._frame_since > wire.FRAME_S:
            self.refuse("frame_timeout", f"a frame was begun and not finished within {wire.FRAME_S:g} s")
        elif now - self._received_at > wire.DEAD_S:
            self.refuse("idle_timeout", f"nothing was heard for {wire.DEAD_S:g} s")
        elif self.state is State.OPEN and (
            now - self._sent_at >= wire.HEARTBEAT_S or now - self._clock_sent_at >= wire.CLOCK_S
        ):
            self._sent_at = self._clock_sent_at = now
            self._say(wire.Heartbeat(time_us=time_us, last=self.last or 0, audit=audit))

    def paused(self, now: float) -> None:
        """The server itself is not reading: silence is not the client's fault."""
        self._received_at = now
        if self._frame_since is not None:
            self._frame_since = now

    def _say(self, message: wire.Message) -> None:
        self.outgoing += message.encode()


def _check_audit(audit: wire.Audit) -> None:
    if audit.checksums:
        asked, given = (
            sum(last - first + 1 for first, last in audit.ranges),
            len(wire.unpack_checksums(audit.checksums)),
        )
        if asked != given or asked > wire.AUDIT_BATCHES:
            message = f"AUDIT has {given} checksums for {asked} batches; at most {wire.AUDIT_BATCHES} at a time"
            raise _Refusal("bad_message", message)
    elif audit.closing:
        raise _Refusal("bad_message", "AUDIT that closes an epoch must have checksums")


class _Refusal(Exception):
    def __init__(self, code: wire.ErrorCode, message: str) -> None:
        self.code: wire.ErrorCode = code
        self.message = message
