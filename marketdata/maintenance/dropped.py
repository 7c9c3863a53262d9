"""What retention removed of which trading date, remembered for ever. Whoever makes, replaces or compares something that
is derived from ticks, minute candles or the ledger asks here whether they are still the whole of the day.

Everything is noted before it is removed, by whoever holds the lease of the upkeep; so what is not noted is there.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from django.db import transaction
from django.db.models import Sum

from marketdata.models import DroppedDay, IngestBatchDay, RolloverRun
from marketdata.storage import storage
from marketdata.storage.base import HISTORY
from marketdata.types import checksums
from marketdata.types.checksums import PRIME, Figure

Kind = DroppedDay.Kind
LATE_AFTER_DROP = "late_after_drop"
"""Code of the alarm for ticks that came for days whose ticks had been removed."""


def kinds(date: datetime.date, *, using: str | None = None) -> frozenset[str]:
    """What was ever removed of a trading date: some of Kind. `using` is the alias of a database."""
    return frozenset(DroppedDay.objects.using(using).filter(trade_date=date).values_list("kind", flat=True))


def without_candles(dates: Iterable[datetime.date]) -> set[datetime.date]:
    """Of these trading dates the ones whose minute candles take no more ticks: they were removed, so that a tick would
    make a part of one; or the ledger no longer knows every tick that is in them, so that a repeat would count twice."""
    dates = list(dates)
    if not dates:
        return set()
    marks = DroppedDay.objects.filter(trade_date__in=dates, kind__in=(Kind.MINUTES, Kind.LEDGER))
    return set(marks.values_list("trade_date", flat=True))


def minutes_gone(dates: Iterable[datetime.date]) -> set[datetime.date]:
    """Of these trading dates the ones whose minute candles were removed."""
    dates = list(dates)
    marks = DroppedDay.objects.filter(trade_date__in=dates, kind=Kind.MINUTES) if dates else DroppedDay.objects.none()
    return set(marks.values_list("trade_date", flat=True))


def ticks_gone(date: datetime.date) -> int:
    """How often the ticks of a trading date were removed; what there is of it now came after that."""
    mark = DroppedDay.objects.filter(trade_date=date, kind=Kind.TICKS).first()
    return 0 if mark is None else max(mark.times, 1)


def expected(date: datetime.date, *, using: str | None = None) -> Figure:
    """The ticks of a trading date that should be stored: what was acknowledged, without what retention removed. The sum
    over the ledger, and over what the ledger forgot, less the ticks that were dropped."""
    days = IngestBatchDay.objects.using(using).filter(trade_date=date)
    found = days.aggregate(sum_rows=Sum("rows"), sum_checksum=Sum("checksum"))
    figure = Figure(int(found["sum_rows"] or 0), int(found["sum_checksum"] or 0) % PRIME)
    for mark in DroppedDay.objects.using(using).filter(trade_date=date):
        if mark.kind == Kind.TICKS:
            figure -= Figure(mark.rows, mark.checksum)
        elif mark.kind == Kind.LEDGER:
            figure += Figure(mark.rows, mark.checksum)
    return figure


def late_days() -> dict[datetime.date, int]:
    """Days with ticks that came after theirs had been dropped, and how many; without those that are archived."""
    marked = DroppedDay.objects.filter(kind=Kind.TICKS).values("trade_date")
    runs = RolloverRun.objects.filter(trade_date__in=marked, dropped_at=None, archived_at=None, rows__gt=0)
    return {date: int(rows or 0) for date, rows in runs.order_by("trade_date").values_list("trade_date", "rows")}


# --- noting -----------------------------------------------------------------------------------------------------------


def note_ticks(dates: Iterable[datetime.date], now: datetime.datetime) -> list[datetime.date]:
    """The ticks of these dates are removed next. Returns the dates that were not noted as removed already."""
    new = []
    for date in dates:
        with transaction.atomic():
            run, _ = RolloverRun.objects.get_or_create(
                trade_date=date, defaults={"state": RolloverRun.State.DONE, "done_at": now}
            )
            if run.dropped_at is None:
                if run.rows is None:  # history that no rollover brought there
                    there = checksums.total(storage().tick_figures(date, tables=[HISTORY]).values())
                    run.rows, run.checksum = there.rows, there.checksum
                _add(date, Kind.TICKS, Figure(run.rows, run.checksum or 0), now)
                RolloverRun.objects.filter(pk=date).update(rows=run.rows, checksum=run.checksum, dropped_at=now)
                new.append(date)
    return new


def note_minutes(dates: Iterable[datetime.date], now: datetime.datetime) -> list[datetime.date]:
    """The minute candles of these dates are removed next. Returns the dates of which that is new."""
    new = []
    for date in dates:
        with transaction.atomic():
            if not DroppedDay.objects.filter(trade_date=date, kind=Kind.MINUTES).exists():
                new.append(date)
            _add(date, Kind.MINUTES, Figure(), now)
    return new


def note_ledger(forgotten: Mapping[datetime.date, Figure], now: datetime.datetime) -> None:
    """So much of the ledger of these dates is removed, in the transaction that removes it."""
    for date, figure in sorted(forgotten.items()):
        _add(date, Kind.LEDGER, figure, now)


def _add(date: datetime.date, kind: str, figure: Figure, now: datetime.datetime) -> None:
    mark = DroppedDay.objects.filter(trade_date=date, kind=kind).first()
    if mark is None:
        mark = DroppedDay(trade_date=date, kind=kind)
    total = Figure(mark.rows, mark.checksum) + figure
    values = {"rows": total.rows, "checksum": total.checksum, "times": mark.times + 1, "dropped_at": now}
    if not DroppedDay.objects.filter(trade_date=date, kind=kind).update(**values):
        DroppedDay.objects.bulk_create([DroppedDay(trade_date=date, kind=kind, **values)])


def withdraw(kind: str, dates: Iterable[datetime.date]) -> None:
    """What was just noted was not removed after all: nothing of these dates is gone."""
    for date in dates:
        with transaction.atomic():
            mark = DroppedDay.objects.filter(trade_date=date, kind=kind).first()
            if mark is None:
                continue
            rows = DroppedDay.objects.filter(trade_date=date, kind=kind)
            if mark.times <= 1:
                rows.delete()
            elif kind == Kind.TICKS:
                run = RolloverRun.objects.get(trade_date=date)
                left = Figure(mark.rows, mark.checksum) - Figure(run.rows or 0, run.checksum or 0)
                rows.update(rows=left.rows, checksum=left.checksum, times=mark.times - 1)
            if kind == Kind.TICKS:
                RolloverRun.objects.filter(trade_date=date).update(dropped_at=None)
