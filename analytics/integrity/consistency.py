"""Whether a trading day is what it should be, counted from the start: ledger against ticks, ticks against minute
candles, minute candles against daily ones. Only reads; what a difference is, `analytics.integrity.differences` says.

Both sides of a comparison are of one moment, and such moments are short: what looks wrong while workers go on writing
is looked at once more in a snapshot of its own before it is reported.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from django.db.models import Exists, F, Max, Min, OuterRef, Subquery, Sum
from django.utils.translation import gettext as _

from analytics.integrity import differences
from analytics.integrity.differences import BatchSums, Finding, Findings
from analytics.series import candles, daily_candles
from marketdata.ledger import batch_ledger, day_ticks
from marketdata.maintenance import dropped, rollover
from marketdata.maintenance.dropped import Kind
from marketdata.models import DroppedDay, IngestBatch, IngestBatchDay, RolloverRun, Symbol
from marketdata.storage import storage
from marketdata.storage.base import HISTORY, TEMP, Progress
from marketdata.types import checksums, minute_bars
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.minute_bars import Bars

MOST = 100
TELL_SERIES = 250
Counted = dict[tuple[str, str], Figure]
"""Figures by (symbol, feed)."""
State = RolloverRun.State
_COUNTED = (State.VERIFIED, State.MOVED, State.AGGREGATED, State.CLEANED, State.DONE)
AGGREGATED = (State.AGGREGATED, State.CLEANED, State.DONE)


class UnknownDay(Exception):
    """Nothing is known of this date; the message names the dates that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was looked at and what was found. `counts` has every finding by code, `findings` names at most so many of
    each; `notes` are worth knowing and nothing wrong."""

    date: datetime.date
    state: str
    ticks: int
    series: int
    minutes: int
    daily: int
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    notes: tuple[Finding, ...]

    @property
    def is_consistent(self) -> bool:
        return not self.counts

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "date": self.date.isoformat(), "consistent": self.is_consistent}


def silent(_: str) -> None:
    """For work that nobody watches."""


def known_dates(first: datetime.date | None = None, last: datetime.date | None = None) -> list[datetime.date]:
    """The trading dates of which there is a rollover, a ledger entry or a tick, oldest first."""
    every = set(RolloverRun.objects.values_list("trade_date", flat=True))
    every |= set(batch_ledger.trading_dates(datetime.date.min, datetime.date.max))
    every |= {*storage().dates(TEMP), *storage().dates(HISTORY)}
    return sorted(date for date in every if (first is None or first <= date) and (last is None or date <= last))


def verify_day(date: datetime.date, *, most: int = MOST, progress: Progress = silent) -> Report:
    """Count a trading day from the start and compare. UnknownDay if there is nothing of it. Only reads."""
    found = Findings(most)
    notes: list[Finding] = []
    progress(_("{date} ledger and ticks").format(date=date))
    with storage().snapshot():
        run, counted, waiting = figures_of(date)
        gone = dropped.kinds(date)
        if gone:
            notes += _dropped(date, run, counted)
        found.add(_ledger(date, counted, progress, whole=not gone))
        found.add(_recorded(run, counted, waiting))
    if waiting and run is not None and run.state == State.DONE:
        rows = checksums.total(waiting.values()).rows
        notes.append(Finding(code="waiting_to_be_moved", subject=str(date), found=f"{rows:,} late ticks in {TEMP}"))
    if run is not None and run.accepted:
        notes.append(Finding(code="accepted_difference", subject=str(date), found=run.accepted))
    series = storage().day_series(date)
    whole = not gone  # else candles are what is left of the day, or the ticks are
    minutes = 0
    if whole:
        for feed in sorted({feed for _, feed in series}):
            symbols = [symbol for symbol, one in series if one == feed]
            minutes += _verify_minutes(date, feed, symbols, found, progress)
    daily = 0
    if run is not None and run.state in AGGREGATED and Kind.MINUTES not in gone:
        daily = compare_daily(date, series, set(waiting), found, progress, alone=whole)
    return Report(
        date=date,
        state=str(run.state) if run is not None else "",
        ticks=checksums.total(counted.values()).rows,
        series=len(series),
        minutes=minutes,
        daily=daily,
        findings=tuple(found.named),
        counts=found.counts,
        notes=tuple(notes),
    )


# --- ledger and ticks -------------------------------------------------------------------------------------------------


def figures_of(date: datetime.date) -> tuple[RolloverRun | None, Counted, Counted]:
    """The day's run, its figures and those of what still lies in TEMP; UnknownDay if there is nothing at all."""
    run = RolloverRun.objects.filter(trade_date=date).first()
    counted = storage().tick_figures(date)
    waiting = storage().tick_figures(date, tables=[TEMP]) if counted else {}
    if run is None and not counted and not IngestBatchDay.objects.filter(trade_date=date).exists():
        raise UnknownDay(
            _("{date}: no tick, ledger entry or rollover of this date. {known}").format(date=date, known=_range())
        )
    return run, counted, waiting


