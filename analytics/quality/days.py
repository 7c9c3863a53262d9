"""How good a trading date is, as far as the ledger, the refused rows and the gaps tell: what came, what was stored,
what was left out and why, and what is known to be missing. Counts nothing anew;
`analytics.integrity.consistency` recounts a day."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from analytics.quality import grades
from analytics.quality.grades import REPEATED, Facts, Reason
from marketdata.calendar import trading_dates
from marketdata.models import Gap, IngestBatch, IngestBatchDay, IngestReject, RolloverRun, VoidedTick
from marketdata.storage import storage
from marketdata.types import units

MARKET = "KRX"
_WORDS = re.compile(r"[a-z_]+")
MOST_BATCHES, MOST_BATCHES_OF_DAY, _PIECE = 10_000, 1_000_000, 5_000
MOST_REJECTS = 100_000  # looked at for one answer; what is beyond is told as such


@dataclass(slots=True, kw_only=True)
class Quality:
    """Rows of ticks of a trading date, of a symbol or of all. What only batches as a whole tell is None of a symbol:
    `received` and `repeated`. `missing` are the rows that gaps name, `gaps` their number. `partial` says that more rows
    were refused than were looked at."""

    date: datetime.date
    symbol: str = ""
    state: str = ""
    differs: bool = False
    received: int | None = None
    stored: int = 0
    repeated: int | None = None
    rejected_rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    late: int | None = None
    gaps: int = 0
    missing: int = 0
    voided: int = 0
    partial: bool = False

    def reasons(self) -> list[Reason]:
        """Why it is no A, by what the ledger tells; the worst first."""
        return grades.reasons(
            Facts(
                stored=self.stored,
                refused=self.rejected_rows - self.rejected.get(REPEATED, 0),
                late=self.late or 0,
                voided=self.voided,
                gaps=self.gaps,
                missing=self.missing,
                held_up=self.differs,
            )
        )


def of_date(date: datetime.date) -> Quality:
    """Of all symbols. LookupError if nothing is known of the date."""
    found = _begin(date, "")
    batches = batches_of(date)
    sums = batches.aggregate(received=Sum("rows"), over=Sum(F("rows") - F("stored") - F("rejected")))
    found.stored = IngestBatchDay.objects.filter(trade_date=date).aggregate(stored=Sum("rows"))["stored"] or 0
    found.received, found.repeated = sums["received"] or 0, sums["over"] or 0
    found.voided = VoidedTick.objects.filter(trade_date=date).count()
    rows = rejects(date).values_list("reasons", flat=True)[: MOST_REJECTS + 1]
    _finish(found, list(rows), Gap.objects.all())
    return found


def of_symbol(date: datetime.date, symbol: str) -> Quality:
    """Of a symbol on all of its feeds; gaps of a whole feed count as its own. LookupError if nothing is known of the
    date."""
    found = _begin(date, symbol)
    feeds = storage().symbol_rows(date, symbol)
    found.stored = sum(feeds.values())
    found.voided = VoidedTick.objects.filter(trade_date=date, symbol=symbol).count()
    rows = rejects(date).filter(record__contains=symbol).values_list("reasons", "record")[: MOST_REJECTS + 1]
    reasons = [reasons for reasons, record in rows if symbol_of(record) == symbol]
    _finish(found, reasons, Gap.objects.filter(Q(symbol=symbol) | Q(symbol="", feed__in=list(feeds))))
    return found


def _begin(date: datetime.date, symbol: str) -> Quality:
    run = RolloverRun.objects.filter(trade_date=date).first()
    if run is None and not IngestBatchDay.objects.filter(trade_date=date).exists():
        raise LookupError(f"nothing is known of {date}")
    if run is None:
        return Quality(date=date, symbol=symbol)
    differs = bool(run.error) and run.state in (RolloverRun.State.OPEN, RolloverRun.State.SEALED)
    return Quality(date=date, symbol=symbol, state=run.state, differs=differs, late=None if symbol else run.late_rows)


def window(date: datetime.date) -> tuple[int, int]:
    """The local day of the home market, start <= time < end."""
    end = trading_dates.calendar(MARKET).ends_us(date)
    return end - units.DAY_US, end


def batches_of(date: datetime.date) -> QuerySet[IngestBatch]:
    """Those that stored something of a date, and those that stored nothing and came on it."""
    start, end = window(date)
    mine = Exists(IngestBatchDay.objects.filter(batch=OuterRef("batch"), trade_date=date))
    return IngestBatch.objects.filter(mine | Q(stored=0, rejected__gt=0, committed_us__gte=start, committed_us__lt=end))


def _pieces(mine: QuerySet[IngestBatchDay, int]) -> Iterator[list[int]]:
    """The batches of a date from the highest number on, a few at a time. They are read in pieces that grow, for the
    first are mostly all that is needed, and PostgreSQL sorts the whole date for each."""
    left, size, below = MOST_BATCHES_OF_DAY, 4 * _PIECE, None
    while left > 0:
        numbers = list((mine if below is None else mine.filter(batch__lt=below))[: min(size, left)])
        for at in range(0, len(numbers), _PIECE):
            yield numbers[at : at + _PIECE]
        if len(numbers) < min(size, left):
            return
        left, size, below = left - size, 4 * size, numbers[-1]


def storing(
    date: datetime.date, among: QuerySet[IngestBatch], *, late: bool | None = None, most: int = MOST_BATCHES
) -> QuerySet[IngestBatch]:  # fmt: skip
    """Those of some batches that stored ticks of a date, at most so many from the highest number on; `late` the ones
    that were committed after it was sealed, not late the others."""
    run = RolloverRun.objects.filter(trade_date=date).first()
    sealed_at = None if run is None else run.sealed_at
    if late and (run is None or sealed_at is None or not run.late_rows):
        return among.none()
    if late is not None and sealed_at is not None:
        sealed_us = int(sealed_at.timestamp() * 1e6)
        among = among.filter(committed_us__gte=sealed_us) if late else among.filter(committed_us__lt=sealed_us)
    # By the index of dates, and then by their numbers: a join would let PostgreSQL go through the whole ledger, the
    # newest first, until it has a page.
    mine = IngestBatchDay.objects.filter(trade_date=date).order_by("-batch").values_list("batch", flat=True)
    found = dict[int, int]()
    for some in _pieces(mine):
        found |= dict(among.filter(pk__in=some).order_by().values_list("pk", "committed_us"))
        if len(found) >= most:
            break
    if not found:
        return among.none()
    chosen = sorted(found, reverse=True)[:most]
    times = [found[number] for number in chosen]
    return among.filter(pk__in=chosen, committed_us__gte=min(times), committed_us__lte=max(times))


def rejects(date: datetime.date, among: QuerySet[IngestReject] | None = None) -> QuerySet[IngestReject]:
    """The refused rows of a trading date, among some or of all."""
    start, _ = window(date)
    since = datetime.datetime.fromtimestamp(start // 1_000_000, datetime.UTC)
    rows = IngestReject.objects.all() if among is None else among
    return rows.filter(batch__in=batches_of(date).values("batch"), created_at__gte=since)


def _finish(found: Quality, reasons: list[str], gaps: QuerySet[Gap]) -> None:
    """Count the refused rows, each reason of each, and the gaps."""
    found.partial = len(reasons) > MOST_REJECTS
    found.rejected_rows = len(reasons)
    found.rejected = dict(sorted(Counter(word for text in reasons for word in words(text)).items()))
    sums = gaps.filter(of_day(found.date)).aggregate(count=Count("id"), missing=Sum("rows"))
    found.gaps, found.missing = sums["count"] or 0, sums["missing"] or 0


def of_day(date: datetime.date) -> Q:
    """The gaps of a trading date: those that name it, and of those that name none the ones in its time."""
    start, end = window(date)
    return Q(trade_date=date) | Q(trade_date=None, from_us__lt=end, to_us__gte=start)


def of_reason(word: str) -> Q:
    """The refused rows that have a word among their reasons, and not as a part of one."""
    alone, begins = Q(reasons=word), Q(reasons__startswith=f"{word} ")
    return alone | begins | Q(reasons__endswith=f" {word}") | Q(reasons__contains=f" {word} ")


def words(reasons: str) -> list[str]:
    """The reasons of a refused row."""
    return _WORDS.findall(reasons)


def symbol_of(record: str) -> str | None:
    """Whose row a refused record was, if it can be read."""
    try:
        row = json.loads(record)
    except ValueError:
        return None
    symbol = row.get("symbol") if isinstance(row, dict) else None
    return symbol if isinstance(symbol, str) else None
