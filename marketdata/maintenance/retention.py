"""How long data is kept: room is made ahead, and what is past its time goes by whole partitions. Can be printed before
it is done.

A day is kept for its time from the later of two moments: the day itself, and when it was stored; so history that was
loaded yesterday is not gone tomorrow. What goes is noted first, for ever (`marketdata.maintenance.dropped`).
"""

from __future__ import annotations

import datetime
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Model, Q, QuerySet, Sum
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketdata import alarms
from marketdata.ledger import batch_ledger, comparisons
from marketdata.maintenance import Kept, before_drop, dropped, nodes
from marketdata.models import (
    Alert,
    DeadLetter,
    FeedChange,
    Gap,
    IngestBatch,
    IngestBatchDay,
    IngestReject,
    IngestRequeue,
    IngestStream,
    QualityDay,
    RolloverRun,
    VendorMinute,
)
from marketdata.storage import StorageBusyError, storage
from marketdata.storage.base import ALL_FEEDS, BOOKS, DAILY, EVENTS, HISTORY, MINUTES, PERIODS, PRICES, TEMP, Progress
from marketdata.storage.keys import NEAR_DAYS
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.tick_arrays import SEQ_BITS
from marketdata.types.units import DAY_US, day_of, microseconds

log = logging.getLogger(__name__)

PIECE = 5_000
SHORT_DAYS = 2  # fewer days of room ahead than this is an alarm
SOON_DAYS = 4  # with fewer, room is made at any moment
LONGEST_COMMIT_US = 600_000_000  # between what a claim row says of its commit and the moment others see it
EMPTY_AFTER = datetime.timedelta(days=8)  # ticks may be a week late; then an empty partition of today's ticks goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A period of a table that is past its time."""

    table: str
    start: datetime.date
    end: datetime.date
    rows: int
    bytes: int
    why: str


def rules() -> dict[str, datetime.timedelta]:
    """How long each table's days are kept; tables that are not named are kept for ever."""
    days = {
        HISTORY: settings.RETENTION_TICKS_DAYS,
        MINUTES: settings.RETENTION_MINUTES_DAYS,
        BOOKS: settings.RETENTION_BOOKS_DAYS,
        EVENTS: settings.RETENTION_EVENTS_DAYS,
        PRICES: settings.RETENTION_PRICES_DAYS,
    }
    return {table: datetime.timedelta(days=number) for table, number in days.items()}


# --- room ahead -------------------------------------------------------------------------------------------------------


def extend(now: datetime.datetime, *, at_once: bool = True) -> None:
    """Make room for today and PARTITION_DAYS_AHEAD days in every table; without `at_once` only where it ends within
    SOON_DAYS. An alarm if less than SHORT_DAYS are there afterwards, or if rows had to be kept where there is no room
    for them."""
    today = now.date()
    days = [today + datetime.timedelta(days=day) for day in range(-1, settings.PARTITION_DAYS_AHEAD + 1)]
    store = storage()
    for table in PERIODS:
        if at_once or _room_ends(table, today) <= today + datetime.timedelta(days=SOON_DAYS):
            try:
                store.ensure_partitions(days, (table,))
            except StorageBusyError as error:
                log.warning("no room made table=%s error=%s", table, error)
        ends = [part.end for part in store.partitions(table) if part.end is not None]
        if ends and max(ends) <= today + datetime.timedelta(days=SHORT_DAYS):
            alarms.raise_alarm(
                "partitions_short",
                format_lazy(
                    gettext_lazy("room in {table} ends at {date}; see docs/operations.md"), table=table, date=max(ends)
                ),
                subject=table,
            )
        else:
            alarms.resolve("partitions_short", subject=table)
        outside = store.default_partition_rows(table)
        if outside:
            alarms.raise_alarm(
                "rows_without_room",
                format_lazy(
                    gettext_lazy("{rows:,} rows of {table} lie outside of its periods"), rows=outside, table=table
                ),
                subject=table,
            )
        else:
            alarms.resolve("rows_without_room", subject=table)


def _room_ends(table: str, today: datetime.date) -> datetime.date:
    """The first date from today on without room; a partition of a far date is none for those before it."""
    end = today
    for part in storage().partitions(table):
        if part.start is not None and part.end is not None and part.start <= end < part.end:
            end = part.end
    return end