def _range() -> str:
    ledger_range = IngestBatchDay.objects.aggregate(first=Min("trade_date"), last=Max("trade_date"))
    runs = RolloverRun.objects.aggregate(first=Min("trade_date"), last=Max("trade_date"))
    bounds = sorted(date for found in (ledger_range, runs) for date in found.values() if date is not None)
    if not bounds:
        return _("No day is known yet.")
    return _("Known: {first} to {last}").format(first=bounds[0], last=bounds[-1])


def _dropped(date: datetime.date, run: RolloverRun | None, counted: Counted) -> Iterator[Finding]:
    """What is gone of the day, and that what is there came later."""
    names = {Kind.TICKS: "ticks", Kind.MINUTES: "minute candles", Kind.LEDGER: "ledger rows"}
    marks = DroppedDay.objects.filter(trade_date=date).order_by("-kind")
    archived = f"; archived {run.archived_at:%Y-%m-%d}" if run is not None and run.archived_at else ""
    for mark in marks:
        rows = f"{mark.rows:,} " if mark.rows else ""
        yield Finding(
            code="dropped",
            subject=str(date),
            found=f"{rows}{names[Kind(mark.kind)]} are past their time and were dropped at"
            f" {mark.dropped_at:%Y-%m-%d %H:%M} UTC{archived}",
        )
    late = checksums.total(counted.values()).rows
    if late and any(mark.kind == Kind.TICKS for mark in marks):
        yield Finding(
            code="late_after_drop",
            subject=str(date),
            found=f"{late:,} ticks came after the others had been dropped; they are kept, and are not the whole of"
            " the day",
        )


def _ledger(date: datetime.date, counted: Counted, progress: Progress, *, whole: bool) -> Iterator[Finding]:
    """The ledger's sum against the ticks', batch by batch where they differ (of a `whole` day: of another one the
    ledger has batches whose ticks were dropped); and the ledger against itself."""
    acknowledged, total = dropped.expected(date), checksums.total(counted.values())
    if acknowledged != total:
        yield Finding(
            code="ledger_differs",
            subject=str(date),
            expected=differences.figure_text(acknowledged),
            found=differences.figure_text(total),
        )
    if acknowledged != total and whole:
        found, senders = BatchSums(), day_ticks.sources()
        for number, (symbol, feed) in enumerate(sorted(counted), start=1):
            try:
                parts = day_ticks.read(date, symbol, feed, figure=counted[symbol, feed], sources=senders)
            except day_ticks.SourceUnclear as error:
                parts = [error.ticks]
                yield Finding(
                    code="source_changed",
                    subject=f"{symbol} {feed}",
                    expected=differences.figure_text(error.explained),
                    found=differences.figure_text(counted[symbol, feed]),
                )
            for part in parts:
                found.add(part)
            if number % TELL_SERIES == 0:
                progress(
                    _("{date} batches: {number:,} of {total:,} series").format(
                        date=date, number=number, total=len(counted)
                    )
                )
        rows = IngestBatchDay.objects.filter(trade_date=date).values_list("batch", "rows", "checksum")
        noted = differences.sums(rows.order_by("batch").iterator(10_000))
        yield from differences.batches(noted, found.total())
    yield from _ledger_itself(date)


def _ledger_itself(date: datetime.date) -> Iterator[Finding]:
    """`stored` of each batch of the day is the sum of its rows by date, and each of these has its claim."""
    of_batch = IngestBatchDay.objects.filter(batch=OuterRef("batch")).order_by()
    claims = (
        IngestBatch.objects.filter(Exists(of_batch.filter(trade_date=date)))
        .annotate(noted=Subquery(of_batch.values("batch").annotate(sum=Sum("rows")).values("sum")))
        .exclude(stored=F("noted"))
    )
    for batch, stored, noted in claims.order_by("batch").values_list("batch", "stored", "noted"):
        yield Finding(
            code="claim_differs",
            subject=differences.batch_text(batch),
            expected=f"{stored:,} stored",
            found=f"{noted:,} by trading date",
        )
    orphans = IngestBatchDay.objects.filter(trade_date=date).exclude(
        Exists(IngestBatch.objects.filter(batch=OuterRef("batch")))
    )
    for batch, rows in orphans.order_by("batch").values_list("batch", "rows"):
        yield Finding(
            code="claim_missing",
            subject=differences.batch_text(batch),
            expected="a row of ingest_batch",
            found=f"{rows:,} ticks by trading date alone",
        )


