"""08:00: a finished trading day goes to history. Level-triggered (what is due and not done?), one step at a time, each
step safe to run again; so it may be killed anywhere, be days late, or be called by two at once.

    open → sealed → verified → moved → aggregated → cleaned → done

Ticks that come after that enter temp_market_data like all others; a day that is done and has some again goes once more
from `sealed` on, which moves them after the others and makes its daily candles anew. Where retention has removed what
they belong to (`marketdata.maintenance.dropped`), they are kept and told, and nothing is made of them.
"""

from __future__ import annotations

import datetime
import itertools
import logging
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from marketdata import alarms, metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import dropped, leases, retention
from marketdata.maintenance.leases import Lease
from marketdata.models import JobLease, Market, RolloverRun, Symbol
from marketdata.storage import NotWholeError, StorageBusyError, StorageError, storage
from marketdata.storage.base import CACHES, HISTORY, TEMP, Progress, Window
from marketdata.types import checksums
from marketdata.types.checksums import Figure

log = logging.getLogger(__name__)

SEOUL = zoneinfo.ZoneInfo("Asia/Seoul")
MARKET = "KRX"  # whose trading days decide when a day is over
TTL_S = 60.0
LATE_AFTER = datetime.timedelta(minutes=30)
OLD_DAYS_TIME = datetime.timedelta(seconds=30)  # so long a run begins older days
LONG_BACKLOG, BACKLOG = 30, "old days"  # runs that the older days need, from which on a person is told
COUNT_AGAIN = datetime.timedelta(minutes=10)
KNOWN_AHEAD = datetime.timedelta(days=60)
REALTIME_KEPT = datetime.timedelta(days=7)
LATE_AFTER_DROP, NOT_WHOLE = "late_after_drop", "daily_not_whole"
State = RolloverRun.State
Clock = Callable[[], datetime.datetime]


class Mismatch(Exception):
    """The ledger and the stored ticks of a day are not the same; nothing was moved."""


def utc_now() -> datetime.datetime:
    """The wall clock, for callers that bring none."""
    return datetime.datetime.now(datetime.UTC)


# --- when -------------------------------------------------------------------------------------------------------------


def current_date(now: datetime.datetime) -> datetime.date:
    """The trading day that is current at `now`: the days before it are due. It changes on trading days only, at
    ROLLOVER_TIME and the grace; over a weekend Friday stays current."""
    moment = (now - datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)).astimezone(SEOUL)
    day = moment.date() if moment.time() >= settings.ROLLOVER_TIME else moment.date() - datetime.timedelta(days=1)
    calendar = trading_dates.calendar(MARKET)
    while not calendar.is_session(day):
        day -= datetime.timedelta(days=1)
    return day


def due_at(date: datetime.date) -> datetime.datetime:
    """When the rollover of a trading date is due: ROLLOVER_TIME and the grace of the next trading day."""
    following = trading_dates.calendar(MARKET).next_session(date)
    at = datetime.datetime.combine(following, settings.ROLLOVER_TIME, SEOUL)
    return (at + datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)).astimezone(datetime.UTC)


def windows(date: datetime.date) -> list[Window]:
    """The regular sessions of all markets on a trading date; markets without one are left out."""
    found = []
    for market in Market.objects.order_by("code").values_list("code", flat=True):
        bounds = trading_dates.calendar(market).regular_window(date)
        if bounds is not None:
            found.append(Window(market=market, start_us=bounds[0], end_us=bounds[1]))
    return found


def notice(now: datetime.datetime) -> None:
    """Know every day there is: those with ticks, and from the first call on each trading day, for a day on which
    nothing came is a finding and not a gap in the list."""
    current, calendar = current_date(now), trading_dates.calendar(MARKET)
    newest = (
        RolloverRun.objects.filter(expected=True).order_by("-trade_date").values_list("trade_date", flat=True).first()
    )
    expected = {current} if newest is None else set(calendar.sessions(newest, current))
    known = set(RolloverRun.objects.values_list("trade_date", flat=True))
    new = (expected | set(storage().dates(TEMP))) - known
    RolloverRun.objects.bulk_create([RolloverRun(trade_date=date) for date in sorted(new)], ignore_conflicts=True)
    if newest is None or newest < current:
        RolloverRun.objects.filter(trade_date__in=expected).update(expected=True)


