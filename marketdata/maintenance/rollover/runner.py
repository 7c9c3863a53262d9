"""Takes the days that are due through their steps, under the lease; what failed is tried again later."""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.maintenance import dropped, leases
from marketdata.maintenance.leases import Lease
from marketdata.maintenance.rollover import count_ahead, overdue, run_context, schedule, steps
from marketdata.maintenance.rollover.comparison import Mismatch
from marketdata.maintenance.rollover.run_context import Clock, Context, log_progress, utc_now
from marketdata.models import JobLease, RolloverRun
from marketdata.models.texts import with_kind
from marketdata.storage import StorageBusyError, StorageError, storage
from marketdata.storage.base import Progress

OLD_DAYS_TIME = datetime.timedelta(seconds=30)  # so long a run begins older days
State = RolloverRun.State
log = logging.getLogger(__name__)


def run_due(
    *, clock: Clock = utc_now, progress: Progress | None = None, threads: int = 2, old_days: int | None = None
) -> list[datetime.date]:
    """Do whatever is due: the day that became due last, and what came after it, first; then at most `old_days` older
    ones (None: ROLLOVER_OLD_DAYS), newest first, so that old days which a replay brought never keep the newest waiting.
    Returns the dates that became done. Nothing if another process is at it. A DatabaseError that passes is raised:
    nothing else would fare better. Days that should have been done are told of also then."""
    try:
        done = _run_what_is_due(clock, progress or log_progress, threads, old_days)
    except Exception:
        _check_overdue_if_possible(clock())
        raise
    overdue.check_overdue(clock())
    return done


def _check_overdue_if_possible(now: datetime.datetime) -> None:
    try:
        overdue.check_overdue(now)
    except (DatabaseError, InterfaceError) as error:
        log.warning("days that are overdue could not be told of error=%s", type(error).__name__)


def _run_what_is_due(clock: Clock, progress: Progress, threads: int, old_days: int | None) -> list[datetime.date]:
    now = clock()
    schedule.register_days(now)
    runs = schedule.due(now)
    done: list[datetime.date] = []
    if runs:
        try:
            with leases.hold(leases.UPKEEP, ttl_s=run_context.TTL_S) as lease:
                most = settings.ROLLOVER_OLD_DAYS if old_days is None else old_days
                done = _run_all(schedule.due(now), lease, clock=clock, progress=progress, threads=threads, most=most)
        except leases.LeaseHeld as error:
            log.info("rollover waits reason=%s", error)
    try:
        count_ahead.count_current(now, clock=clock, progress=progress)
    except (DatabaseError, StorageError, leases.LeaseLost) as error:  # it is counted next minute, or when it is due
        log.warning("not counted ahead error=%s: %s", type(error).__name__, error)
        connection.close()
    return done


def _run_all(
    runs: list[RolloverRun], lease: Lease, *, clock: Clock, progress: Progress, threads: int, most: int
) -> list[datetime.date]:
    done: list[datetime.date] = []
    began, tidy = clock(), False
    newest, current = schedule.newest_due(began), schedule.current_date(began)
    first_old = next((at for at, run in enumerate(runs) if run.trade_date < newest), len(runs))
    for at, run in enumerate(runs[: first_old + most]):
        if at >= first_old and (clock() - began > OLD_DAYS_TIME or schedule.current_date(clock()) != current):
            break  # the rest with the next turn; a day that has just become due is first then
        context = Context(lease=lease, clock=clock, progress=progress, threads=threads, tidy=tidy)
        try:
            advance(run, context)
            done.append(run.trade_date)
            tidy = context.tidy
        except (Mismatch, StorageError) as error:
            _failed(run, error, clock())  # the days after it are not held up
        except DatabaseError as error:
            _failed(run, error, clock())
            if storage().is_transient(error):
                raise  # the database is away or busy: the others would fare no better
            connection.close()
    return done


