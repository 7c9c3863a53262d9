"""What a terminal had registered and what it had not told of its losses, beside its spool: so that the next one knows
what nothing came of meanwhile, however this one ended.
"""

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from terminals import private
from terminals.sources.kis.intake_items import Lost
from terminals.sources.kis.layouts import LAYOUTS
from terminals.sources.kis.planner import Registration

log = logging.getLogger("naru.kis")
_FILE: Final = "kis_losses.json"
_OFFSET_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Unfinished:
    """`registered` with what is `going_on`: (registration, from, reason). `losses` were taken by the intake, and are
    neither in the spool nor proved. `told_on`: a date and how many gaps were told on it."""

    registered: frozenset[Registration]
    going_on: tuple[tuple[Registration, int, str], ...] = ()
    losses: frozenset[Lost] = frozenset()
    told_on: tuple[int, int] = (0, 0)
    until_us: int | None = None
    """When it ended, by the clock of the service; None while it runs, or if nobody knows."""
    offset_us: int = field(default=0, compare=False)
    """How far the clock of the service was ahead of ours."""


class UnfinishedFile:
    """In the folder of a spool. Not synced: what a power cut leaves of it is whole or is not used."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._kept: Unfinished | None = None
        self._failed = False

    def load(self) -> Unfinished | None:
        """What the last terminal kept; None if there is nothing, or it cannot be used, which is told."""
        try:
            content: dict[str, Any] = json.loads(self._file.read_bytes())
            return Unfinished(
                registered=_known(Registration(str(tr), str(key)) for tr, key in content["registered"]),
                going_on=tuple(
                    (Registration(str(tr), str(key)), int(from_us), str(reason))
                    for tr, key, from_us, reason in content["going_on"]
                    if tr in LAYOUTS
                ),
                losses=frozenset(
                    Lost(
                        str(feed),
                        None if symbol is None else str(symbol),
                        int(from_us),
                        int(to_us),
                        str(reason),
                        is_counted=bool(counted),
                    )
                    for feed, symbol, from_us, to_us, reason, counted in content["losses"]
                ),
                told_on=(int(content["told_on"][0]), int(content["told_on"][1])),
                until_us=None if content["until_us"] is None else int(content["until_us"]),
                offset_us=int(content["offset_us"]),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            log.warning("kis_losses_not_used reason=%r", str(error))
            return None

    def save(self, now: Unfinished) -> None:
        """Keep it, if it is another than was kept last. What the disk does not take is told and tried again."""
        before = self._kept
        if before is not None and now == before and abs(now.offset_us - before.offset_us) < _OFFSET_US:
            return
        content = {
            "registered": [(one.tr_id, one.tr_key) for one in sorted(now.registered)],
            "going_on": [(one.tr_id, one.tr_key, from_us, reason) for one, from_us, reason in now.going_on],
            "losses": [
                (one.feed, one.symbol, one.from_us, one.to_us, one.reason, one.is_counted) for one in now.losses
            ],
            "told_on": now.told_on,
            "until_us": now.until_us,
            "offset_us": now.offset_us,
        }
        new = self._file.with_suffix(".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private.FILE_MODE)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(json.dumps(content, separators=(",", ":")).encode())
            new.replace(self._file)
        except OSError as error:
            if not self._failed:
                log.error("kis_losses_not_kept reason=%r", str(error))
            self._failed = True
            return
        self._kept, self._failed = now, False


def _known(registrations: Iterable[Registration]) -> frozenset[Registration]:
    return frozenset(one for one in registrations if one.tr_id in LAYOUTS)