def due(now: datetime.datetime) -> list[RolloverRun]:
    """What there is to do at `now`: the day that became due last, then the others, newest first. Days that are over and
    not done, and done ones with late ticks, which wait until the day is over in every market they are of."""
    before, newest = current_date(now), newest_due(now)
    waiting = set(storage().dates(TEMP))
    runs = RolloverRun.objects.filter(trade_date__lt=before).order_by("-trade_date")
    chosen = runs.exclude(state=State.DONE) | runs.filter(state=State.DONE, trade_date__in=waiting)
    ready = [run for run in chosen if run.retry_at is None or run.retry_at <= now]
    found = [run for run in ready if run.state != State.DONE or going_on(run.trade_date, now) is None]
    return sorted(found, key=lambda run: run.trade_date != newest)


def newest_due(now: datetime.datetime) -> datetime.date:
    """The trading day that became due last; what is older than it is done a few at a time."""
    return trading_dates.calendar(MARKET).previous_session(current_date(now))


def going_on(date: datetime.date, now: datetime.datetime) -> datetime.datetime | None:
    """Until when ticks of a trading date may still be coming that are not late: of the markets that have ticks in TEMP,
    the last at which the date is over, and the grace. None when that is past. The evening of New York is after 08:00 in
    Seoul: its day is moved once at 08:00 and once when it has ended, not every minute in between."""
    if now >= datetime.datetime.combine(date + datetime.timedelta(days=2), datetime.time(), datetime.UTC):
        return None  # nowhere on earth
    codes = {symbol for symbol, _ in storage().tick_figures(date, tables=[TEMP])}
    markets = Symbol.objects.filter(code__in=codes).order_by().values_list("market_id", flat=True).distinct()
    ends = [trading_dates.calendar(market).ends_us(date) for market in markets]
    if not ends:
        return None
    until = datetime.datetime.fromtimestamp(max(ends) / 1e6, datetime.UTC)
    until += datetime.timedelta(seconds=settings.ROLLOVER_GRACE_S)
    return until if until > now else None


# --- running ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Context:
    """What the steps of one run share. `ledger` is what it said when this process verified the day, None before."""

    lease: Lease
    clock: Clock
    progress: Progress
    accept: str = ""
    threads: int = 2
    ledger: Figure | None = None
    tidy: bool = False
    """Whether this run has purged, made room and dropped already: once is enough, however many days it does."""


def run_due(
    *, clock: Clock = utc_now, progress: Progress | None = None, threads: int = 2, old_days: int | None = None
) -> list[datetime.date]:
    """Do whatever is due: the day that became due last, and what came after it, first; then at most `old_days` older
    ones (None: ROLLOVER_OLD_DAYS), newest first, so that old days which a replay brought never keep the newest waiting.
    Returns the dates that became done. Nothing if another process is at it."""
    now = clock()
    notice(now)
    runs = due(now)
    done: list[datetime.date] = []
    if runs:
        try:
            with leases.hold(leases.UPKEEP, ttl_s=TTL_S) as lease:
                most = settings.ROLLOVER_OLD_DAYS if old_days is None else old_days
                done = _run_all(due(now), lease, clock=clock, progress=progress or _log, threads=threads, most=most)
        except leases.HeldElsewhere as error:
            log.info("rollover waits reason=%s", error)
    try:
        count_ahead(now, clock=clock, progress=progress or _log)
    except (DatabaseError, StorageError, leases.LeaseLost) as error:  # it is counted next minute, or when it is due
        log.warning("not counted ahead error=%s: %s", type(error).__name__, error)
        connection.close()
    watch(clock())
    return done


