"""Tells a person of days that should have been done for a while, and of a calendar that ends soon."""

from __future__ import annotations

import datetime

from django.conf import settings

from marketdata import alarms, metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import dropped, leases
from marketdata.maintenance.rollover import schedule
from marketdata.models import JobLease, RolloverRun

LATE_AFTER = datetime.timedelta(minutes=30)
LONG_BACKLOG, BACKLOG = 30, "old days"  # runs that the older days need, from which on a person is told
KNOWN_AHEAD = datetime.timedelta(days=60)
State = RolloverRun.State


def check_overdue(now: datetime.datetime) -> None:
    """Sound an alarm for each day that should have been done for a while, and one for all old days that only wait for
    their turn, if that takes long."""
    undone = RolloverRun.objects.filter(trade_date__lt=schedule.current_date(now)).exclude(state=State.DONE)
    newest = schedule.newest_due(now)
    queued = undone.filter(trade_date__lt=newest, error="", state=State.OPEN)
    backlog = queued.count()
    if backlog > LONG_BACKLOG * max(settings.ROLLOVER_OLD_DAYS, 1):
        alarms.raise_alarm(
            "rollover_late",
            f"{backlog:,} old trading dates wait to be rolled over, at most {settings.ROLLOVER_OLD_DAYS} a minute"
            " (ROLLOVER_OLD_DAYS) and after the newest; a replay of years does that",
            subject=BACKLOG,
        )
    else:
        alarms.resolve("rollover_late", subject=BACKLOG)
    for run in undone.exclude(pk__in=queued.values("pk")).order_by("trade_date"):
        since = schedule.due_at(run.trade_date)
        if since + LATE_AFTER <= now:
            held = JobLease.objects.filter(job=leases.UPKEEP).values_list("owner", flat=True).first()
            alarms.raise_alarm(
                "rollover_late",
                f"due since {since:%Y-%m-%d %H:%M} UTC, still {run.state}: {run.error or 'not begun'}"
                f" (upkeep was last held by {held or 'nobody'})",
                subject=run.trade_date.isoformat(),
            )
    metrics.ROLLOVER_UNDONE.set(undone.count())
    if not dropped.late_days():
        alarms.resolve(dropped.LATE_AFTER_DROP)
    ahead = schedule.current_date(now) + KNOWN_AHEAD
    if trading_dates.calendar(schedule.MARKET).covers(ahead):
        alarms.resolve("calendar_ends")
    else:
        alarms.raise_alarm(
            "calendar_ends", f"the calendar of {schedule.MARKET} does not reach {ahead}; see docs/calendar.md"
        )
