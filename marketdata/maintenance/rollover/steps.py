"""What is done with a trading day from one state to the next; each step may be run again."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.utils.text import format_lazy

from marketdata import alarms
from marketdata.maintenance import dropped, nodes, quiet, retention
from marketdata.maintenance.rollover import comparison, schedule
from marketdata.maintenance.rollover.run_context import Context, leased
from marketdata.models import RolloverRun
from marketdata.models.texts import of_error
from marketdata.storage import NotWholeError, storage
from marketdata.storage.base import CACHES, HISTORY, STATS_KEPT, TEMP
from marketdata.types.checksums import Figure

REALTIME_KEPT = datetime.timedelta(days=7)
NOT_WHOLE = "daily_not_whole"
State = RolloverRun.State
Step = Callable[[RolloverRun, Context], tuple[str, dict[str, Any]]]


def seal(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """From here on whatever comes for this date is late."""
    return State.SEALED, {"tries": run.tries, "error": "", "texts": None}


def verify(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """The ledger and the ticks must be the same in number and checksum, else the day stays where it is."""
    date, late = run.trade_date, run.moved_at is not None
    expected, counted, in_temp = dropped.expected(date), comparison.counted(run), Figure()
    if counted == expected and storage().day_rows(date) == expected.rows:
        found = expected  # each value was compared when it was counted ahead, and nothing was added since
    else:
        before = Figure(run.rows or 0, run.checksum or 0) if late and not context.accept else None
        expected, in_temp, before = comparison.compare(date, context.threads, before)
        found = in_temp + before
    fields = comparison.judge(run, expected, found, accept=context.accept)
    context.ledger = expected
    if late:
        fields["late_rows"] = run.late_rows + in_temp.rows
    return State.VERIFIED, fields


def move(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """The ticks go to market_data_tick. Others may have been committed after the comparison and gone with them; what
    has arrived is then compared again. It lies still, for ticks that come now enter TEMP and are moved next minute."""
    context.lease.check()
    date, late = run.trade_date, run.moved_at is not None
    storage().move_day(date, progress=leased(context), count=False)
    with storage().snapshot():
        told, waiting = dropped.expected(date), comparison.stored(date, TEMP)
    expected = told - waiting
    if expected == comparison.noted(run) and (expected == context.ledger or storage().day_rows(date) == told.rows):
        return State.MOVED, {}
    context.progress(f"{date} more ticks came, or another run compared: comparing what was moved")
    found = comparison.stored(date, HISTORY, context.threads)
    context.lease.check()  # without it, somebody else may have moved what came since
    fields = comparison.judge(run, expected, found, accept="" if context.ledger is not None else context.accept)
    if late:
        fields["late_rows"] = run.late_rows + found.rows - (run.rows or 0)
    return State.MOVED, fields


def aggregate(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Daily candles, from the minute candles, if these are the whole of the day: else they stay as they are."""
    date = run.trade_date
    if dropped.Kind.MINUTES in dropped.kinds(date):
        return State.AGGREGATED, {}
    try:
        daily = storage().build_daily(date, schedule.windows(date))
    except NotWholeError as error:
        alarms.raise_alarm(
            NOT_WHOLE, format_lazy("{date}: {error}", date=date, error=of_error(error)), subject=date.isoformat()
        )
        return State.AGGREGATED, {}
    alarms.resolve(NOT_WHOLE, subject=date.isoformat())
    return State.AGGREGATED, {"daily": daily}


def clean(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Caches of the day that is over, room if it is short, and what goes by rows when it is past its time. Partitions
    are made and dropped while no market trades."""
    if context.tidy:
        return State.CLEANED, {}
    now = context.clock()
    sealed_us = _us(run.sealed_at or now)
    # Latest trades and statistics stay until newer ones take their place; these go only where none do any more.
    kept_us = {"cache_realtime_data": _us(now - REALTIME_KEPT), "cache_stats_data": _us(now - STATS_KEPT)}
    storage().purge_caches({name: kept_us.get(name, sealed_us) for name in CACHES})
    quiet.make_room(now)
    if not storage().partitions(TEMP):  # a database without any
        retention.drop_periods(now, progress=leased(context))
    retention.forget(now, progress=leased(context))
    context.tidy = True
    return State.CLEANED, {}


def finish(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Done, and compared on every node of a cluster."""
    nodes.compare_day(run.trade_date)
    return State.DONE, {"tries": 0, "error": "", "texts": None, "retry_at": None}


STEPS: dict[State, Step] = {
    State.OPEN: seal,
    State.SEALED: verify,
    State.VERIFIED: move,
    State.MOVED: aggregate,
    State.AGGREGATED: clean,
    State.CLEANED: finish,
}


def _us(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1e6)
