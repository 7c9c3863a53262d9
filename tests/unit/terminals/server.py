"""A server that lives in memory: the other side of `terminals.session`, for tests of the terminal."""

from dataclasses import dataclass, field

from terminals import wire
from terminals.clock import wall_us
from terminals.wire import proof

NONCE = "5a" * 32


@dataclass
class FakeServer:
    """Takes bytes, answers bytes. Commits what it gets unless told otherwise; `refuse` answers HELLO with an ERROR."""

    secret: str
    commits: bool = True
    credit: int = 64
    refuse: str = ""
    proves_itself: bool = True
    committed: int = 0
    binding: str = ""
    size_scale: int | None = wire.SIZE_SCALE
    """The finest it reads; None: it does not say, like a server of before."""
    encoding: int | None = max(wire.Encoding)
    """The latest it reads; None: it does not say."""
    compares: int = 0
    """How many batches it compares by one AUDIT; 0 like a server of before, which compares none."""
    tells_time: bool = False
    """Whether it says what time it is; a server of before does not, and a terminal waits for that for seconds."""
    given_up: set[int] = field(default_factory=set)
    held: dict[int, bytes] = field(default_factory=dict)
    ahead: set[int] = field(default_factory=set)
    got: list[object] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.decoder = wire.FrameDecoder(wire.HELLO_BYTES)

    def challenge(self) -> bytes:
        limits = {"hello_bytes": 4096, "frame_bytes": 1 << 20, "batch_rows": 5000, "window_batches": 64}
        timers = {"hello_s": 5.0, "frame_s": 10.0, "heartbeat_s": 1.0, "dead_s": 15.0}
        self.decoder = wire.FrameDecoder(wire.HELLO_BYTES)
        if self.size_scale is not None:
            limits["size_scale"] = self.size_scale
        if self.encoding is not None:
            limits |= {"encoding": self.encoding, "column": max(wire.Column)}
        return wire.Challenge(NONCE, (1,), {**limits, "window_bytes": 4 << 20}, timers).encode()

    def receive(self, data: bytes) -> bytes:
        self.decoder.feed(data)
        answer = b""
        while (frame := self.decoder.next()) is not None:
            answer += self._batch(frame.payload) if frame.type is wire.FrameType.BATCH else self._control(frame)
        return answer

    def ack(self) -> bytes:
        return wire.Ack(max(self.sequence, default=0), self.committed, self._above(), self.credit).encode()

    def commit(self, seq: int) -> None:
        while self.committed + 1 in self.held and self.committed < seq:
            self.committed += 1

    def _batch(self, payload: bytes) -> bytes:
        seq = wire.parse_header(payload).seq
        self.sequence.append(seq)
        if self.held.setdefault(seq, payload) != payload:
            return wire.Reject(seq, "checksum_mismatch", "other content", 0, {}).encode()
        if self.commits:
            self.commit(seq)
        return self.ack()

    def _control(self, frame: wire.Frame) -> bytes:
        message = wire.decode(frame)
        self.got.append(message)
        if isinstance(message, wire.Audit) and message.checksums:
            return self._compare(message)
        if not isinstance(message, wire.Hello):
            return b""
        if self.refuse:
            return wire.Error(self.refuse, "refused by the test").encode()
        self.decoder.max_payload = wire.FRAME_BYTES
        signed = wire.auth_message(
            server_nonce=NONCE,
            client_nonce=message.nonce,
            client=message.client,
            epoch=message.epoch,
            first=message.first,
            last=message.last,
            source=message.source,
            register_market=message.register_market,
            channel_binding=self.binding,
        )
        verifier = wire.verifier(self.secret)
        if not wire.check_client(verifier.stored_key, signed, message.proof):
            return wire.Error("not_authorised", "not authorised").encode()
        mine = proof.server_proof(verifier.server_key, signed) if self.proves_itself else "00" * 32
        every_s = 15.0 if self.compares else 0.0
        time_us = wall_us() if self.tells_time else 0
        return wire.Welcome(
            mine, "s-1", self.committed, self._above(), self.credit, 1.0, 15.0, self.compares, every_s, time_us
        ).encode()

    def _compare(self, audit: wire.Audit) -> bytes:
        """What a ledger with these batches answers."""
        missing, differs = [], []
        seqs = [seq for first, last in audit.ranges for seq in range(first, last + 1)]
        for seq, checksum in zip(seqs, wire.unpack_checksums(audit.checksums), strict=True):
            if seq not in self.held and audit.closing:
                self.given_up.add(seq)
            if seq in self.given_up or (seq in self.held and checksum not in (0, wire.checksum(self.held[seq]))):
                differs.append((seq, seq))
            elif seq not in self.held:
                missing.append((seq, seq))
        return wire.Missing(missing, differs).encode()

    def _above(self) -> tuple[tuple[int, int], ...]:
        return tuple((seq, seq) for seq in sorted(self.ahead) if seq > self.committed)
