"""The bytes of one spool file: a head, then records `length | crc32 | seq | payload`. No policy; `spool` has that.

Numbers go up within a file. A number that is left out is a batch whose bytes are lost: rot in the middle of a file
costs the records it hit, and the records behind it are found again by their checksums.
"""

import errno
import re
import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from terminals.wire import checksum, limits

_MAGIC = b"NARUSPL1"
_HEAD = struct.Struct("<8s8sQQI4x")
_RECORD = struct.Struct("<IIQ")
_KEY = struct.Struct("<IQ")
_ROWS_AT = 12
_BLOCK = 4096
# What may be the first 16 bytes of a record: a length of at most 1 MiB, any checksum, a number from 1 to 2^32 - 1.
_CANDIDATE = re.compile(rb"(?=..[\x00-\x10]\x00....(?!\x00{4})....\x00{4})", re.DOTALL)
HEAD_BYTES = _HEAD.size
RECORD_BYTES = _RECORD.size
SUFFIX = ".seg"
LOST: Final = 2**64 - 1
"""The offset of a batch whose bytes are lost."""


class SpoolDamaged(Exception):
    """Bytes in the spool are not what was written; the checksum says so."""


@dataclass(slots=True)
class Index:
    """Where each record of a segment starts (LOST if its bytes are gone), how many rows it has, and the checksum by
    which it is compared (0 if lost)."""

    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    rows: "array[int]" = field(default_factory=lambda: array("L"))
    checksums: "array[int]" = field(default_factory=lambda: array("Q"))
    damage: list[tuple[int, int]] = field(default_factory=list)
    """Stretches [start, end) of the file that hold no record although records follow or a number is missing."""
    end: int = HEAD_BYTES
    """The offset behind the last good record."""

    def add(self, offset: int, payload: bytes | memoryview) -> None:
        """One more record."""
        self.offsets.append(offset)
        self.rows.append(rows_of(payload))
        self.checksums.append(checksum(payload))

    def add_lost(self, rows: int = 0) -> None:
        """One more batch whose bytes are gone."""
        self.offsets.append(LOST)
        self.rows.append(rows)
        self.checksums.append(0)


@dataclass(slots=True)
class Segment:
    """One file. `rows_before` is the number of rows the epoch's earlier segments took, trimmed ones included; None
    while it is unknown because the head is damaged."""

    path: Path
    first: int
    rows_before: int | None
    size: int
    index: Index | None = None


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def file_name(first: int) -> str:
    """Names sort as their batch numbers do."""
    return f"{first:010d}{SUFFIX}"


def files(folder: Path) -> list[Path]:
    """The segment files of a folder, oldest first. What has another name is none of ours."""
    return sorted(path for path in folder.glob("*" + SUFFIX) if re.fullmatch(r"[0-9]{10}", path.stem))


def head(epoch: str, first: int, rows_before: int) -> bytes:
    """The first bytes of a segment."""
    content = _HEAD.pack(_MAGIC, bytes.fromhex(epoch), first, rows_before, 0)
    return _HEAD.pack(_MAGIC, bytes.fromhex(epoch), first, rows_before, zlib.crc32(content[:32]))


def read_head(path: Path) -> tuple[str, int, int] | None:
    """(epoch, first batch, rows before) as a segment's head says, None if the head is damaged or cut short."""
    with path.open("rb") as file:
        content = file.read(HEAD_BYTES)
    if len(content) < HEAD_BYTES:
        return None
    magic, raw_epoch, first, rows_before, checksum = _HEAD.unpack(content)
    if magic != _MAGIC or zlib.crc32(content[:32]) != checksum:
        return None
    return raw_epoch.hex(), first, rows_before


def record(seq: int, payload: bytes) -> bytes:
    """One record. The checksum covers length, number and payload."""
    checksum = zlib.crc32(payload, zlib.crc32(_KEY.pack(len(payload), seq)))
    return _RECORD.pack(len(payload), checksum, seq) + payload


def rows_of(payload: bytes | memoryview) -> int:
    """The row count in a batch header, without a look at the rest."""
    return int.from_bytes(payload[_ROWS_AT : _ROWS_AT + 4], "little")


def open_segment(path: Path, epoch: str) -> Segment:
    """A segment by its head and its name. SpoolDamaged if a whole head says that the file belongs to another spool."""
    size, found = path.stat().st_size, read_head(path)
    if found is None:
        return Segment(path, int(path.stem), None, size)
    if found[0] != epoch or path.name != file_name(found[1]):
        raise SpoolDamaged(f"{path}: belongs to another spool (epoch {found[0]}, first batch {found[1]})")
    return Segment(path, found[1], found[2], size)


