"""The ledger and the stored ticks of a day are compared by count and checksum. A difference stops the day unless
somebody accepts it with a reason."""

from __future__ import annotations

import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.maintenance import dropped
from marketdata.models import RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, TEMP
from marketdata.types import checksums
from marketdata.types.checksums import Figure


class Mismatch(Exception):
    """The ledger and the stored ticks of a day are not the same; nothing was moved."""


def compare(date: datetime.date, threads: int, before: Figure | None = None) -> tuple[Figure, Figure, Figure]:
    """What the ledger says of a day, what TEMP has of it, and what HISTORY has (`before`, if that is known)."""
    expected, in_temp = dropped.expected(date), stored(date, TEMP, threads)
    known = stored(date, HISTORY, threads) if before is None else before
    if in_temp + known != expected:  # ticks may have been committed between the questions; ask at one moment
        with storage().snapshot():
            expected, in_temp = dropped.expected(date), stored(date, TEMP)
            if before is None or in_temp + known != expected:
                known = stored(date, HISTORY)
    return expected, in_temp, known


def stored(date: datetime.date, table: str, threads: int = 1) -> Figure:
    """Count and checksum of the ticks of a trading date in one table."""
    return checksums.total(storage().tick_figures(date, tables=[table], threads=threads).values())


def counted(run: RolloverRun) -> Figure | None:
    """What was found when the day was counted ahead, if it was and has not moved since."""
    return None if run.counted_at is None or run.moved_at is not None else noted(run)


def noted(run: RolloverRun) -> Figure | None:
    """What was last found of the day."""
    return None if run.rows is None else Figure(run.rows, run.checksum or 0)


def judge(run: RolloverRun, expected: Figure, found: Figure, *, accept: str) -> dict[str, Any]:
    """What to note of a day whose ticks were compared with the ledger. Mismatch unless they are the same, or a
    difference is to be accepted, or just this one was."""
    subject = run.trade_date.isoformat()
    fields: dict[str, Any] = {"rows": found.rows, "checksum": found.checksum, "accepted": ""}
    if found != expected:
        difference = _acceptance(expected, found, accept or run.accepted.partition(": ")[2])
        if not accept and run.accepted != difference:
            raise Mismatch(differs(run.trade_date, expected, found))
        fields["accepted"] = difference
    if found.rows:
        alarms.resolve("day_empty", subject=subject)
    elif run.expected:
        alarms.raise_alarm("day_empty", _("a trading day without a single tick"), subject=subject)
    return fields


def differs(date: datetime.date, expected: Figure, found: Figure) -> Promise:
    """What a person is told of a difference, with the commands that look closer."""
    return format_lazy(
        _(
            "the ledger has {expected:,} ticks of {date} (checksum {checksum}), stored are {stored:,} (checksum"
            " {found}); the rollover of this day stops. `manage.py verify_day {date}` names each difference;"
            " `manage.py rollover --date {date} --accept REASON` goes on with it as it is."
        ),
        expected=expected.rows, date=date, checksum=expected.checksum, stored=found.rows, found=found.checksum,
    )  # fmt: skip


def _acceptance(expected: Figure, found: Figure, reason: str) -> str:
    """The accepted difference itself, so that another one is not accepted with it."""
    return f"{checksums.difference(expected, found)}: {reason}"[:200]
