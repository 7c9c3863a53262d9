"""Tells a person of days that should have been done for a while, and of a calendar that ends soon."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms, metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import dropped, leases
from marketdata.maintenance.rollover import schedule
from marketdata.models import JobLease, RolloverRun
from marketdata.models.texts import kept

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
            format_lazy(
                _(
                    "{number:,} old trading dates wait to be rolled over, at most {most} a minute (ROLLOVER_OLD_DAYS)"
                    " and after the newest; a replay of years does that"
                ),
                number=backlog,
                most=settings.ROLLOVER_OLD_DAYS,
            ),
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
                format_lazy(
                    _(
                        "due since {since:%Y-%m-%d %H:%M} UTC, still {state}: {error}"
                        " (upkeep was last held by {holder})"
                    ),
                    since=since,
                    state=str(run.state),
                    error=kept(run.error, run.texts) if run.error else _("not begun"),
                    holder=held or _("nobody"),
                ),
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
            "calendar_ends",
            format_lazy(
                _("the calendar of {market} does not reach {date}; see docs/calendar.md"),
                market=schedule.MARKET,
                date=ahead,
            ),
        )
