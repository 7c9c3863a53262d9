"""Tells a person of days that should have been done for a while, and of a calendar that ends soon. Asked by others than
who does them: a rollover that hangs, fails or does not run tells of nothing."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.calendar import trading_dates
from marketdata.maintenance import dropped, leases
from marketdata.maintenance.rollover import schedule
from marketdata.models import Alarm, JobLease, RolloverRun
from marketdata.models.texts import kept

CODE = "rollover_late"
LATE_AFTER = datetime.timedelta(minutes=30)
LONG_BACKLOG, BACKLOG = 30, "old days"  # runs that the older days need, from which on a person is told
KNOWN_AHEAD = datetime.timedelta(days=60)
State = RolloverRun.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Days that are over and not rolled over: how many there are, which of them should have been done for a while, and
    how many old ones only wait for their turn, if that takes long, else 0."""

    days: int
    late: list[RolloverRun]
    backlog: int


def undone(now: datetime.datetime) -> Undone:
    """What is not done at `now`, also of days that no rollover registered; these have a row that is not stored."""
    newest, unregistered = schedule.newest_due(now), schedule.unregistered(now)
    runs = RolloverRun.objects.filter(trade_date__lt=schedule.current_date(now)).exclude(state=State.DONE)
    queued = runs.filter(trade_date__lt=newest, error="", state=State.OPEN)
    backlog = queued.count() + len(unregistered - {newest})
    rest = [RolloverRun(trade_date=date) for date in unregistered & {newest}]
    rest += runs.exclude(pk__in=queued.values("pk")).order_by("trade_date")
    return Undone(
        days=runs.count() + len(unregistered),
        late=[run for run in rest if schedule.due_at(run.trade_date) + LATE_AFTER <= now],
        backlog=backlog if backlog > LONG_BACKLOG * max(settings.ROLLOVER_OLD_DAYS, 1) else 0,
    )


def check_overdue(now: datetime.datetime) -> None:
    """Raise an alarm for each day that should have been done for a while, and one for all old days that only wait for
    their turn, if that takes long; resolve those of days that are done. May be called by several at once."""
    found = undone(now)
    if found.backlog:
        alarms.raise_alarm(
            CODE,
            format_lazy(
                _(
                    "{number:,} old trading dates wait to be rolled over, at most {most} a minute (ROLLOVER_OLD_DAYS)"
                    " and after the newest; a replay of years does that"
                ),
                number=found.backlog,
                most=settings.ROLLOVER_OLD_DAYS,
            ),
            subject=BACKLOG,
        )
    for run in found.late:
        held = JobLease.objects.filter(job=leases.UPKEEP).values_list("owner", flat=True).first()
        alarms.raise_alarm(
            CODE,
            format_lazy(
                _("due since {since:%Y-%m-%d %H:%M} UTC, still {state}: {error} (upkeep was last held by {holder})"),
                since=schedule.due_at(run.trade_date),
                state=str(run.state),
                error=kept(run.error, run.texts) if run.error else _("not begun"),
                holder=held or _("nobody"),
            ),
            subject=run.trade_date.isoformat(),
        )
    standing = {run.trade_date.isoformat() for run in found.late} | ({BACKLOG} if found.backlog else set())
    over = Alarm.objects.filter(code=CODE, cleared_at=None).exclude(subject__in=standing)
    for subject in over.values_list("subject", flat=True):
        alarms.resolve(CODE, subject=subject)
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
