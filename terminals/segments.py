"""The bytes of one spool file: a head, then records `length | crc32 | seq | payload`. No policy; `spool` has that."""

import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from terminals.wire import limits

_MAGIC = b"NARUSPL1"
_HEAD = struct.Struct("<8s8sQQI4x")
_RECORD = struct.Struct("<IIQ")
_KEY = struct.Struct("<IQ")
_ROWS_AT = 12
HEAD_BYTES = _HEAD.size
RECORD_BYTES = _RECORD.size
SUFFIX = ".seg"


class SpoolDamaged(Exception):
    """Bytes in the spool are not what was written; the checksum says so."""


@dataclass(slots=True)
class Index:
    """Where each record of a segment starts, and how many rows it has."""

    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    rows: "array[int]" = field(default_factory=lambda: array("L"))


@dataclass(slots=True)
class Segment:
    """One file. `rows_before` is the number of rows the epoch's earlier segments took, trimmed ones included."""

    path: Path
    first: int
    rows_before: int
    size: int
    index: Index | None = None


def file_name(first: int) -> str:
    """Names sort as their batch numbers do."""
    return f"{first:010d}{SUFFIX}"


def head(epoch: str, first: int, rows_before: int) -> bytes:
    """The first bytes of a segment."""
    content = _HEAD.pack(_MAGIC, bytes.fromhex(epoch), first, rows_before, 0)
    return _HEAD.pack(_MAGIC, bytes.fromhex(epoch), first, rows_before, zlib.crc32(content[:32]))


def record(seq: int, payload: bytes) -> bytes:
    """One record. The checksum covers length, number and payload."""
    checksum = zlib.crc32(payload, zlib.crc32(_KEY.pack(len(payload), seq)))
    return _RECORD.pack(len(payload), checksum, seq) + payload


def rows_of(payload: bytes | memoryview) -> int:
    """The row count in a batch header, without a look at the rest."""
    return int.from_bytes(payload[_ROWS_AT : _ROWS_AT + 4], "little")


def open_segment(path: Path, epoch: str) -> Segment:
    """A segment by its head alone."""
    with path.open("rb") as file:
        content = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
    if len(content) < HEAD_BYTES:
        raise SpoolDamaged(f"{path}: the head is cut short")
    magic, raw_epoch, first, rows_before, checksum = _HEAD.unpack(content)
    if magic != _MAGIC or zlib.crc32(content[:32]) != checksum:
        raise SpoolDamaged(f"{path}: this is no spool segment, or its head is damaged")
    if raw_epoch.hex() != epoch or path.name != file_name(first):
        raise SpoolDamaged(f"{path}: belongs to another spool (epoch {raw_epoch.hex()}, first batch {first})")
    return Segment(path, first, rows_before, size)


def scan(data: bytes, first: int, *, verify: bool) -> Iterator[tuple[int, int, memoryview]]:
    """(offset, seq, payload) of each record up to the first that cannot be right."""
    view = memoryview(data)
    at, seq = HEAD_BYTES, first
    while at + RECORD_BYTES <= len(data):
        length, checksum, number = _RECORD.unpack_from(data, at)
        end = at + RECORD_BYTES + length
        if number != seq or length > limits.FRAME_BYTES or end > len(data):
            return
        payload = view[at + RECORD_BYTES : end]
        if verify and zlib.crc32(payload, zlib.crc32(_KEY.pack(length, number))) != checksum:
            return
        yield at, seq, payload
        at, seq = end, seq + 1


def build_index(segment: Segment, *, verify: bool) -> tuple[Index, int]:
    """The index of a segment and the offset behind its last good record."""
    index, end = Index(), HEAD_BYTES
    for at, _seq, payload in scan(segment.path.read_bytes(), segment.first, verify=verify):
        index.offsets.append(at)
        index.rows.append(rows_of(payload))
        end = at + RECORD_BYTES + len(payload)
    return index, end


def read_record(segment: Segment, index: Index, seq: int) -> bytes:
    """The payload of one batch; SpoolDamaged if its bytes changed."""
    number = seq - segment.first
    if number >= len(index.offsets):
        raise SpoolDamaged(f"{segment.path}: batch {seq} cannot be found any more")
    with segment.path.open("rb") as file:
        file.seek(index.offsets[number])
        length, checksum, written = _RECORD.unpack(file.read(RECORD_BYTES).ljust(RECORD_BYTES, b"\0"))
        payload = file.read(length) if length <= limits.FRAME_BYTES else b""
    if written != seq or zlib.crc32(payload, zlib.crc32(_KEY.pack(length, written))) != checksum:
        raise SpoolDamaged(f"{segment.path}: batch {seq} has a wrong checksum")
    return payload
