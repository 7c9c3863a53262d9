"""Who sent which batch and what became of it: the claim rows that make every batch count once, and the answers built
on them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from marketdata.figures import PRIME, Figure
from marketdata.models import Client, DeadLetter, Gap, IngestBatch, IngestBatchDay, IngestReject, IngestStream
from marketdata.storage.base import EPOCH_DATE
from marketdata.ticks import SEQ_BITS, STREAM_BITS
from terminals import wire

SEQ_MASK = (1 << SEQ_BITS) - 1


class OldEpochError(Exception):
    """The client has since opened a newer spool; only that one may send."""


class LedgerFullError(Exception):
    """There are no more numbers for spools (262,143 of them)."""


class AlreadyClaimedError(Exception):
    """Some of the batches are in the ledger already; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row of `ingest_batch`; the fields are its columns in order."""

    batch: int
    state: str
    feed: str
    rows: int
    stored: int
    rejected: int
    checksum: int
    first_us: int | None
    last_us: int | None
    received_us: int
    committed_us: int
    captured_us: int | None = None  # by the terminal's clock


def open_stream(client: Client, epoch: str) -> int:
    """The number of the client's spool `epoch`, new or known. OldEpochError unless it is the newest of the client."""
    with transaction.atomic():
        newest = IngestStream.objects.filter(client=client).order_by("-id").first()
        if newest is not None and newest.epoch == epoch:
            return int(newest.pk)
        if IngestStream.objects.filter(client=client, epoch=epoch).exists():
            raise OldEpochError(epoch)
        stream = int(IngestStream.objects.create(client=client, epoch=epoch).pk)
        if stream >= 1 << STREAM_BITS:
            raise LedgerFullError("every stream number is used; new spools cannot be taken")
        return stream


def committed(stream: int, first: int) -> tuple[int, list[tuple[int, int]]]:
    """(highest seq up to which everything from `first` on is committed, committed ranges above it)."""
    ranges = committed_ranges(stream, first, SEQ_MASK)
    if ranges and ranges[0][0] == first:
        return ranges[0][1], ranges[1:]
    return first - 1, ranges


def committed_ranges(stream: int, first: int, last: int) -> list[tuple[int, int]]:
    """The seqs between `first` and `last` that are in the ledger, as closed ranges."""
    low, high = (stream << SEQ_BITS) + first, (stream << SEQ_BITS) + last
    rows = IngestBatch.objects.filter(batch__gte=low, batch__lte=high)
    count = rows.count()
    if not count:
        return []
    lowest = rows.order_by("batch").values_list("batch", flat=True)[0]
    highest = rows.order_by("-batch").values_list("batch", flat=True)[0]
    if highest - lowest + 1 == count:  # the usual case needs no walk
        return [(lowest & SEQ_MASK, highest & SEQ_MASK)]
    ranges: list[tuple[int, int]] = []
    for batch in rows.order_by("batch").values_list("batch", flat=True).iterator(10_000):
        seq = batch & SEQ_MASK
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def highest(stream: int) -> int:
    """The highest seq of a stream in the ledger, 0 when there is none."""
    low, high = stream << SEQ_BITS, (stream << SEQ_BITS) + SEQ_MASK
    newest = (
        IngestBatch.objects.filter(batch__gte=low, batch__lte=high).order_by("-batch").values_list("batch", flat=True)
    )
    return next((batch & SEQ_MASK for batch in newest[:1]), 0)


def missing(stream: int, asked: Sequence[tuple[int, int]], *, most: int = 1000) -> list[tuple[int, int]]:
    """What of the asked closed ranges is not in the ledger, at most `most` ranges."""
    holes: list[tuple[int, int]] = []
    for first, last in asked:
        if first > SEQ_MASK:
            continue
        at, last = first, min(last, SEQ_MASK)  # noqa: PLW2901 - beyond it there is no batch
        for low, high in committed_ranges(stream, first, last):
            if low > at:
                holes.append((at, low - 1))
            at = high + 1
        if at <= last:
            holes.append((at, last))
    return holes[:most]


def settled(batches: Iterable[int]) -> dict[int, tuple[str, int]]:
    """Of these batches the ones in the ledger: (state, rejected rows)."""
    rows = IngestBatch.objects.filter(batch__in=list(batches)).values_list("batch", "state", "rejected")
    return {batch: (state, rejected) for batch, state, rejected in rows}