def read_bytes(path: Path) -> bytes:
    """A whole file; blocks that the disk cannot read any more come as zeros, so that the others are not lost."""
    try:
        with _opened(path) as file:
            return file.read()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    parts = []
    with _opened(path) as file:
        for at in range(0, path.stat().st_size, _BLOCK):
            try:
                file.seek(at)
                parts.append(file.read(_BLOCK).ljust(_BLOCK, b"\0"))
            except OSError:
                parts.append(bytes(_BLOCK))
    return b"".join(parts)[: path.stat().st_size]


def scan(data: bytes, first: int, last: int = limits.MAX_SEQ) -> Iterator[tuple[int, int, memoryview]]:
    """(offset, seq, payload) of each good record with a number from `first` to `last`, numbers going up. Bytes that
    are no record are passed over up to the next good one."""
    view = memoryview(data)
    at, seq = HEAD_BYTES, first
    while at + RECORD_BYTES <= len(data) and seq <= last:
        if not _is_record(data, view, at, seq, last):
            found = _next_record(data, view, at, seq, last)
            if found is None:
                return
            at = found
        length, _checksum, number = _RECORD.unpack_from(data, at)
        end = at + RECORD_BYTES + length
        yield at, number, view[at + RECORD_BYTES : end]
        at, seq = end, number + 1


def _next_record(data: bytes, view: memoryview, at: int, seq: int, last: int) -> int | None:
    for match in _CANDIDATE.finditer(data, at + 1):
        if _is_record(data, view, match.start(), seq, last):
            return match.start()
    return None


def _is_record(data: bytes, view: memoryview, at: int, seq: int, last: int) -> bool:
    length, checksum, number = _RECORD.unpack_from(data, at)
    end: int = at + RECORD_BYTES + length
    if not seq <= number <= last or length > limits.FRAME_BYTES or end > len(data):
        return False
    return bool(zlib.crc32(view[at + RECORD_BYTES : end], zlib.crc32(_KEY.pack(length, number))) == checksum)


def build_index(segment: Segment, last: int | None) -> Index:
    """The index of a segment. A sealed one holds the batches up to `last`, whichever of them are still there; with
    None it is the one being written to, which ends with its last good record."""
    data = read_bytes(segment.path)
    index = Index()
    for at, seq, payload in scan(data, segment.first, limits.MAX_SEQ if last is None else last):
        if at > index.end:
            index.damage.append((index.end, at))
        _pad(index, seq - segment.first, data)
        index.add(at, payload)
        index.end = at + RECORD_BYTES + len(payload)
    if last is not None and len(index.offsets) < last - segment.first + 1:
        if index.end < len(data):
            index.damage.append((index.end, len(data)))
        _pad(index, last - segment.first + 1, data)
    return index


def _pad(index: Index, count: int, data: bytes) -> None:
    """Note batches as lost until the index has `count`. The rows of the first are taken from its damaged bytes: the
    best guess there is, unless the length shows that they are no record any more."""
    if len(index.offsets) < count and index.damage:
        start, end = index.damage[-1]
        if start == index.end and end - start > RECORD_BYTES + _ROWS_AT + 4:
            length = int.from_bytes(data[start : start + 4], "little")
            guess = rows_of(data[start + RECORD_BYTES : end])
            index.add_lost(guess if length == end - start - RECORD_BYTES and guess <= limits.BATCH_ROWS else 0)
    while len(index.offsets) < count:
        index.add_lost()


def read_record(segment: Segment, index: Index, seq: int) -> bytes:
    """The payload of one batch; SpoolDamaged if its bytes changed or are gone."""
    number = seq - segment.first
    if number >= len(index.offsets) or index.offsets[number] == LOST:
        raise SpoolDamaged(f"{segment.path}: batch {seq} cannot be found any more")
    for _attempt in range(2):  # a read that came short or wrong once is asked again before the bytes are given up
        try:
            with _opened(segment.path) as file:
                file.seek(index.offsets[number])
                length, checksum, written = _RECORD.unpack(file.read(RECORD_BYTES).ljust(RECORD_BYTES, b"\0"))
                payload = file.read(length) if length <= limits.FRAME_BYTES else b""
        except FileNotFoundError:
            break
        except OSError:
            continue
        if written == seq and zlib.crc32(payload, zlib.crc32(_KEY.pack(length, written))) == checksum:
            return payload
    raise SpoolDamaged(f"{segment.path}: batch {seq} has a wrong checksum")