def _recorded(run: RolloverRun | None, counted: Counted, waiting: Counted) -> Iterator[Finding]:
    """What the rollover wrote down is what lies in history (or, before it was moved, what was counted)."""
    if run is None or run.state not in _COUNTED:
        return
    recorded, found = Figure(run.rows or 0, run.checksum or 0), checksums.total(counted.values())
    if run.dropped_at is not None:
        recorded = Figure()
    if run.state != State.VERIFIED:
        late = checksums.total(waiting.values())
        found = Figure(found.rows - late.rows, (found.checksum - late.checksum) % PRIME)
    elif found == dropped.expected(run.trade_date):
        return  # ticks that came since are counted again when the day is moved
    if recorded != found:
        yield Finding(
            code="recorded_differs",
            subject=str(run.trade_date),
            expected=differences.figure_text(recorded),
            found=differences.figure_text(found),
        )


# --- candles ----------------------------------------------------------------------------------------------------------


def _verify_minutes(date: datetime.date, feed: str, symbols: Sequence[str], found: Findings, progress: Progress) -> int:
    """Each symbol's candles from its ticks; those that look wrong once more at one moment. Returns how many there
    are."""
    stored = storage().read_day_minutes(date, feed)
    suspects = []
    for number, (symbol, findings) in enumerate(compare_minutes(date, stored, symbols), start=1):
        if findings:
            suspects.append(symbol)
        if number % TELL_SERIES == 0:
            progress(
                _("{date} {feed} minute candles: {number:,} of {total:,} symbols").format(
                    date=date, feed=feed, number=number, total=len(symbols)
                )
            )
    if suspects:
        with storage().snapshot():
            for _symbols, findings in compare_minutes(date, storage().read_day_minutes(date, feed), suspects):
                found.add(findings)
    return len(stored)


def compare_minutes(date: datetime.date, stored: Bars, symbols: Sequence[str]) -> Iterator[tuple[str, list[Finding]]]:
    for symbol, mine in by_symbol(stored, symbols):
        yield symbol, differences.minutes(from_ticks(date, symbol, stored.feed), mine, symbol)


def from_ticks(date: datetime.date, symbol: str, feed: str) -> Bars:
    """The candles that the day's ticks of a symbol make."""
    made = candles.build(storage().read_day_ticks(date, symbol, feed))
    return made if len(made) else replace(minute_bars.empty(feed), symbols=[symbol])


def by_symbol(bars: Bars, symbols: Sequence[str]) -> Iterator[tuple[str, Bars]]:
    """Each symbol's part of candles that are ordered by symbol, an empty one where there is none."""
    first = np.flatnonzero(np.r_[True, bars.symbol[1:] != bars.symbol[:-1]]) if len(bars) else np.zeros(0, np.int64)
    bounds = [*first.tolist(), len(bars)]
    places = {bars.symbols[int(bars.symbol[bounds[at]])]: (bounds[at], bounds[at + 1]) for at in range(len(first))}
    for symbol in symbols:
        start, end = places.get(symbol, (0, 0))
        part = bars.take(np.arange(start, end))
        yield symbol, replace(part, symbols=[symbol], symbol=np.zeros(end - start, np.int32))


def compare_daily(
    date: datetime.date,
    series: Sequence[tuple[str, str]],
    waiting: set[tuple[str, str]],
    found: Findings,
    progress: Progress,
    *,
    alone: bool,
) -> int:
    """Each daily candle from the minute candles, at one moment; those with late ticks wait for the rollover to make
    them anew. `alone` looks for those without minute candles as well. Returns how many there are."""
    progress(_("{date} daily candles").format(date=date))
    windows = {window.market: window for window in rollover.windows(date)}
    markets = dict(Symbol.objects.values_list("code", "market_id"))
    count = 0
    for feed in sorted({feed for _symbol, feed in series}):
        symbols = [symbol for symbol, one in series if one == feed and (symbol, feed) not in waiting]
        with storage().snapshot():
            for symbol, minutes in by_symbol(storage().read_day_minutes(date, feed), symbols):
                stored = storage().read_daily(symbol, feed, date, date + datetime.timedelta(days=1))
                window = windows.get(markets.get(symbol, ""))
                found.add(differences.days(daily_candles.build(minutes, date, window), stored))
                count += len(stored)
    if alone:
        count += _daily_alone(date, set(series), markets, found)
    return count


def _daily_alone(date: datetime.date, series: set[tuple[str, str]], markets: dict[str, str], found: Findings) -> int:
    """Daily candles of symbols that have neither ticks nor minute candles on that day."""
    feeds = {feed for _, feed in series} | set(Symbol.objects.values_list("primary_feed", flat=True))
    count = 0
    for symbol in sorted(markets):
        for feed in sorted(feeds):
            if (symbol, feed) not in series:
                stored = storage().read_daily(symbol, feed, date, date + datetime.timedelta(days=1))
                found.add(differences.days(daily_candles.build(_no_minutes(symbol, feed), date, None), stored))
                count += len(stored)
    return count


def _no_minutes(symbol: str, feed: str) -> Bars:
    return replace(minute_bars.empty(feed), symbols=[symbol])