def checksums(batches: Iterable[int]) -> dict[int, int]:
    """Of these batches the ones in the ledger: the checksum of what was committed."""
    return dict(IngestBatch.objects.filter(batch__in=list(batches)).values_list("batch", "checksum"))


def claim(claims: Sequence[Claim]) -> None:
    """Write the claim rows, in key order so that two workers cannot deadlock. AlreadyClaimedError if any is there."""
    ordered = sorted(claims, key=lambda row: row.batch)
    marks = "(" + ", ".join(["%s"] * len(fields(Claim))) + ")"
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.name) for field in fields(Claim))
    sql = f"INSERT INTO {quote('ingest_batch')} ({columns}) VALUES " + ", ".join([marks] * len(ordered))
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, [value for row in ordered for value in astuple(row)])
    except IntegrityError as error:
        raise AlreadyClaimedError from error


def claim_days(days: Mapping[tuple[int, int], Figure]) -> None:
    """Note what batches stored of which trading dates: (batch, days since 1970) -> figure. With the claim rows, in one
    transaction."""
    if not days:
        return
    quote = connection.ops.quote_name
    columns = ", ".join(quote(name) for name in ("batch", "trade_date", "rows", "checksum"))
    values = [
        value
        for (batch, day), figure in sorted(days.items())
        for value in (batch, EPOCH_DATE + datetime.timedelta(days=day), figure.rows, figure.checksum)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote('ingest_batch_day')} ({columns}) VALUES "
            + ", ".join(["(%s, %s, %s, %s)"] * len(days)),
            values,
        )


def day_figure(date: datetime.date) -> Figure:
    """What was acknowledged of a trading date: the sum over all batches."""
    found = IngestBatchDay.objects.filter(trade_date=date).aggregate(rows=Sum("rows"), checksum=Sum("checksum"))
    return Figure(int(found["rows"] or 0), int(found["checksum"] or 0) % PRIME)


# From each date to the next by the index: as many look-ups as there are dates, however many batches there are.
_DATES = """
WITH RECURSIVE known (day, number) AS (
    SELECT MIN(trade_date), 1 FROM ingest_batch_day WHERE trade_date >= %s AND trade_date < %s
    UNION ALL
    SELECT (SELECT MIN(b.trade_date) FROM ingest_batch_day b WHERE b.trade_date > known.day AND b.trade_date < %s),
        known.number + 1
    FROM known WHERE known.day IS NOT NULL AND known.number < %s
) SELECT day FROM known WHERE day IS NOT NULL
"""
_DATES_AT_ONCE = 500


def trading_dates(start: datetime.date, end: datetime.date) -> list[datetime.date]:
    """The trading dates with start <= date < end of which a batch stored anything, oldest first."""
    found: list[datetime.date] = []
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_DATES, [start.isoformat(), end.isoformat(), end.isoformat(), _DATES_AT_ONCE])
            rows = [datetime.date.fromisoformat(str(day)) for (day,) in cursor.fetchall()]
        found += rows
        if len(rows) < _DATES_AT_ONCE:
            return found
        start = rows[-1] + datetime.timedelta(days=1)


def keep_rejects(rows: Iterable[tuple[int, int, str, str]]) -> None:
    """Store refused rows: (batch, index, reasons, record)."""
    IngestReject.objects.bulk_create(
        [
            IngestReject(batch=batch, idx=idx, reasons=reasons[:200], record=record)
            for batch, idx, reasons, record in rows
        ],
        batch_size=500,
    )


def keep_gap(batch: int, feed: str, gap: wire.Gap) -> None:
    """Store what a terminal says it had to drop."""
    Gap.objects.create(
        batch=batch, feed=feed, from_us=gap.from_us, to_us=gap.to_us, rows=gap.rows, reason=_text(gap.reason, 200)
    )


def bury(batch: int, *, checksum: int, code: str, error: str, payload: bytes) -> None:
    """Keep a whole batch that cannot be stored, once however often it comes."""
    DeadLetter.objects.get_or_create(
        batch=batch, checksum=checksum, code=code, defaults={"error": _text(error, 2000), "payload": payload}
    )


def _text(text: str, most: int) -> str:
    """What a column of text takes: PostgreSQL has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]


def now_us() -> int:
    """Wall clock in microseconds, for committed_us."""
    return time.time_ns() // 1000
