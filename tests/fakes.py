"""Stand-ins for tests: a clock that goes when it is told, a terminal that says whatever it is told to."""

import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from terminals import wire

T = TypeVar("T", bound=wire.Message)


class FakeClock:
    """Seconds that pass only by `advance`; callable, like time.monotonic."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; the new now."""
        self.now += seconds
        return self.now


class Closed(Exception):
    """The server has closed the connection."""


class FakeTerminal:
    """A terminal's socket without its manners: it keeps the protocol only as far as a test lets it."""

    def __init__(
        self,
        port: int,
        *,
        client: str = "nobody",
        secret: str = "",
        source: str = "REPLAY",
        register_market: str | None = None,
        epoch: str | None = None,
        ca_file: str | None = None,
        binding: str | None = None,
        seconds: float = 180.0,
    ) -> None:
        self.client, self.secret, self.source, self.register_market = client, secret, source, register_market
        self.epoch = epoch or secrets.token_hex(8)
        self.seconds = seconds
        self.acked = 0
        self.seq = 0
        self.rejects: list[wire.Reject] = []
        self.silent = False
        self._is_in = False
        self._ahead_us: int | None = None
        self._decoder = wire.FrameDecoder()
        self._said_at = time.monotonic()
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.binding = ""
        if ca_file is not None:
            context = ssl.create_default_context(cafile=ca_file)
            wrapped = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
            self.binding = wire.certificate_binding(wrapped.getpeercert(binary_form=True) or b"")
            self.socket = wrapped
        if binding is not None:
            self.binding = binding
        try:
            self.challenge = self.expect(wire.Challenge)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go without a word."""
        self.silent = True
        self.socket.close()

    # --- saying -----------------------------------------------------------------------------------------------------

    def hello(self, *, first: int = 1, last: int = 0, **other: Any) -> wire.Hello:
        """A HELLO with the right proof, unless `other` fields say otherwise."""
        nonce = wire.new_nonce()
        signed = wire.auth_message(
            server_nonce=self.challenge.nonce,
            client_nonce=nonce,
            client=self.client,
            epoch=self.epoch,
            first=first,
            last=last,
            source=self.source,
            register_market=self.register_market,
            channel_binding=self.binding,
        )
        fields: dict[str, Any] = {
            "client": self.client,
            "epoch": self.epoch,
            "nonce": nonce,
            "first": first,
            "last": last,
            "source": self.source,
            "register_market": self.register_market,
            "agent": "fake",
            "time_us": 1,
            "proof": wire.client_proof(self.secret or wire.new_secret(), signed),
        }
        return wire.Hello(**{**fields, **other})

    def login(self, **fields: Any) -> wire.Welcome:
        """Say HELLO and be welcomed; numbers go on behind what is committed. Its clock goes on from `time_us`."""
        if "time_us" in fields:
            self._ahead_us = fields["time_us"] - time.time_ns() // 1000
        self.say(self.hello(**fields))
        welcome = self.expect(wire.Welcome)
        self.acked = self.seq = welcome.commit
        return welcome

    def say(self, message: wire.Message) -> None:
        """Send a control message."""
        self.send(message.encode())

    def send(self, data: bytes) -> None:
        """Send bytes as they are; that the server has closed already is for `expect` to find out."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def batch(self, payload: bytes) -> int:
        """Send a batch under its own number; the number."""
        self.seq = wire.parse_header(payload).seq
        self.send(wire.encode(wire.FrameType.BATCH, payload))
        return self.seq

    def rows(self, rows: Sequence[Mapping[str, object]], *, feed: str = "krx") -> int:
        """Send JSON rows as the next batch."""
        return self.batch(wire.encode_rows(self.seq + 1, feed, 1, rows))

    # --- hearing ----------------------------------------------------------------------------------------------------

    def next(self, *, seconds: float | None = None) -> wire.Message:
        """The next message; Closed when the server has closed, TimeoutError when nothing comes."""
        limit = time.monotonic() + (self.seconds if seconds is None else seconds)
        while (frame := self._decoder.next()) is None:
            self.socket.settimeout(max(0.01, limit - time.monotonic()))
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed
            self._decoder.feed(data)
            if time.monotonic() > limit:
                raise TimeoutError
        message = wire.decode(frame)
        if isinstance(message, wire.Welcome):
            self._is_in = True
        elif isinstance(message, wire.Ack):
            self.acked = message.commit
        elif isinstance(message, wire.Reject):
            self.rejects.append(message)
        return message

    def expect(self, kind: type[T], *, such: Callable[[T], bool] = lambda _: True) -> T:
        """The next message of a kind; heartbeats and others before it are let pass, but no ERROR and no end."""
        limit = time.monotonic() + self.seconds
        while time.monotonic() < limit:
            message = self.next(seconds=limit - time.monotonic())
            if isinstance(message, kind) and such(message):
                return message
            if isinstance(message, wire.Error):
                raise AssertionError(f"expected {kind.__name__}, the server said {message}")
            self.stay()
        raise TimeoutError(f"no {kind.__name__}")

    def until_committed(self, seq: int | None = None) -> None:
        """Until everything up to `seq`, by default the last batch sent, is acknowledged."""
        wanted = self.seq if seq is None else seq
        if self.acked < wanted:
            self.expect(wire.Ack, such=lambda ack: ack.commit >= wanted)

    def until_closed(self) -> list[wire.Message]:
        """Everything that is said until the server closes."""
        heard: list[wire.Message] = []
        with contextlib.suppress(Closed):
            while True:
                heard.append(self.next())
        return heard

    def last_words(self) -> tuple[str, str]:
        """(code, message) of the ERROR or GOAWAY with which the server closes."""
        last = self.until_closed()[-1]
        if not isinstance(last, wire.Error | wire.GoAway):
            raise AssertionError(f"the server closed after {last}")
        return last.code, last.message

    def stay(self) -> None:
        """Say now and then that it lives, if it was let in: whoever says nothing for long is taken for dead."""
        if self._is_in and not self.silent and time.monotonic() - self._said_at > wire.HEARTBEAT_S:
            self._said_at = time.monotonic()
            now_us = 1 if self._ahead_us is None else time.time_ns() // 1000 + self._ahead_us
            self.say(wire.Heartbeat(time_us=now_us, last=self.seq))
