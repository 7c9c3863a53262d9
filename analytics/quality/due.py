"""Keeps `quality_day` up to date: a series some minutes after it changed, and every quarter of an hour while its market
is open; all of a day, for good, once it was rolled over, and again when it changed after that.

Both are level-triggered and stop after a while, so that a call that is lost, comes twice or is cut off changes nothing.
What is written was computed of a day that still stands as it did when its reading began: with the rows it is asked
once more whether the day is final, and of what, and if that is another answer nothing is written.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from collections.abc import Iterable, Sequence

import redis
from django.conf import settings
from django.db.models import Count

from analytics.quality import days, series
from analytics.quality.series import Pair, Reader
from marketdata import connections, metrics
from marketdata.calendar import trading_dates
from marketdata.maintenance import retention
from marketdata.models import Gap, QualityDay, RolloverRun, Symbol, VoidedTick
from marketdata.realtime import live_state, quality_due
from marketdata.storage import storage
from marketdata.storage.base import Progress

log = logging.getLogger(__name__)

QUIET_US = 300_000_000
"""From a change to when it is told: what changes until then is told with it."""
AGAIN_US = 900_000_000
"""So often a series is looked at that does not change."""
LONGEST_S, LONGEST_FINAL_S = 3.0, 20.0
"""The same workers have other things to do."""
TRIES = 3
TOGETHER = 40
EXPECTED_DAYS = 7
"""A series of which something came within so many days is expected."""
LATE_GAPS = datetime.timedelta(days=7)
_HALF = 16  # letters of a proof
State = RolloverRun.State


class Moved(Exception):
    """The day was rolled over, or changed, while it was computed; nothing was written, and it is due again."""


# --- while the day is going on ----------------------------------------------------------------------------------------


def changed(connection: redis.Redis, pairs: Iterable[tuple[str, str]]) -> None:
    """Note that these (feed, symbol) changed."""
    quality_due.mark(connection, pairs, time.time_ns() // 1000 + QUIET_US)


def compute(now: datetime.datetime, *, longest_s: float = LONGEST_S) -> int:
    """Compute series that are due, for at most so many seconds; returns how many rows were put in place."""
    connection, began, put = live_state.connection(), time.monotonic(), 0
    now_us = _us(now)
    _begin_day(connection, now)
    _mark_gaps(connection, now)
    while time.monotonic() - began < longest_s:
        taken = quality_due.take(connection, now_us, most=TOGETHER)
        if not taken:
            break
        put += _compute_taken(connection, taken, now)
    metrics.QUALITY_ROWS.inc(put)
    return put


def _begin_day(connection: redis.Redis, now: datetime.datetime) -> None:
    """With a new trading date, or in an empty Redis, all series are due that are expected or had something already."""
    date = trading_dates.calendar(days.MARKET).trade_date(_us(now))
    if quality_due.begin(connection, date.isoformat()):
        today = QualityDay.objects.filter(trade_date=date).values_list("symbol", "feed")
        pairs = {*expected(date), *today}
        quality_due.mark(connection, ((feed, symbol) for symbol, feed in pairs), _us(now))


def _mark_gaps(connection: redis.Redis, now: datetime.datetime) -> None:
    """The series of gaps that were told since the last look are due at once, whoever told them; those of a gap of a
    whole feed are all that are expected of it or have something already. A gap that is numbered before others and
    committed after them is seen as all that changes: AGAIN_US later."""
    seen = quality_due.gaps_seen(connection)
    found = list(
        Gap.objects.filter(pk__gt=seen or 0)
        .order_by("-pk")
        .values_list("pk", "symbol", "feed")[: series.MOST_GAPS if seen is not None else 1]
    )
    if found and seen is not None:  # else all are due anyway: the day begins, or Redis was emptied
        pairs = {(feed, symbol) for _, symbol, feed in found}
        if whole := {feed for feed, symbol in pairs if not symbol}:
            date = trading_dates.calendar(days.MARKET).trade_date(_us(now))
            today = QualityDay.objects.filter(trade_date=date, feed__in=whole).values_list("symbol", "feed")
            pairs |= {(feed, symbol) for symbol, feed in {*expected(date), *today} if feed in whole}
        quality_due.mark(connection, pairs, _us(now))
    if found or seen is None:
        quality_due.note_gaps(connection, found[0][0] if found else 0)


def _compute_taken(connection: redis.Redis, taken: Sequence[tuple[str, str]], now: datetime.datetime) -> int:
    now_us, by_date = _us(now), dict[datetime.date, list[Pair]]()
    markets = dict(Symbol.objects.filter(code__in={symbol for _, symbol in taken}).values_list("code", "market_id"))
    again = []
    for feed, symbol in taken:
        if symbol in markets:
            calendar = trading_dates.calendar(markets[symbol])
            date = calendar.trade_date(now_us)
            by_date.setdefault(date, []).append((symbol, feed))
            hours = calendar.trading_times(date)
            if hours is not None and now_us < hours[1] + AGAIN_US:
                again.append((feed, symbol))
    put = 0
    for date, pairs in by_date.items():
        if RolloverRun.objects.filter(trade_date=date, state=State.DONE).exists():
            continue  # `finish` has it
        try:
            put += len(_put(date, Reader(date, now_us), pairs, proof="", now=now))
        except Moved as error:
            log.info("quality is left to the day that is over reason=%s", error)
    quality_due.mark(connection, again, now_us + AGAIN_US)
    quality_due.settle(connection, taken)
    return put


def expected(date: datetime.date) -> set[Pair]:
    """The series of which something came within the days before, and whose symbols are still collected."""
    rows = QualityDay.objects.filter(
        trade_date__gte=date - datetime.timedelta(days=EXPECTED_DAYS), trade_date__lt=date, stored__gt=0
    )  # fmt: skip
    pairs = set(rows.order_by().values_list("symbol", "feed").distinct())
    there = Symbol.objects.filter(is_active=True).exclude(delisted_on__lte=date)
    collected = set(there.values_list("code", flat=True))
    return {(symbol, feed) for symbol, feed in pairs if symbol in collected}


def _put(
    date: datetime.date, reader: Reader, pairs: Iterable[Pair], *, proof: str, now: datetime.datetime
) -> list[Pair]:
    """Compute these series and keep what there is to tell of them. Moved if the day is not any more what `proof` says
    ("": it is going on); what was computed of it before is left then."""
    told = [
        one
        for one in reader.read(pairs)
        if one.stored or one.rejected or one.voided or one.gaps or one.session or one.halted
    ]
    rows = [series.as_row(one, proof=proof, now=now) for one in told]

    def keep() -> None:
        with storage().transaction():
            series.store(rows)
            _refuse_moved(date, proof)  # behind the rows: whoever makes the day final meanwhile waits for them

    connections.steadily(keep)
    return [(one.symbol, one.feed) for one in told]


def _refuse_moved(date: datetime.date, proof: str) -> None:
    """Moved unless a day that is final is still what it was computed of, and another one still goes on."""
    run = RolloverRun.objects.filter(trade_date=date, state=State.DONE).first()
    if ("" if run is None else _day_proof(run)) != proof[:_HALF]:
        raise Moved(f"{date} changed while its quality was computed")


# --- when it is over --------------------------------------------------------------------------------------------------


def finish(
    now: datetime.datetime, *, longest_s: float = LONGEST_FINAL_S, progress: Progress | None = None
) -> list[datetime.date]:
    """Compute the days that were rolled over and are not what they were computed of, the newest first and then the
    oldest, for about so many seconds. Returns those that are complete now."""
    began, done = time.monotonic(), []
    for date, proof in due_days(now):
        try:
            if not _finish(date, proof, now, until=began + longest_s, progress=progress):
                break
            done.append(date)
        except Moved as error:
            log.info("quality is due again reason=%s", error)
        if time.monotonic() - began > longest_s:
            break
    return done


def due_days(now: datetime.datetime) -> list[tuple[datetime.date, str]]:
    """The days to compute for good, and of what."""
    kept = RolloverRun.objects.filter(retention.quality_is_kept(now), state=State.DONE, dropped_at=None)
    runs = list(kept.order_by("trade_date"))
    taken = VoidedTick.objects.filter(trade_date__in=[run.trade_date for run in runs]).order_by()
    voided = dict(taken.values_list("trade_date").annotate(Count("pk")))
    newer = _with_newer_gaps(now)
    found = []
    for run in runs:
        date = run.trade_date
        proof = _day_proof(run, voided.get(date, 0)) + _half(newer.get(date, 0))
        if run.graded_as != proof and not (date not in newer and run.graded_as[:_HALF] == proof[:_HALF]):
            found.append((date, proof))
    return found[-1:] + found[:-1]


def _day_proof(run: RolloverRun, voided: int | None = None) -> str:
    """The first half of what a day is computed of; the second is of its newest gaps. `voided` ticks are counted where
    they were not."""
    if voided is None:
        voided = VoidedTick.objects.filter(trade_date=run.trade_date).count()
    return _half((run.done_at and run.done_at.timestamp(), run.rows, run.checksum, voided))


def _half(told: object) -> str:
    return hashlib.sha256(repr(told).encode()).hexdigest()[:_HALF]


def _with_newer_gaps(now: datetime.datetime) -> dict[datetime.date, int]:
    """The days of which gaps were told within LATE_GAPS, with the newest of them."""
    found: dict[datetime.date, int] = {}
    recent = Gap.objects.filter(created_at__gte=now - LATE_GAPS).order_by("pk")
    calendar = trading_dates.calendar(days.MARKET)
    for number, date, from_us, to_us in recent.values_list("pk", "trade_date", "from_us", "to_us")[: series.MOST_GAPS]:
        if date is not None:
            found[date] = number
            continue
        first, last = calendar.trade_date(from_us), calendar.trade_date(to_us)
        for day in range(min((last - first).days, settings.RETENTION_QUALITY_DAYS) + 1):
            found[last - datetime.timedelta(days=day)] = number
    return found


def _finish(
    date: datetime.date, proof: str, now: datetime.datetime, *, until: float, progress: Progress | None
) -> bool:
    """Compute what is left of a day; whether that is all."""
    reader = Reader(date, _us(now))
    known = set(Symbol.objects.values_list("code", flat=True))
    pairs = {*storage().day_series(date), *expected(date), *(pair for pair in reader.named if pair[0] in known)}
    pairs -= set(QualityDay.objects.filter(trade_date=date, proof=proof).values_list("symbol", "feed"))
    left = sorted(pairs)
    for at in range(0, len(left), TOGETHER):
        if at and time.monotonic() > until:
            return False
        put = _put(date, reader, left[at : at + TOGETHER], proof=proof, now=now)
        metrics.QUALITY_ROWS.inc(len(put))
        if progress is not None:
            progress(f"{date} quality: {min(at + TOGETHER, len(left)):,} of {len(left):,} series")

    def end() -> None:
        with storage().transaction():
            QualityDay.objects.filter(trade_date=date).exclude(proof=proof).delete()
            RolloverRun.objects.filter(trade_date=date).update(graded_as=proof)
            _refuse_moved(date, proof)

    connections.steadily(end)
    log.info("quality computed date=%s series=%d", date, len(left))
    return True


def recompute(date: datetime.date, now: datetime.datetime, *, progress: Progress) -> int:
    """Compute all of a day anew; returns how many series it has then. LookupError if nothing is known of the date,
    ValueError if its ticks are gone, so that the rows there are must stay, or if it is past RETENTION_QUALITY_DAYS.
    Moved if it changed again and again meanwhile."""
    for left in range(TRIES - 1, -1, -1):
        try:
            _recompute(date, now, progress)
            break
        except Moved:
            if not left:
                raise
    return QualityDay.objects.filter(trade_date=date).count()


def _recompute(date: datetime.date, now: datetime.datetime, progress: Progress) -> None:
    run = RolloverRun.objects.filter(trade_date=date).first()
    if run is not None and run.dropped_at is not None:
        raise ValueError(f"the ticks of {date} are gone")
    if run is not None and run.state == State.DONE:
        if not RolloverRun.objects.filter(retention.quality_is_kept(now), trade_date=date).exists():
            raise ValueError(f"{date} is older than RETENTION_QUALITY_DAYS")
        connections.steadily(lambda: _ungrade(date))
        proof = dict(due_days(now)).get(date)
        if proof is None:
            raise Moved(f"{date} was computed by somebody else meanwhile, or changed")
        _finish(date, proof, now, until=float("inf"), progress=progress)
        return
    pairs = storage().day_series(date)
    if run is None and not pairs:
        raise LookupError(f"nothing is known of {date}")
    reader = Reader(date, _us(now))
    known = set(Symbol.objects.values_list("code", flat=True))
    left = sorted({*pairs, *expected(date), *(pair for pair in reader.named if pair[0] in known)})
    for at in range(0, len(left), TOGETHER):
        _put(date, reader, left[at : at + TOGETHER], proof="", now=now)
        progress(f"{date} quality: {min(at + TOGETHER, len(left)):,} of {len(left):,} series")


def ungrade(date: datetime.date) -> None:
    """Within a transaction that changed candles of a day: it is due again, if it was graded, for prices of sources are
    compared by their candles."""
    QualityDay.objects.filter(trade_date=date).update(proof="")
    RolloverRun.objects.filter(trade_date=date).update(graded_as="")


def _ungrade(date: datetime.date) -> None:
    with storage().transaction():
        ungrade(date)


def _us(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1e6)
