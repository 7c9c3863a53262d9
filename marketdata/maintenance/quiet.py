"""Partitions are made and dropped while no market trades. On a Galera cluster each change of a table holds up every
commit until all nodes have made it (docs/adr/0028), so it never comes at 08:00 or in a session.

Level-triggered: what could not be done is tried by the next turn of the timetable, and a person is told of what a whole
day, and so a night, was not enough for.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.calendar import quiet_times
from marketdata.maintenance import leases, retention
from marketdata.storage import storage
from marketdata.storage.base import TEMP

log = logging.getLogger(__name__)

OVERDUE = "drop_overdue"
LATE_AFTER = datetime.timedelta(days=1)


class _MarketNear(Exception):
    """It is quiet no longer."""


def make_room(now: datetime.datetime) -> None:
    """Room for the days ahead; while a market trades only where it is about to end."""
    retention.extend(now, at_once=quiet_times.is_quiet(now))


def drop(clock: Callable[[], datetime.datetime]) -> None:
    """Drop partitions that are past their time, if it is quiet. What was missed for a day goes at any moment where that
    holds up nobody for long: a machine may be off at night. An alarm while one is there that should have gone a day
    ago. Nothing in a database without partitions: the rollover deletes there."""
    now = clock()
    if not storage().partitions(TEMP):
        return
    was_quiet, is_late = quiet_times.is_quiet(now), _tell_late(now)
    if was_quiet or (is_late and not storage().changes_hold_up_commits()):
        try:
            with leases.hold(leases.UPKEEP) as lease:

                def tell(words: str) -> None:
                    lease.check()
                    if was_quiet and not quiet_times.is_quiet(clock()):
                        raise _MarketNear
                    log.info("retention %s", words)

                retention.drop_periods(now, progress=tell)
        except leases.LeaseHeld as error:
            log.info("nothing dropped reason=%s", error)
        except _MarketNear:
            log.info("not all was dropped, a market opens soon")
        _tell_late(now)


def _tell_late(now: datetime.datetime) -> bool:
    """Whether anything is there that was past its time a day ago; an alarm if so."""
    left = retention.plan(now - LATE_AFTER)
    if not left:
        alarms.resolve(OVERDUE)
        return False
    words = format_lazy(
        _(
            "{number:,} partitions have been past their time for more than a day, first {table} {start}. They go while"
            " no market trades; the log of worker-upkeep says what was in the way, and manage.py retention drops them"
            " at once"
        ),
        number=len(left), table=left[0].table, start=left[0].start,
    )  # fmt: skip
    alarms.raise_alarm(OVERDUE, words)
    return True
