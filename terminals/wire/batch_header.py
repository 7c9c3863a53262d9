"""What every batch begins with: its number, its encoding, its feed. And what two batches are compared by."""

import re
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from terminals.wire import limits
from terminals.wire.answer_codes import BatchCode

Buffer = bytes | bytearray | memoryview

_HEADER = struct.Struct("<QBBHIq8s")
_FEED = re.compile(rb"[a-z0-9_]{1,16}")
_NO_RESERVE = bytes(8)


class Encoding(IntEnum):
    """How the body of a batch is written. `OLDEST_ENCODING` and those below it are read by every version."""

    COLUMNS = 1
    ROWS = 2
    GAP = 3
    BOOKS = 4
    EVENTS = 5


_ENCODINGS = {int(one): one for one in Encoding}


class BatchError(Exception):
    """A batch whose structure is wrong: `bad_batch_header`, `bad_batch` or `too_many_rows`."""

    def __init__(self, code: BatchCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code: BatchCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """What every batch says of itself. `body_offset` is where the body starts in the payload (a multiple of 8)."""

    seq: int
    encoding: Encoding
    feed: str
    rows: int
    captured_us: int
    body_offset: int


def reseq(payload: Buffer, seq: int) -> bytes:
    """The same batch under another number."""
    return seq.to_bytes(8, "little") + bytes(payload[8:])


def checksum(payload: Buffer) -> int:
    """What two batches are compared by: CRC-32 of the payload, its length above it. Never 0."""
    return len(payload) << 32 | zlib.crc32(payload)


def parse_header(payload: Buffer) -> BatchHeader:
    """The header of any batch; BatchError `bad_batch_header`."""
    if len(payload) < _HEADER.size:
        raise BatchError("bad_batch_header", f"{len(payload)} bytes, a batch header has {_HEADER.size}")
    seq, encoding, feed_length, reserved, rows, captured_us, reserve = _HEADER.unpack_from(payload)
    if seq == 0 or seq > limits.MAX_SEQ:
        raise BatchError("bad_batch_header", f"seq {seq}, must be 1 to {limits.MAX_SEQ}")
    if encoding not in _ENCODINGS:
        known = ", ".join(f"{one.value} {one.name.lower()}" for one in Encoding)
        raise BatchError("bad_batch_header", f"encoding {encoding}, known are {known}")
    if reserved or reserve != _NO_RESERVE:
        raise BatchError("bad_batch_header", "reserved bytes must be 0")
    body_offset = _HEADER.size + padded(feed_length)
    feed = _feed(bytes(payload[_HEADER.size : body_offset]), feed_length)
    if len(payload) < body_offset or feed is None:
        raise BatchError("bad_batch_header", "feed must be 1 to 16 of a-z, 0-9, _ padded with zeros to 8 bytes")
    return BatchHeader(seq, _ENCODINGS[encoding], feed, rows, captured_us, body_offset)


def pack_header(seq: int, encoding: Encoding, feed: str, rows: int, captured_us: int) -> bytes:
    """The bytes before the body; BatchError if the feed can be none."""
    name = check_feed(feed)
    head = _HEADER.pack(seq, encoding, len(name), 0, rows, captured_us, _NO_RESERVE)
    return head + name.ljust(padded(len(name)), b"\0")


def check_feed(feed: str) -> bytes:
    """A feed as bytes; BatchError if it can be none."""
    name = feed.encode("ascii", "replace")
    if not _FEED.fullmatch(name):
        raise BatchError("bad_batch_header", f"feed {feed!r} must be 1 to 16 of a-z, 0-9, _")
    return name


def check_rows(rows: int, most: int = limits.BATCH_ROWS) -> None:
    """BatchError `too_many_rows` if there are more than `most`."""
    if rows > most:
        raise BatchError("too_many_rows", f"{rows} rows, at most {most} in a batch")


def padded(length: int) -> int:
    """The next multiple of 8."""
    return length + -length % 8


@lru_cache(maxsize=1000)
def _feed(name: bytes, length: int) -> str | None:
    """A feed of a header, padded as it came; None if it cannot be one."""
    feed = name[:length]
    return feed.decode("ascii") if _FEED.fullmatch(feed) and not any(name[length:]) else None
