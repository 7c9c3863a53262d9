"""Frames: a 12-byte header, a payload, and a checksum over both. Bytes in, frames out; no sockets and no clock."""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from terminals.wire import limits
from terminals.wire.answer_codes import ErrorCode

_HEADER = struct.Struct("<IBBHI")
_CHECKED_HEAD = struct.Struct("<IBBH")


class FrameType(IntEnum):
    """What a frame says. All but BATCH carry one JSON object."""

    CHALLENGE = 1
    HELLO = 2
    WELCOME = 3
    BATCH = 4
    ACK = 5
    REJECT = 6
    HEARTBEAT = 7
    AUDIT = 8
    MISSING = 9
    GOAWAY = 10
    BYE = 11
    ERROR = 12


_TYPES = {int(one): one for one in FrameType}


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame whose checksum was right."""

    type: FrameType
    payload: bytes


class FramingError(Exception):
    """These bytes cannot be a frame; the stream cannot be resynchronised, so the connection ends."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: ErrorCode = code
        self.message = message


def encode(type: FrameType, payload: bytes) -> bytes:
    """The bytes of one frame. FramingError if the payload is too long."""
    if len(payload) > limits.FRAME_BYTES:
        raise FramingError("frame_too_long", f"payload of {len(payload)} bytes, at most {limits.FRAME_BYTES}")
    head = _CHECKED_HEAD.pack(len(payload), limits.PROTOCOL, type, 0)
    checksum = zlib.crc32(payload, zlib.crc32(head))
    return b"".join((head, checksum.to_bytes(4, "little"), payload))


class FrameDecoder:
    """Cuts a byte stream into frames. After the first error it is finished: it holds nothing and raises again."""

    def __init__(self, max_payload: int = limits.FRAME_BYTES) -> None:
        self.max_payload = max_payload
        self._buffer = bytearray()
        self._error: FramingError | None = None

    @property
    def buffered(self) -> int:
        """Bytes held that were not yet given out as a frame."""
        return len(self._buffer)

    @property
    def partial(self) -> bool:
        """Whether bytes of an unfinished frame are waiting; meaningful once `next` has answered None."""
        return bool(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes as they came. A length that is too long is noticed here, before its payload is kept."""
        if self._error is not None:
            return
        self._buffer += data
        self._check_head()

    def next(self) -> Frame | None:
        """The next whole frame, or None while it is not all there. FramingError if the bytes are no frame."""
        self._check_head()
        if self._error is not None:
            raise FramingError(self._error.code, self._error.message)
        buffer = self._buffer
        if len(buffer) < limits.HEADER_BYTES:
            return None
        length, _version, kind, _flags, checksum = _HEADER.unpack_from(buffer)
        end = limits.HEADER_BYTES + length
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            payload = bytes(view[limits.HEADER_BYTES : end])
            actual = zlib.crc32(payload, zlib.crc32(view[:8]))
        if actual != checksum:
            self._fail("bad_crc", f"checksum {actual:08x} of the bytes received, {checksum:08x} announced")
            return self.next()
        # Deleting at the front of a bytearray moves an offset, not the bytes: many frames in one feed stay linear.
        del buffer[:end]
        return Frame(_TYPES[kind], payload)

    def _check_head(self) -> None:
        buffer = self._buffer
        if self._error is not None or len(buffer) < 4:
            return
        length = int.from_bytes(buffer[:4], "little")
        if length > self.max_payload:
            self._fail("frame_too_long", f"payload of {length} bytes announced, at most {self.max_payload} now")
        elif len(buffer) >= 8:
            if buffer[4] != limits.PROTOCOL:
                self._fail("unknown_version", f"version {buffer[4]}, known is {limits.PROTOCOL}")
            elif buffer[5] not in _TYPES:
                self._fail("unknown_type", f"frame type {buffer[5]}")
            elif buffer[6] or buffer[7]:
                self._fail("unknown_flags", f"flags {buffer[6] | buffer[7] << 8:#06x}, must be 0")

    def _fail(self, code: ErrorCode, message: str) -> None:
        self._error = FramingError(code, message)
        self._buffer = bytearray()
