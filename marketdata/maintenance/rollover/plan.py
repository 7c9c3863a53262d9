"""What a run of the rollover would do, in lines for a person."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils.translation import gettext as _

from marketdata.maintenance import retention
from marketdata.maintenance.rollover import comparison, schedule
from marketdata.maintenance.rollover.steps import STEPS
from marketdata.models import RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import TEMP
from marketdata.types.units import SEOUL

State = RolloverRun.State


def plan_lines(now: datetime.datetime) -> Iterator[str]:
    """What a run at `now` would do, in lines; changes nothing."""
    current = schedule.current_date(now)
    known = {run.trade_date: run for run in RolloverRun.objects.all()}
    waiting = storage().dates(TEMP)
    following = schedule.due_at(current).astimezone(SEOUL)
    yield _("current trading day {date}; the next rollover is due at {due:%Y-%m-%d %H:%M} KST").format(
        date=current, due=following
    )
    dates = sorted(
        {date for date in waiting if date < current}
        | {date for date, run in known.items() if date < current and run.state != State.DONE}
    )
    if not dates:
        yield _("nothing is due")
    for date in reversed(dates):
        run = known.get(date) or RolloverRun(trade_date=date)
        rows = comparison.stored(date, TEMP).rows
        late = _(" (late ticks of a day that is done)") if run.state == State.DONE else ""
        state = State.SEALED if run.state == State.DONE else State(run.state)
        names = [step.__name__ for step in list(STEPS.values())[list(STEPS).index(state) :]]
        yield _("{date} {state}{late}: {rows:,} ticks in {table}; {steps}").format(
            date=date, state=run.state, late=late, rows=rows, table=TEMP, steps=" → ".join(names)
        )
        if run.state == State.OPEN and run.counted_at is not None:
            yield _("  counted ahead at {at:%m-%d %H:%M} KST: {rows:,} ticks").format(
                at=run.counted_at.astimezone(SEOUL), rows=run.rows
            )
        if run.retry_at is not None and run.retry_at > now:
            yield _("  not before {at:%H:%M} KST: {error}").format(at=run.retry_at.astimezone(SEOUL), error=run.shown)
        if run.state == State.DONE and (until := schedule.going_on(date, now)) is not None:
            yield _("  not before {at:%m-%d %H:%M} KST: the day is not over in every market").format(
                at=until.astimezone(SEOUL)
            )
        for window in schedule.windows(date):
            begin, end = (datetime.datetime.fromtimestamp(us / 1e6, SEOUL) for us in (window.start_us, window.end_us))
            yield _("  {market} regular session {begin:%H:%M} to {end:%H:%M} KST").format(
                market=window.market, begin=begin, end=end
            )
    yield from retention.plan_lines(now)