# --- what goes --------------------------------------------------------------------------------------------------------


def plan(now: datetime.datetime, *, held: list[datetime.date] | None = None) -> list[Drop]:
    """Which periods are past their time at `now`, oldest first; changes nothing. `held` is given the days that stay
    because their ticks are not archived yet."""
    store, found = storage(), []
    runs = list(RolloverRun.objects.values_list("trade_date", "done_at", "archived_at", "dropped_at", "rows"))
    stored_at = {date: done_at or now for date, done_at, *_ in runs}
    unarchived: set[datetime.date] = set()
    if settings.ARCHIVE:  # whatever is there and is not known to be archived, or known to be on its way out
        safe = {
            date for date, _done_at, archived_at, dropped_at, rows in runs if archived_at or dropped_at or rows == 0
        }
        unarchived = set(store.dates(HISTORY)) - safe
    waiting = set(store.dates(TEMP))
    for table, kept in rules().items():
        oldest = now - kept
        for start, end, rows, size in _periods(table):
            days = [start + datetime.timedelta(days=day) for day in range((end - start).days)]
            if end > oldest.date() or any(stored_at.get(day, oldest) > oldest for day in days):
                continue
            if not waiting.isdisjoint(days):
                continue  # its late ticks are moved first
            if table in (HISTORY, PRICES, BOOKS, EVENTS) and not unarchived.isdisjoint(days):
                if held is not None:
                    held.append(start)
                continue
            why = _("kept {days} days").format(days=kept.days)
            found.append(Drop(table=table, start=start, end=end, rows=rows, bytes=size, why=why))
    found += [
        Drop(table=TEMP, start=part.start, end=part.end, rows=0, bytes=part.bytes, why=_("moved"))
        for part in store.partitions(TEMP)
        if part.start and part.end and part.end < (now - EMPTY_AFTER).date() and part.start not in waiting
    ]
    return sorted(found, key=lambda drop: (drop.table, drop.start))


def _periods(table: str) -> Iterator[tuple[datetime.date, datetime.date, int, int]]:
    parts = storage().partitions(table)
    for part in parts:
        if part.start is not None and part.end is not None:
            yield part.start, part.end, part.rows, part.bytes
    if not parts:  # no partitions in this database: the periods of the days that are there
        for start, end in sorted({PERIODS[table](date) for date in storage().dates(table)}):
            yield start, end, 0, 0


def apply(now: datetime.datetime, *, progress: Progress) -> list[Drop]:
    """Do at once what `plan` says, and forget what lies in no partition. Returns what went of the plan."""
    gone = drop_periods(now, progress=progress)
    forget(now, progress=progress)
    return gone


def drop_periods(now: datetime.datetime, *, progress: Progress) -> list[Drop]:
    """Do what `plan` says; what is in use is left for the next time. Returns what went. On servers each is a change of
    a table, for which `marketdata.maintenance.quiet` waits."""
    gone: list[Drop] = []
    held: list[datetime.date] = []
    nodes.look_again()
    for drop in plan(now, held=held):
        if nodes.compare_period(drop.table, drop.start, drop.end):
            continue  # another node may hold what is missing here, or would not drop what we do
        unless = _newcomers(drop) if _is_archived(drop) else None
        if not _let_go(drop, progress):
            held.append(drop.start)
            continue
        progress(f"dropping {drop.table} {drop.start}")
        noted = _note(drop, now)
        try:
            if not storage().drop_days(drop.table, [drop.start], unless=unless):
                continue  # something came late after all, and is looked at the next time
        except StorageBusyError as error:
            log.warning("not dropped table=%s start=%s error=%s", drop.table, drop.start, error)
            if noted:
                dropped.withdraw(_KINDS[drop.table], noted)
            continue
        gone.append(drop)
        log.info("dropped table=%s start=%s rows=%d bytes=%d", drop.table, drop.start, drop.rows, drop.bytes)
    if held:
        days = sorted(set(held))
        words = format_lazy(
            gettext_lazy("{number} days are past their time and not archived, so they are kept: {first} to {last}"),
            number=len(days), first=days[0], last=days[-1],
        )  # fmt: skip
        alarms.raise_alarm("not_archived", words)
    else:
        alarms.resolve("not_archived")
    return gone


