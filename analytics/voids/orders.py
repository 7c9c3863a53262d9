"""Orders to void: carried out series by series, gone on with when they were interrupted, and taken back."""

from __future__ import annotations

import datetime
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from analytics.integrity import consistency, repair
from analytics.voids import moves
from analytics.voids.selection import Chosen, Selection, check
from marketdata import alarms
from marketdata.maintenance import dropped, leases, rollover
from marketdata.models import RolloverRun, VoidedTick, VoidOrder
from marketdata.storage import NotWholeError, StorageError, storage
from marketdata.storage.base import PRICES, TEMP, Progress

log = logging.getLogger(__name__)
MOST_NAMED = 5
FAILED = "void_failed"


class NotDone(Exception):
    """Part of an order could not be carried out; the message says what, why and what to do. The rest is done."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How many ticks of which series went (or would go), and the order, if one was made. `dropped` are the days that
    stay as they are, for retention has been at them."""

    series: dict[tuple[datetime.date, str, str], int]
    dropped: list[datetime.date]
    order: int | None = None

    @property
    def ticks(self) -> int:
        return sum(self.series.values())


def void(selection: Selection, *, reason: str, by: str, progress: Progress = consistency.silent) -> Outcome:
    """Void what was selected. NothingChosen; leases.LeaseHeld, LeaseLost and NotDone: the order is gone on with
    later."""
    check(selection)
    order = VoidOrder.objects.create(selection=selection.as_json(), reason=reason[:200], ordered_by=by[:150])
    log.warning("ticks are voided order=%d by=%s reason=%r selection=%s", order.pk, by, reason, order.selection)
    return _carry_out(order, progress)


def preview(selection: Selection) -> Outcome:
    """What `void` would take; changes nothing."""
    check(selection)
    chosen = Chosen(selection)
    dates, gone = chosen.dates()
    found = Outcome(series={}, dropped=gone)
    for date in dates:
        for symbol, feed in chosen.series(date):
            if count := len(chosen.ticks(date, symbol, feed)):
                found.series[date, symbol, feed] = count
    return found


def resume(progress: Progress = consistency.silent) -> int:
    """Go on with orders that were interrupted; how many. One that cannot be carried out is the alarm `void_failed` and
    holds up no other."""
    orders = list(VoidOrder.objects.filter(done_at=None).order_by("pk"))
    for order in orders:
        try:
            _carry_out(order, progress)
        except NotDone as error:
            alarms.raise_alarm(FAILED, str(error), subject=str(order.pk))
        except (StorageError, LookupError) as error:
            alarms.raise_alarm(FAILED, f"order {order.pk}: {type(error).__name__}: {error}", subject=str(order.pk))
    return len(orders)


def _carry_out(order: VoidOrder, progress: Progress) -> Outcome:
    """NotDone names what of the order is left; nothing of it holds up the rest."""
    chosen, left = Chosen(Selection.of_json(order.selection)), list[str]()
    with leases.hold(leases.UPKEEP) as lease:  # nobody moves or drops the day meanwhile
        dates, gone = chosen.dates()
        found = Outcome(series={}, dropped=gone, order=order.pk)
        # Days of which all was taken before an interruption are in the ledger no more.
        begun = set(VoidedTick.objects.filter(order=order).order_by().values_list("trade_date", flat=True).distinct())
        for date in sorted(begun.union(dates)):
            for symbol, feed in chosen.series(date) if date in dates else ():
                lease.check()
                job = functools.partial(moves.void, order, chosen, date, symbol, feed)
                try:
                    count = repair.again(job)
                except NotWholeError as error:
                    left.append(str(error))
                    continue
                if count:
                    found.series[date, symbol, feed] = count
                    progress(
                        _("{date} {feed} {symbol}: {count:,} ticks").format(
                            date=date, feed=feed, symbol=symbol, count=count
                        )
                    )
            lease.check()
            try:
                _daily(date, order)
            except NotWholeError as error:
                left.append(_("{date} daily candles: {error}").format(date=date, error=error))
        if left:
            raise NotDone(
                _(
                    "of order {pk} is left: {few}. It is tried again every half minute; `manage.py void "
                    "--restore {pk}` puts back what it took and gives it up"
                ).format(pk=order.pk, few=_few(left))
            )
        VoidOrder.objects.filter(pk=order.pk).update(done_at=datetime.datetime.now(datetime.UTC))
    alarms.resolve(FAILED, subject=str(order.pk))
    return found


def _few(words: Sequence[str]) -> str:
    return "; ".join(words[:MOST_NAMED]) + (f"; and {len(words) - MOST_NAMED:,} more" if words[MOST_NAMED:] else "")


def _daily(date: datetime.date, order: VoidOrder) -> None:
    """The daily candles of a day of which this order took ticks, if there are any. NotWholeError: they stay as they
    are."""
    run = RolloverRun.objects.filter(trade_date=date, aggregated_at__isnull=False).first()
    if run is None or not VoidedTick.objects.filter(order=order, trade_date=date).exists():
        return
    if dropped.Kind.MINUTES in dropped.kinds(date):  # since the order took them
        log.warning("daily candles keep what was voided date=%s order=%d: no minute candles", date, order.pk)
        return
    # Minute candles have fewer trades because orders took them, not because something is missing; another order that
    # is not through may have taken some as well.
    taken = VoidedTick.objects.filter(trade_date=date).filter(Q(order=order) | Q(order__done_at=None))
    proven = set(taken.order_by().values_list("symbol", "feed").distinct())
    daily = repair.again(lambda: storage().build_daily(date, rollover.windows(date), proven=proven))
    RolloverRun.objects.filter(pk=run.pk).update(daily=daily)
    alarms.resolve(rollover.NOT_WHOLE, subject=date.isoformat())


def restore(order: VoidOrder, *, by: str, progress: Progress = consistency.silent) -> int:
    """Put back every tick an order took; how many. They enter the day like late ticks. May be called again. NotDone
    names what stays voided; nothing of it holds up the rest. leases.LeaseHeld and LeaseLost: call it again."""
    log.warning("voided ticks are put back order=%d by=%s", order.pk, by)
    count, left = 0, list[str]()
    with leases.hold(leases.UPKEEP) as lease:
        groups = VoidedTick.objects.filter(order=order).order_by("trade_date", "feed", "symbol")
        keys = groups.values_list("trade_date", "feed", "symbol").annotate(ticks=Count("tick_id"))
        for date, feed, symbol, ticks in list(keys):
            if dropped.kinds(date):
                left.append(
                    _("{date} {feed} {symbol}: of this day ticks or candles were dropped").format(
                        date=date, feed=feed, symbol=symbol
                    )
                )
                continue
            storage().ensure_partitions([date], (TEMP, PRICES))
            lease.check()
            try:
                repair.again(functools.partial(moves.restore, order, date, symbol, feed))
            except NotWholeError as error:
                left.append(str(error))
                continue
            progress(
                _("{date} {feed} {symbol}: {count:,} ticks").format(date=date, feed=feed, symbol=symbol, count=ticks)
            )
            count += ticks
        now = datetime.datetime.now(datetime.UTC)
        VoidOrder.objects.filter(pk=order.pk).update(
            restored_at=None if left else now, done_at=order.done_at or order.created_at
        )
    alarms.resolve(FAILED, subject=str(order.pk))
    if left:
        raise NotDone(_("{count:,} put back; these stay voided: {few}").format(count=count, few=_few(left)))
    return count