def _run_all(
    runs: list[RolloverRun], lease: Lease, *, clock: Clock, progress: Progress, threads: int, most: int
) -> list[datetime.date]:
    done: list[datetime.date] = []
    began, tidy = clock(), False
    newest, current = newest_due(began), current_date(began)
    first_old = next((at for at, run in enumerate(runs) if run.trade_date < newest), len(runs))
    for at, run in enumerate(runs[: first_old + most]):
        if at >= first_old and (clock() - began > OLD_DAYS_TIME or current_date(clock()) != current):
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
    HeldElsewhere, Mismatch, StorageError or DatabaseError tell why it could not be done."""
    notice(clock())
    run, _ = RolloverRun.objects.get_or_create(trade_date=date)
    with leases.hold(leases.UPKEEP, ttl_s=TTL_S) as lease:
        run.refresh_from_db()
        context = Context(lease=lease, clock=clock, progress=progress or _log, accept=accept, threads=threads)
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
        step = STEPS[State(run.state)]
        context.progress(f"{run.trade_date} {step.__name__}")
        following, fields = step(run, context)
        _write(run, context, following, **fields)
    alarms.clear("rollover_failed", subject=run.trade_date.isoformat())
    alarms.clear("rollover_late", subject=run.trade_date.isoformat())
    if run.trade_date in (late := dropped.late_days()):
        alarms.sound(LATE_AFTER_DROP, _late_after_drop(late))
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


def _late_after_drop(late: Mapping[datetime.date, int]) -> str:
    shown = ", ".join(f"{date}: {rows:,}" for date, rows in itertools.islice(late.items(), 10))
    return (
        f"{sum(late.values()):,} ticks came for {len(late):,} days whose ticks retention had dropped ({shown}"
        f"{', …' if len(late) > 10 else ''}). They are kept in market_data_tick and are not the whole of their day:"
        " daily candles without minute candles stay as they were. `manage.py archive DATE` keeps them beside the"
        " archive of the day"
    )


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
    text = f"{type(error).__name__}: {error}"
    try:
        if (
            RolloverRun.objects.filter(pk=run.pk)
            .exclude(state=State.DONE)
            .update(error=text[:2000], tries=run.tries + 1, retry_at=None if passing else now + wait)
        ):  # else somebody else has done it meanwhile
            alarms.sound("rollover_failed", text, subject=run.trade_date.isoformat())
    except DatabaseError as gone:
        log.error("rollover failed date=%s error=%s and could not be noted: %s", run.trade_date, text, gone)


def watch(now: datetime.datetime) -> None:
    """Sound an alarm for each day that should have been done for a while, and one for all old days that only wait for
    their turn, if that takes long."""
    undone = RolloverRun.objects.filter(trade_date__lt=current_date(now)).exclude(state=State.DONE)
    newest = newest_due(now)
    queued = undone.filter(trade_date__lt=newest, error="", state=State.OPEN)
    backlog = queued.count()
    if backlog > LONG_BACKLOG * max(settings.ROLLOVER_OLD_DAYS, 1):
        alarms.sound(
            "rollover_late",
            f"{backlog:,} old trading dates wait to be rolled over, at most {settings.ROLLOVER_OLD_DAYS} a minute"
            " (ROLLOVER_OLD_DAYS) and after the newest; a replay of years does that",
            subject=BACKLOG,
        )
    else:
        alarms.clear("rollover_late", subject=BACKLOG)
    for run in undone.exclude(pk__in=queued.values("pk")).order_by("trade_date"):
        if due_at(run.trade_date) + LATE_AFTER <= now:
            held = JobLease.objects.filter(job=leases.UPKEEP).values_list("owner", flat=True).first()
            alarms.sound(
                "rollover_late",
                f"due since {due_at(run.trade_date):%Y-%m-%d %H:%M} UTC, still {run.state}: {run.error or 'not begun'}"
                f" (upkeep was last held by {held or 'nobody'})",
                subject=run.trade_date.isoformat(),
            )
    metrics.ROLLOVER_UNDONE.set(undone.count())
    if not dropped.late_days():
        alarms.clear(LATE_AFTER_DROP)
    ahead = current_date(now) + KNOWN_AHEAD
    if trading_dates.calendar(MARKET).covers(ahead):
        alarms.clear("calendar_ends")
    else:
        alarms.sound("calendar_ends", f"the calendar of {MARKET} does not reach {ahead}; see docs/calendar.md")


def _log(words: str) -> None:
    log.info("rollover %s", words)


# --- counting before it is due ----------------------------------------------------------------------------------------


def count_ahead(now: datetime.datetime, *, clock: Clock = utc_now, progress: Progress | None = None) -> bool:
    """Within ROLLOVER_COUNT_AHEAD_S before the current day is due: compare it with the ledger while nobody waits, and
    again when more came. What differs is known before it is due, and `verify` need only see that nothing was added
    since. Answers whether it counted."""
    date = current_date(now)
    run = RolloverRun.objects.filter(trade_date=date, state=State.OPEN).first()
    if run is None or now < due_at(date) - datetime.timedelta(seconds=settings.ROLLOVER_COUNT_AHEAD_S):
        return False
    if run.counted_at is not None and (now - run.counted_at < COUNT_AGAIN or _counted(run) == dropped.expected(date)):
        return False
    try:
        with leases.hold(leases.UPKEEP, ttl_s=TTL_S) as lease:
            return count(run, Context(lease=lease, clock=clock, progress=progress or _log, threads=1))
    except leases.HeldElsewhere:
        return False  # the day is counted next minute, or when it is due


def count(run: RolloverRun, context: Context) -> bool:
    """Count a day that is still open and note what was found; an alarm if the ledger says otherwise."""
    context.progress(f"{run.trade_date} count ahead")
    subject = run.trade_date.isoformat()
    expected, in_temp, before = _compare(run.trade_date, context.threads)
    found = in_temp + before
    noted = {"rows": found.rows, "checksum": found.checksum, "counted_at": context.clock()}
    context.lease.check()
    if not RolloverRun.objects.filter(pk=run.pk, state=State.OPEN, fence__lte=context.lease.fence).update(**noted):
        return False
    if found == expected:
        alarms.clear("rollover_failed", subject=subject)
    else:
        alarms.sound("rollover_failed", _differs(run.trade_date, expected, found), subject=subject)
    return True


def _counted(run: RolloverRun) -> Figure | None:
    """What was found when the day was counted ahead, if it was and has not moved since."""
    return None if run.counted_at is None or run.moved_at is not None else _noted(run)


def _noted(run: RolloverRun) -> Figure | None:
    """What was last found of the day."""
    return None if run.rows is None else Figure(run.rows, run.checksum or 0)


def _compare(date: datetime.date, threads: int, before: Figure | None = None) -> tuple[Figure, Figure, Figure]:
    """What the ledger says of a day, what TEMP has of it, and what HISTORY has (`before`, if that is known)."""
    expected, in_temp = dropped.expected(date), _stored(date, TEMP, threads)
    known = _stored(date, HISTORY, threads) if before is None else before
    if in_temp + known != expected:  # ticks may have been committed between the questions; ask at one moment
        with storage().snapshot():
            expected, in_temp = dropped.expected(date), _stored(date, TEMP)
            if before is None or in_temp + known != expected:
                known = _stored(date, HISTORY)
    return expected, in_temp, known


# --- the steps --------------------------------------------------------------------------------------------------------

Step = Callable[[RolloverRun, Context], tuple[str, dict[str, Any]]]


def seal(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """From here on whatever comes for this date is late."""
    return State.SEALED, {"tries": run.tries, "error": ""}


def verify(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """The ledger and the ticks must be the same in number and checksum, else the day stays where it is."""
    date, late = run.trade_date, run.moved_at is not None
    expected, counted, in_temp = dropped.expected(date), _counted(run), Figure()
    if counted == expected and storage().day_rows(date) == expected.rows:
        found = expected  # each value was compared when it was counted ahead, and nothing was added since
    else:
        before = Figure(run.rows or 0, run.checksum or 0) if late and not context.accept else None
        expected, in_temp, before = _compare(date, context.threads, before)
        found = in_temp + before
    fields = _judged(run, expected, found, accept=context.accept)
    context.ledger = expected
    if late:
        fields["late_rows"] = run.late_rows + in_temp.rows
    return State.VERIFIED, fields


def _judged(run: RolloverRun, expected: Figure, found: Figure, *, accept: str) -> dict[str, Any]:
    """What to note of a day whose ticks were compared with the ledger. Mismatch unless they are the same, or a
    difference is to be accepted, or just this one was."""
    subject = run.trade_date.isoformat()
    fields: dict[str, Any] = {"rows": found.rows, "checksum": found.checksum, "accepted": ""}
    if found != expected:
        difference = _acceptance(expected, found, accept or run.accepted.partition(": ")[2])
        if not accept and run.accepted != difference:
            raise Mismatch(_differs(run.trade_date, expected, found))
        fields["accepted"] = difference
    if found.rows:
        alarms.clear("day_empty", subject=subject)
    elif run.expected:
        alarms.sound("day_empty", "a trading day without a single tick", subject=subject)
    return fields


def _stored(date: datetime.date, table: str, threads: int = 1) -> Figure:
    return checksums.total(storage().tick_figures(date, tables=[table], threads=threads).values())


def _differs(date: datetime.date, expected: Figure, found: Figure) -> str:
    return (
        f"the ledger has {expected.rows:,} ticks of {date} (checksum {expected.checksum}), stored are"
        f" {found.rows:,} (checksum {found.checksum}); the rollover of this day stops. `manage.py verify_day {date}`"
        f" names each difference; `manage.py rollover --date {date} --accept REASON` goes on with it as it is."
    )


def _acceptance(expected: Figure, found: Figure, reason: str) -> str:
    """The accepted difference itself, so that another one is not accepted with it."""
    return f"{checksums.difference(expected, found)}: {reason}"[:200]


def move(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """The ticks go to market_data_tick. Others may have been committed after the comparison and gone with them; what
    has arrived is then compared again. It lies still, for ticks that come now enter TEMP and are moved next minute."""
    context.lease.check()
    date, late = run.trade_date, run.moved_at is not None
    storage().move_day(date, progress=_leased(context), count=False)
    with storage().snapshot():
        told, waiting = dropped.expected(date), _stored(date, TEMP)
    expected = told - waiting
    if expected == _noted(run) and (expected == context.ledger or storage().day_rows(date) == told.rows):
        return State.MOVED, {}
    context.progress(f"{date} more ticks came, or another run compared: comparing what was moved")
    found = _stored(date, HISTORY, context.threads)
    context.lease.check()  # without it, somebody else may have moved what came since
    fields = _judged(run, expected, found, accept="" if context.ledger is not None else context.accept)
    if late:
        fields["late_rows"] = run.late_rows + found.rows - (run.rows or 0)
    return State.MOVED, fields


def _leased(context: Context) -> Progress:
    """Progress that ends the work between two steps of it when the lease is gone."""

    def tell(words: str) -> None:
        context.lease.check()
        context.progress(words)

    return tell


def aggregate(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Daily candles, from the minute candles, if these are the whole of the day: else they stay as they are."""
    date = run.trade_date
    if dropped.Kind.MINUTES in dropped.kinds(date):
        return State.AGGREGATED, {}
    try:
        daily = storage().build_daily(date, windows(date))
    except NotWholeError as error:
        alarms.sound(NOT_WHOLE, f"{date}: {error}", subject=date.isoformat())
        return State.AGGREGATED, {}
    alarms.clear(NOT_WHOLE, subject=date.isoformat())
    return State.AGGREGATED, {"daily": daily}


