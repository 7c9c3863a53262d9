"""A spool's change from one epoch to the next: the new one is written whole beside the old, then takes over at once."""

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from terminals import private, segments, spool_state
from terminals.spool_state import Header, full_or, put
from terminals.wire import reseq

_REPLACED: Final = "replaced-"

log = logging.getLogger("naru.spool")


def write(
    root: Path,
    header: Header,
    payloads: Iterable[bytes],
    rows_before: int,
    segment_bytes: int,
    fsync: Callable[[int], None],
) -> None:
    """Write the batches into a folder of their own, numbered from 1, and make the spool's header name it: the moment
    from which the new epoch counts. `rows_before` rows were taken before the first. SpoolFull if the disk is full."""
    folder = root / spool_state.folder_of(header.epoch)
    try:
        private.make(folder)
    except OSError as error:
        raise full_or(error, root) from None
    try:
        first, rows, content = 1, rows_before, bytearray()
        for seq, payload in enumerate(payloads, 1):
            record = segments.record(seq, reseq(payload, seq))
            if content and len(content) + len(record) > segment_bytes:
                _write_segment(folder, header.epoch, first, rows_before, bytes(content), fsync)
                first, rows_before, content = seq, rows, bytearray()
            content += record
            rows += segments.rows_of(payload)
        _write_segment(folder, header.epoch, first, rows_before, bytes(content), fsync)
        spool_state.write_header(root, replace(header, folder=folder.name), fsync)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_segment(
    folder: Path, epoch: str, first: int, rows_before: int, content: bytes, fsync: Callable[[int], None]
) -> None:
    put(folder, segments.file_name(first), segments.head(epoch, first, rows_before) + content, fsync)


def set_aside_replaced(root: Path, header: Header) -> None:
    """After a new epoch has taken over, or did not come to it: what is not of the epoch the header names is kept aside
    for a person (the old one) or thrown away (a new one that a kill left unfinished)."""
    unfinished = [path for path in root.glob("epoch-*") if path.name != header.folder]
    if not header.folder:
        for path in unfinished:
            shutil.rmtree(path, ignore_errors=True)
        return
    old = segments.files(root)
    for number, path in enumerate([*old, *unfinished]):
        if number == 0:
            log.warning("epoch_replaced files=%d kept_in=%s", len(old) + len(unfinished), _REPLACED + header.epoch)
        private.make(root / (_REPLACED + header.epoch))
        path.replace(root / (_REPLACED + header.epoch) / path.name)


def forget_replaced(root: Path, before: float) -> None:
    """Delete what was kept aside of epochs that were replaced before this moment (seconds)."""
    for path in root.glob(_REPLACED + "*"):
        if path.stat().st_mtime < before:
            shutil.rmtree(path, ignore_errors=True)
