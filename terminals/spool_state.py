"""The small files beside a spool's segments: who it is, how far it got, what it lost. Each carries its own checksum."""

import errno
import json
import logging
import os
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from terminals import private, segments

HEADER_NAME: Final = "spool.json"
MARK_NAME: Final = "committed.json"
LOST_NAME: Final = "lost.json"
QUARANTINE_NAME: Final = "quarantine"
QUARANTINE_BYTES: Final = 64 * 1024 * 1024
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger("naru.spool")


class SpoolFull(Exception):
    """There is no room for this batch, within the capacity or on the disk. Nothing was written."""


class SpoolError(Exception):
    """This directory cannot be used as a spool."""


@dataclass(frozen=True, slots=True)
class Header:
    """Which epoch a spool holds, since when (microseconds), and in which folder below it (empty: in itself). `origin`
    is the first epoch of this spool: a position in what was sent stays valid when a new epoch takes over the rest."""

    epoch: str
    created_us: int
    folder: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a spool had got when it was last noted; the truth may be further. `rows` counts those up to `durable`."""

    committed: int = 0
    confirmed: int = 0
    durable: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """Batches `first` to `last` whose bytes are gone: `rows` rows together (0 when unknown), collected between
    `from_us` and `to_us`."""

    first: int
    last: int
    rows: int
    from_us: int
    to_us: int
    feed: str


def read_header(root: Path) -> Header:
    """The spool's header. One that is damaged or gone is made up from the heads of the segments, which name the epoch
    too; SpoolError if they cannot tell."""
    try:
        data = (root / HEADER_NAME).read_bytes()
    except FileNotFoundError:
        data = None
    content = _unseal(data or b"")
    header = _header(content) if content is not None else None
    if header is not None and (content or {}).get("crc32") is not None:
        return header
    told = _epochs_told(root, header.folder if header else "")
    if header is not None and (not told or header.epoch in told):
        return header
    if len(told) == 1:
        log.error("header_damaged path=%s epoch=%s told_by=segments", root / HEADER_NAME, *told)
        epoch = told.pop()
        created_us = int((root / HEADER_NAME).stat().st_mtime * 1e6) if data is not None else 0
        folder = folder_of(epoch)
        return Header(epoch, created_us, folder if (root / folder).is_dir() else "", epoch)
    if data is None:
        raise SpoolError(f"{root} is no spool directory, or has lost its {HEADER_NAME}: its segments tell no epoch")
    raise SpoolError(f"{root / HEADER_NAME} is damaged, and the segments do not tell the epoch")


def header_in(data: bytes) -> Header | None:
    """The header in these bytes; None if they are damaged."""
    content = _unseal(data)
    return None if content is None else _header(content)


def _header(content: dict[str, Any]) -> Header | None:
    try:
        epoch, created_us, folder = content["epoch"], content["created_us"], content.get("folder", "")
        origin = content.get("origin", epoch)
        if content["naru_spool"] not in (1, 2) or len(bytes.fromhex(epoch)) != 8 or type(created_us) is not int:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return Header(epoch, created_us, folder, origin) if type(folder) is str and "/" not in folder else None


def _epochs_told(root: Path, folder: str) -> set[str]:
    # Of several folders the newest was being made, or has taken over.
    folders = sorted(root.glob("epoch-*"), key=lambda path: path.stat().st_mtime) or [root / folder]
    heads = [segments.read_head(path) for path in segments.files(folders[-1] if not folder else root / folder)]
    told = {found[0] for found in heads if found is not None}
    mark = _unseal(_read(root / MARK_NAME))
    if not told and mark is not None and "crc32" in mark and type(mark.get("epoch")) is str:
        told = {mark["epoch"]}
    return told


def write_header(root: Path, header: Header, fsync: Callable[[int], None]) -> None:
    """The moment from which the spool is what the header says; survives a power cut."""
    # Version 2 keeps a program that knows no folders from beginning a second spool beside the first.
    content = {"naru_spool": 2 if header.folder else 1, "epoch": header.epoch, "created_us": header.created_us}
    if header.folder:
        content |= {"folder": header.folder, "origin": header.origin}
    put(root, HEADER_NAME, _seal(content), fsync)


def folder_of(epoch: str) -> str:
    """The folder in which an epoch lies that took over from another."""
    return f"epoch-{epoch}"


def read_mark(root: Path, epoch: str) -> Mark:
    """The mark of this epoch; zeros if there is none or it is damaged."""
    content = _unseal(_read(root / MARK_NAME))
    if content is None or content.get("epoch") != epoch:
        return Mark()
    values = [content.get(field.name, 0) for field in fields(Mark)]
    return Mark(*values) if all(type(value) is int and value >= 0 for value in values) else Mark()


def write_mark(root: Path, epoch: str, mark: Mark, fsync: Callable[[int], None] | None = None) -> None:
    """Note a mark; without `fsync` a power cut may take it back."""
    put(root, MARK_NAME, _seal({"epoch": epoch, **asdict(mark)}), fsync)


def read_lost(root: Path, epoch: str) -> list[Lost]:
    """What was noted as lost of this epoch."""
    content = _unseal(_read(root / LOST_NAME))
    if content is None or content.get("epoch") != epoch:
        return []
    try:
        return [Lost(**one) for one in content["lost"]]
    except (KeyError, TypeError):
        return []


def write_lost(root: Path, epoch: str, lost: list[Lost], fsync: Callable[[int], None]) -> None:
    """Note what is lost: a batch that leaves as a gap must be the same bytes each time."""
    put(root, LOST_NAME, _seal({"epoch": epoch, "lost": [asdict(one) for one in lost]}), fsync)


def quarantine(root: Path, name: str, data: bytes) -> None:
    """Keep damaged bytes for a person to look at, as long as there is room for them; once under each name."""
    folder = root / QUARANTINE_NAME
    try:
        private.make(folder)
        if (folder / name).exists():
            return
        if sum(path.stat().st_size for path in folder.iterdir()) + len(data) > QUARANTINE_BYTES:
            log.error("quarantine_full bytes=%d name=%s", len(data), name)
            return
        (folder / name).write_bytes(data)
    except OSError as error:
        log.warning("not_quarantined name=%s error=%s", name, error.strerror)


def put(folder: Path, name: str, content: bytes, fsync: Callable[[int], None] | None) -> Path:
    """A file whole or not at all; with `fsync` it survives a power cut. SpoolFull if the disk is."""
    new, path = folder / (name + ".new"), folder / name
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            if fsync is not None:
                fsync(file.fileno())
    except OSError as error:
        new.unlink(missing_ok=True)
        raise full_or(error, folder) from None
    new.replace(path)
    if fsync is not None:
        sync_folder(folder, fsync)
    return path


def full_or(error: OSError, folder: Path) -> Exception:
    """SpoolFull if the error says that the disk is full, else the error itself."""
    return SpoolFull(f"the disk under {folder} is full") if error.errno in _FULL else error


def sync_folder(folder: Path, fsync: Callable[[int], None]) -> None:
    """Make the names in a folder survive a power cut."""
    if os.name == "nt":
        # Windows has no fsync of a directory; NTFS journals the rename itself.
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        fsync(fd)
    finally:
        os.close(fd)


def _seal(content: dict[str, Any]) -> bytes:
    return json.dumps({**content, "crc32": _checksum(content)}).encode()


def _unseal(data: bytes) -> dict[str, Any] | None:
    """The object in a file; None if its checksum says that it is damaged. Files of before had no checksum."""
    try:
        content = json.loads(data)
    except ValueError:
        return None
    if type(content) is not dict:
        return None
    given = content.get("crc32")
    if given is not None and given != _checksum({name: value for name, value in content.items() if name != "crc32"}):
        return None
    return content


def _checksum(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