def forget(now: datetime.datetime, *, progress: Progress) -> None:
    """Delete in pieces what is past its time and lies in no partition."""
    forget_ledger(now, progress=progress)
    forget_vendor_minutes(now, progress=progress)
    forget_alerts(now, progress=progress)
    forget_quality(now, progress=progress)
    forget_changes(now, progress=progress)


def _let_go(drop: Drop, progress: Progress) -> bool:
    """Whether a period may go. Prices, order books and events may have come after the day's ticks were archived, the
    latter two without a tick, so the archive is told right before they go."""
    if not _is_archived(drop):
        return True
    dates = storage().dates_within(drop.table, drop.start, drop.end)
    try:
        before_drop.send(None, table=drop.table, dates=dates, progress=progress)
    except Kept as error:
        log.warning("not archived, so kept table=%s start=%s error=%s", drop.table, drop.start, error)
        return False
    return True


def _is_archived(drop: Drop) -> bool:
    """Whether it is compared with the archive before it goes; of ticks their own mark says that it was."""
    return settings.ARCHIVE and drop.table in (PRICES, BOOKS, EVENTS)


def _newcomers(drop: Drop) -> Callable[[], bool]:
    """Whether, when it is asked, a batch is committed that was not before, and may have rows of a period."""
    since_us = batch_ledger.now_us() - LONGEST_COMMIT_US
    end_us = (day_of(drop.end) + NEAR_DAYS) * DAY_US

    def committed() -> set[tuple[str, int]]:
        batches = IngestBatch.objects.filter(committed_us__gte=since_us, first_us__lt=end_us)
        again = IngestRequeue.objects.filter(at_us__gte=since_us)
        return {
            *(("batch", batch) for batch in batches.values_list("batch", flat=True)),
            *(("requeue", key) for key in again.values_list("pk", flat=True)),
        }

    before = committed()
    return lambda: not committed() <= before


_KINDS = {HISTORY: dropped.Kind.TICKS, MINUTES: dropped.Kind.MINUTES}


def _note(drop: Drop, now: datetime.datetime) -> list[datetime.date]:
    """Remember which days are about to be no longer whole; those of which it is new."""
    if drop.table not in _KINDS:
        return []
    dates = storage().dates_within(drop.table, drop.start, drop.end)
    return dropped.note_ticks(dates, now) if drop.table == HISTORY else dropped.note_minutes(dates, now)


def forget_ledger(now: datetime.datetime, *, progress: Progress) -> int:
    """Delete ledger rows, refused rows, dead letters and gaps past RETENTION_LEDGER_DAYS, in pieces. The newest batch
    of each spool stays, so that its terminal is still known; days whose ticks or minute candles are there keep their
    ledger, for it is what recognises a tick that is sent again."""
    oldest = now - datetime.timedelta(days=settings.RETENTION_LEDGER_DAYS)
    oldest_us = int(oldest.timestamp() * 1e6)
    kept = storage().dates(HISTORY)[:1] + storage().dates(TEMP)[:1]
    kept += [start for start, *_ in itertools.islice(_periods(MINUTES), 1)]
    first_kept = min([oldest.date(), *kept])
    gone = 0
    for rows in (IngestReject.objects, DeadLetter.objects, Gap.objects):
        gone += _in_pieces(rows.filter(created_at__lt=oldest), progress)
    after = (0, 0)
    while True:
        page = list(
            IngestBatch.objects.filter(committed_us__lt=oldest_us, committed_us__gte=after[0])
            .exclude(committed_us=after[0], batch__lte=after[1])
            .order_by("committed_us", "batch")
            .values_list("committed_us", "batch")[:PIECE]
        )
        if not page:
            return gone
        after = page[-1]
        batches = [batch for _, batch in page]
        kept_days = IngestBatchDay.objects.filter(batch__in=batches, trade_date__gte=first_kept)
        old = set(batches) - set(kept_days.values_list("batch", flat=True)) - _newest(batches)
        _tell_holes_before(old)
        with storage().transaction():
            days = IngestBatchDay.objects.filter(batch__in=old)
            sums = days.order_by().values("trade_date").annotate(sum_rows=Sum("rows"), sum_checksum=Sum("checksum"))
            dropped.note_ledger(
                {one["trade_date"]: Figure(int(one["sum_rows"]), int(one["sum_checksum"]) % PRIME) for one in sums}, now
            )
            days.delete()
            gone += IngestBatch.objects.filter(batch__in=old).delete()[0]
        progress(f"{gone:,} rows of the ledger forgotten")