def run_one(
    date: datetime.date,
    *,
    clock: Clock = utc_now,
    progress: Progress | None = None,
    accept: str = "",
    threads: int = 2,
) -> RolloverRun:
    """The rollover of one date, due or not, now. `accept` is the reason why a difference that was found is accepted.
    LeaseHeld, Mismatch, StorageError or DatabaseError tell why it could not be done."""
    schedule.register_days(clock())
    run, _ = RolloverRun.objects.get_or_create(trade_date=date)
    with leases.hold(leases.UPKEEP, ttl_s=run_context.TTL_S) as lease:
        run.refresh_from_db()
        context = Context(lease=lease, clock=clock, progress=progress or log_progress, accept=accept, threads=threads)
        try:
            advance(run, context)
        except (Mismatch, StorageError, DatabaseError) as error:
            _failed(run, error, clock())
            raise
    return run


def advance(run: RolloverRun, context: Context) -> None:
    """Take one day from the state it is in to done."""
    if run.state == State.DONE:
        _write(run, context, State.SEALED, late=True, **_without_dropped(run))
    began = context.clock()
    while run.state != State.DONE:
        context.lease.check()
        step = steps.STEPS[State(run.state)]
        context.progress(f"{run.trade_date} {step.__name__}")
        following, fields = step(run, context)
        _write(run, context, following, **fields)
    alarms.resolve("rollover_failed", subject=run.trade_date.isoformat())
    alarms.resolve(overdue.CODE, subject=run.trade_date.isoformat())
    if run.trade_date in (late := dropped.late_days()):
        alarms.raise_alarm(dropped.LATE_AFTER_DROP, _late_after_drop(late))
    log.info(
        "rollover done date=%s ticks=%s daily=%s seconds=%.1f",
        run.trade_date,
        run.rows,
        run.daily,
        (context.clock() - began).total_seconds(),
    )


def _without_dropped(run: RolloverRun) -> dict[str, Any]:
    """Of a day whose ticks retention dropped nothing is stored."""
    return {} if run.dropped_at is None else {"rows": 0, "checksum": 0}


def _late_after_drop(late: Mapping[datetime.date, int]) -> Promise:
    shown = ", ".join(f"{date}: {rows:,}" for date, rows in itertools.islice(late.items(), 10))
    return format_lazy(
        _(
            "{ticks:,} ticks came for {days:,} days whose ticks retention had dropped ({shown}). They are kept in"
            " market_data_tick and are not the whole of their day: daily candles without minute candles stay as they"
            " were. `manage.py archive DATE` keeps them beside the archive of the day"
        ),
        ticks=sum(late.values()), days=len(late), shown=shown + (", …" if len(late) > 10 else ""),
    )  # fmt: skip


def _write(run: RolloverRun, context: Context, state: str, *, late: bool = False, **fields: Any) -> None:
    """Note the step, if the lease is still ours and the day is where we left it."""
    stamp = {} if late else {f"{state}_at": context.clock()}
    values = {**stamp, **fields, "state": state, "fence": context.lease.fence}
    if late:  # kept its whole time again, and to be archived again
        values |= {"archived_at": None, "dropped_at": None, "done_at": None}
    with storage().transaction():
        ours = JobLease.objects.select_for_update().filter(
            job=context.lease.job, fence=context.lease.fence, owner=context.lease.owner
        )
        if not ours.exists() or not RolloverRun.objects.filter(
            pk=run.pk, state=run.state, fence__lte=context.lease.fence
        ).update(**values):
            raise leases.LeaseLost(f"the rollover of {run.trade_date} was taken over by somebody else")
    for name, value in values.items():
        setattr(run, name, value)


def _failed(run: RolloverRun, error: Exception, now: datetime.datetime) -> None:
    """Keep the reason, try again later: soon after what passes by itself, seldom after what a person must look at."""
    passing = isinstance(error, StorageBusyError) or storage().is_transient(error)
    wait = datetime.timedelta(minutes=1 if passing else min(2**run.tries, 60))
    told = with_kind(error)
    text, texts = alarms.english(told)[: alarms.LONGEST], alarms.translations(told)
    try:
        if (
            RolloverRun.objects.filter(pk=run.pk)
            .exclude(state=State.DONE)
            .update(error=text, texts=texts, tries=run.tries + 1, retry_at=None if passing else now + wait)
        ):  # else somebody else has done it meanwhile
            alarms.raise_alarm("rollover_failed", told, subject=run.trade_date.isoformat())
    except DatabaseError as gone:
        log.error("rollover failed date=%s error=%s and could not be noted: %s", run.trade_date, text, gone)