def clean(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Caches of the day that is over, partitions for the days to come, and what is past its time."""
    if context.tidy:
        return State.CLEANED, {}
    now = context.clock()
    sealed_us = _us(run.sealed_at or now)
    storage().purge_caches(
        {name: _us(now - REALTIME_KEPT) if name == "cache_realtime_data" else sealed_us for name in CACHES}
    )
    retention.extend(now)
    retention.apply(now, progress=_leased(context))
    context.tidy = True
    return State.CLEANED, {}


def finish(run: RolloverRun, context: Context) -> tuple[str, dict[str, Any]]:
    """Done."""
    return State.DONE, {"tries": 0, "error": "", "retry_at": None}


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


# --- for people -------------------------------------------------------------------------------------------------------


def plan(now: datetime.datetime) -> Iterator[str]:
    """What a run at `now` would do, in lines; changes nothing."""
    current = current_date(now)
    known = {run.trade_date: run for run in RolloverRun.objects.all()}
    waiting = storage().dates(TEMP)
    following = due_at(current).astimezone(SEOUL)
    yield f"current trading day {current}; the next rollover is due at {following:%Y-%m-%d %H:%M} KST"
    dates = sorted(
        {date for date in waiting if date < current}
        | {date for date, run in known.items() if date < current and run.state != State.DONE}
    )
    if not dates:
        yield "nothing is due"
    for date in reversed(dates):
        run = known.get(date) or RolloverRun(trade_date=date)
        rows = _stored(date, TEMP).rows
        late = " (late ticks of a day that is done)" if run.state == State.DONE else ""
        state = State.SEALED if run.state == State.DONE else State(run.state)
        names = [step.__name__ for step in list(STEPS.values())[list(STEPS).index(state) :]]
        yield f"{date} {run.state}{late}: {rows:,} ticks in {TEMP}; {' → '.join(names)}"
        if run.state == State.OPEN and run.counted_at is not None:
            yield f"  counted ahead at {run.counted_at.astimezone(SEOUL):%m-%d %H:%M} KST: {run.rows:,} ticks"
        if run.retry_at is not None and run.retry_at > now:
            yield f"  not before {run.retry_at.astimezone(SEOUL):%H:%M} KST: {run.error}"
        if run.state == State.DONE and (until := going_on(date, now)) is not None:
            yield f"  not before {until.astimezone(SEOUL):%m-%d %H:%M} KST: the day is not over in every market"
        for window in windows(date):
            begin, end = (datetime.datetime.fromtimestamp(us / 1e6, SEOUL) for us in (window.start_us, window.end_us))
            yield f"  {window.market} regular session {begin:%H:%M} to {end:%H:%M} KST"
    yield from retention.plan_lines(now)