def forget_vendor_minutes(now: datetime.datetime, *, progress: Progress) -> int:
    """Delete vendors' minute bars past RETENTION_VENDOR_DAYS, in pieces."""
    oldest = now.date() - datetime.timedelta(days=settings.RETENTION_VENDOR_DAYS)
    gone = _in_pieces(VendorMinute.objects.filter(trade_date__lt=oldest), progress)
    if gone:
        storage().note_finished(ALL_FEEDS)
    return gone


def forget_alerts(now: datetime.datetime, *, progress: Progress) -> int:
    """Delete alerts past RETENTION_ALERTS_DAYS with what became of their deliveries, in pieces. One whose condition
    still holds stays: it says that its episode goes on."""
    oldest = now - datetime.timedelta(days=settings.RETENTION_ALERTS_DAYS)
    return _in_pieces(Alert.objects.filter(fired_at__lt=oldest).exclude(cleared_at=None), progress)


def forget_quality(now: datetime.datetime, *, progress: Progress) -> int:
    """Delete the quality of days past RETENTION_QUALITY_DAYS, in pieces."""
    oldest = (now - datetime.timedelta(days=settings.RETENTION_QUALITY_DAYS)).date()
    kept = RolloverRun.objects.filter(quality_is_kept(now), trade_date__lt=oldest).values_list("trade_date", flat=True)
    return _in_pieces(QualityDay.objects.filter(trade_date__lt=oldest).exclude(trade_date__in=list(kept)), progress)


def forget_changes(now: datetime.datetime, *, progress: Progress) -> int:
    """Delete what another broker was not told: of a feed whose ledger is gone, or, where there is none (EVENT_BUS), of
    before today."""
    days = 1 if settings.EVENT_BUS == "none" else settings.RETENTION_LEDGER_DAYS
    oldest_us = microseconds(now - datetime.timedelta(days=days))
    return _in_pieces(FeedChange.objects.filter(changed_us__lt=oldest_us), progress)


def quality_is_kept(now: datetime.datetime) -> Q:
    """The rollovers of days whose quality is kept: for its time from the day itself, or from when it was stored."""
    oldest = now - datetime.timedelta(days=settings.RETENTION_QUALITY_DAYS)
    return Q(trade_date__gt=oldest.date()) | Q(done_at__gt=oldest)


def _newest(batches: list[int]) -> set[int]:
    """Those that are the newest of their spool."""
    streams = {batch >> SEQ_BITS for batch in batches}
    return {stream << SEQ_BITS | batch_ledger.highest(stream) for stream in streams}


def _tell_holes_before(batches: set[int]) -> None:
    """What is forgotten is no hole: those that are there already are told first, and then nobody looks below."""
    upto: dict[int, int] = {}
    for batch in batches:
        upto[batch >> SEQ_BITS] = max(upto.get(batch >> SEQ_BITS, 0), batch & batch_ledger.SEQ_MASK)
    for owner in IngestStream.objects.select_related("client").filter(pk__in=upto):
        comparisons.tell_holes(owner.client, owner.pk, upto[owner.pk])


def _in_pieces(rows: QuerySet[Model], progress: Progress) -> int:
    gone = 0
    while old := list(rows.order_by("pk").values_list("pk", flat=True)[:PIECE]):
        gone += rows.model._default_manager.filter(pk__in=old).delete()[0]
        progress(f"{gone:,} rows of {rows.model._meta.db_table} forgotten")
    return gone


def plan_lines(now: datetime.datetime) -> Iterator[str]:
    """The plan for people."""
    drops = plan(now)
    for drop in drops:
        yield _("drop {table} {start} to {end}: about {rows:,} rows, {size:,} bytes ({why})").format(
            table=drop.table, start=drop.start, end=drop.end, rows=drop.rows, size=drop.bytes, why=drop.why
        )
    if not drops:
        yield _("retention: nothing is past its time")
    for table, kept in rules().items():
        yield _("  {table}: {days} days").format(table=table, days=kept.days)
    yield _("  {table}: for ever").format(table=DAILY)
