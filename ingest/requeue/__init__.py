"""Judges refused rows and dead letters again, and stores what passes under the number it came with.

One transaction a batch, under a lock on its claim row: the ticks, their candles, the ledger's figures and the row of
`ingest_requeue` that says who asked are written, and what was refused is removed, all of it or nothing. So it may be
killed, run twice or run by two at once. The feed hears of it by that row, once. While the rollover, retention or a
backup is at it, a requeue waits: what a backup compares does not change meanwhile.
"""

from __future__ import annotations

from ingest.requeue.announcements import announce
from ingest.requeue.runs import Result, run
from ingest.requeue.selection import CODES, Selection

__all__ = ["CODES", "Result", "Selection", "announce", "run"]
