"""What the steps of one run of the rollover share: the lease, the clock, who is told of progress."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass

from marketdata.maintenance.leases import Lease
from marketdata.storage.base import Progress
from marketdata.types.checksums import Figure

log = logging.getLogger(__name__)

TTL_S = 60.0
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    """The wall clock, for callers that bring none."""
    return datetime.datetime.now(datetime.UTC)


def log_progress(words: str) -> None:
    """Progress that nobody watches goes to the log."""
    log.info("rollover %s", words)


@dataclass(slots=True, kw_only=True)
class Context:
    """What the steps of one run share. `ledger` is what it said when this process verified the day, None before."""

    lease: Lease
    clock: Clock
    progress: Progress
    accept: str = ""
    threads: int = 2
    ledger: Figure | None = None
    tidy: bool = False
    """Whether this run has purged, made room and forgotten already: once is enough, however many days it does."""


def leased(context: Context) -> Progress:
    """Progress that ends the work between two steps of it when the lease is gone."""

    def tell(words: str) -> None:
        context.lease.check()
        context.progress(words)

    return tell
