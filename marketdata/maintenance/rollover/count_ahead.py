"""A day is counted and compared before its rollover is due, while nobody waits for it."""

from __future__ import annotations

import datetime

from django.conf import settings

from marketdata import alarms
from marketdata.maintenance import dropped, leases
from marketdata.maintenance.rollover import comparison, run_context, schedule
from marketdata.maintenance.rollover.run_context import Clock, Context, log_progress, utc_now
from marketdata.models import RolloverRun
from marketdata.storage.base import Progress

COUNT_AGAIN = datetime.timedelta(minutes=10)
State = RolloverRun.State


def count_current(now: datetime.datetime, *, clock: Clock = utc_now, progress: Progress | None = None) -> bool:
    """Within ROLLOVER_COUNT_AHEAD_S before the current day is due: compare it with the ledger while nobody waits, and
    again when more came. What differs is known before it is due, and `verify` need only see that nothing was added
    since. Answers whether it counted."""
    date = schedule.current_date(now)
    run = RolloverRun.objects.filter(trade_date=date, state=State.OPEN).first()
    if run is None or now < schedule.due_at(date) - datetime.timedelta(seconds=settings.ROLLOVER_COUNT_AHEAD_S):
        return False
    if run.counted_at is not None and (
        now - run.counted_at < COUNT_AGAIN or comparison.counted(run) == dropped.expected(date)
    ):
        return False
    try:
        with leases.hold(leases.UPKEEP, ttl_s=run_context.TTL_S) as lease:
            return count(run, Context(lease=lease, clock=clock, progress=progress or log_progress, threads=1))
    except leases.LeaseHeld:
        return False  # the day is counted next minute, or when it is due


def count(run: RolloverRun, context: Context) -> bool:
    """Count a day that is still open and note what was found; an alarm if the ledger says otherwise."""
    context.progress(f"{run.trade_date} count ahead")
    subject = run.trade_date.isoformat()
    expected, in_temp, before = comparison.compare(run.trade_date, context.threads)
    found = in_temp + before
    noted = {"rows": found.rows, "checksum": found.checksum, "counted_at": context.clock()}
    context.lease.check()
    if not RolloverRun.objects.filter(pk=run.pk, state=State.OPEN, fence__lte=context.lease.fence).update(**noted):
        return False
    if found == expected:
        alarms.resolve("rollover_failed", subject=subject)
    else:
        alarms.raise_alarm("rollover_failed", comparison.differs(run.trade_date, expected, found), subject=subject)
    return True
