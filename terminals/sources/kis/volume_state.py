"""The accounts of `volume_holes` and the trades of `repeats` beside the spool, so that a hole over a restart is found,
and what comes again: saved with the place in the spool that they are of, and brought up to its end by what the spool
took since.
"""

import json
import logging
import os
from typing import Any, Final

from terminals import private
from terminals.segments import SpoolDamaged
from terminals.sources.kis.layouts import COUNTED_FEEDS
from terminals.sources.kis.repeats import Repeats
from terminals.sources.kis.volume_holes import Hole, VolumeHoles
from terminals.spool import Spool
from terminals.wire import SIZE_SCALE, BatchHeader, Encoding, decode_columns, parse_columns, parse_gaps, parse_header

log = logging.getLogger("naru.kis")
_FILE: Final = "kis_volumes.json"


class VolumeState:
    """The file in the folder of a spool."""

    def __init__(self, spool: Spool, holes: VolumeHoles, repeats: Repeats) -> None:
        self._spool, self._holes, self._repeats = spool, holes, repeats
        self._file = spool.path / _FILE

    def save(self) -> None:
        """Keep the accounts. All that they account for is in the spool: flush the terminal first. It is synced before
        the file is written, so that no power cut leaves accounts of batches that are gone. OSError or SpoolFull."""
        self._spool.sync()
        place = {"epoch": self._spool.epoch, "seq": self._spool.last}
        content = {**place, **self._holes.state(), "not_accounted_for": self._repeats.state()}
        new = self._file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private.FILE_MODE)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(json.dumps(content, separators=(",", ":")).encode())
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(self._file)

    def load(self) -> int:
        """Bring accounts and trades to the end of the spool; how many batches that took. What cannot be used is told,
        and then the first trade of each symbol tells what its day has traded before."""
        try:
            content: dict[str, Any] = json.loads(self._file.read_bytes())
            first = int(content["seq"]) + 1
            if content["epoch"] != self._spool.epoch:
                log.warning("kis_volumes_not_used reason=%r", "the spool has begun a new epoch")
                return 0
            if first > self._spool.last + 1:
                log.warning("kis_volumes_not_used reason=%r", "the spool has lost batches that they account for")
                return 0
            self._repeats.load(content.get("not_accounted_for", ()))
            self._holes.load(content)
        except FileNotFoundError:
            first = self._spool.first
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("kis_volumes_not_used reason=%r", str(error))
            return 0
        read = 0
        for seq in range(max(first, self._spool.first), self._spool.last + 1):
            try:
                self._take(self._spool.get(seq))
            except (SpoolDamaged, KeyError) as error:
                log.warning("kis_volumes_batch_lost seq=%d reason=%r", seq, str(error))
            read += 1
        return read

    def _take(self, payload: bytes) -> None:
        header = parse_header(payload)
        if header.encoding is Encoding.COLUMNS:
            of_feed = self._holes if header.feed in COUNTED_FEEDS else self._repeats
            of_feed.restore(header.feed, _rows(payload, header))
        elif header.encoding is Encoding.GAP:
            for gap in parse_gaps(payload, header):
                if gap.symbol is not None and gap.trade_date is not None:
                    hole = Hole(gap.symbol, gap.from_us, gap.to_us, gap.missing, gap.trade_date, gap.reason)
                    self._holes.restore_hole(header.feed, hole)


def _rows(payload: bytes, header: BatchHeader) -> list[dict[str, Any]]:
    """The rows of a batch with sizes in 1e-6; a batch has them coarser where that loses nothing."""
    rows, unit = decode_columns(payload), 10 ** (SIZE_SCALE - parse_columns(payload, header).size_scale)
    for row in rows:
        for name in ("size", "cum_volume"):
            if row[name] is not None:
                row[name] *= unit
    return rows
