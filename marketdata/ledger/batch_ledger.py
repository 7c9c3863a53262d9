"""Who sent which batch and what became of it: the claim rows that make every batch count once, and the answers built
on them."""

from __future__ import annotations

import datetime
import itertools
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, NamedTuple

from django.db import IntegrityError, connection
from django.db.models import Count, Exists, Max, Min, OuterRef, Sum

from marketdata.models import IngestBatch, IngestBatchDay, IngestStream
from marketdata.storage import storage
from marketdata.storage.base import StorageError
from marketdata.types.checksums import PRIME, Figure
from marketdata.types.tick_arrays import SEQ_BITS
from marketdata.types.units import date_of, day_of

SEQ_MASK = (1 << SEQ_BITS) - 1
GIVEN_UP = 0
"""The checksum in the claim row of a number that its client gave up. No content has it, so nothing is stored."""


class AlreadyClaimedError(Exception):
    """Some of the batches are in the ledger already; nothing was written."""


class ClaimLostError(Exception):
    """Of some of the batches the ledger by trading date has rows, though they were not claimed: their claim rows were
    lost. Nothing was written."""


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


_CLAIM_COLUMNS = tuple(field.name for field in fields(Claim))


def committed(stream: int, first: int) -> tuple[int, list[tuple[int, int]]]:
    """(highest seq up to which everything from `first` on is committed, committed ranges above it, the lowest ones).

    What was whole at an earlier login is not looked at again: it is for the client to compare.
    """
    top = highest(stream)
    whole = min(whole_upto(stream), top)
    start = max(first, whole + 1)
    ranges = committed_ranges(stream, start, top) if start <= top else []
    commit = start - 1
    if ranges and ranges[0][0] == start:
        commit, ranges = ranges[0][1], ranges[1:]
    if commit > whole >= first - 1:
        IngestStream.objects.filter(pk=stream).update(whole_upto=commit)
    return commit, ranges


def whole_upto(stream: int) -> int:
    """The seq up to which the stream was found whole, or what it lacks was told."""
    return next(iter(IngestStream.objects.filter(pk=stream).values_list("whole_upto", flat=True)), 0)


def committed_ranges(stream: int, first: int, last: int, *, most: int = 1000) -> list[tuple[int, int]]:
    """The seqs between `first` and `last` that are in the ledger, as closed ranges, at most the lowest `most`."""
    ranges, at = [], first
    for low, high in holes(stream, first, last, most=most + 1):
        if low > at:
            ranges.append((at, low - 1))
        at = high + 1
    if at <= last and len(ranges) < most:
        ranges.append((at, last))
    return ranges[:most]


def holes(stream: int, first: int, last: int, *, most: int) -> list[tuple[int, int]]:
    """The seqs between `first` and `last` that the ledger does not have, as closed ranges, at most the lowest `most`.
    The database looks for them, so that a long stream takes neither memory nor time of this process."""
    low, high = (stream << SEQ_BITS) + first, (stream << SEQ_BITS) + last
    rows = IngestBatch.objects.filter(batch__gte=low, batch__lte=high)
    found = rows.aggregate(count=Count("batch"), least=Min("batch"), greatest=Max("batch"))
    if not found["count"]:
        return [(first, last)] if first <= last else []
    least, greatest = found["least"], found["greatest"]
    between: list[tuple[int, int]] = []
    if greatest - least + 1 != found["count"]:  # the usual case needs no walk
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT batch, following FROM (SELECT batch, LEAD(batch) OVER (ORDER BY batch) AS following"
                " FROM ingest_batch WHERE batch BETWEEN %s AND %s) AS ordered"
                " WHERE following <> batch + 1 ORDER BY batch LIMIT %s",
                [low, high, most],
            )
            between = [(before + 1, behind - 1) for before, behind in cursor.fetchall()]
    edges = [(low, least - 1), *between, *([(greatest + 1, high)] if len(between) < most else [])]
    return [(start & SEQ_MASK, end & SEQ_MASK) for start, end in edges if start <= end][:most]


def highest(stream: int) -> int:
    """The highest seq of a stream in the ledger, 0 when there is none."""
    low, high = stream << SEQ_BITS, (stream << SEQ_BITS) + SEQ_MASK
    newest = (
        IngestBatch.objects.filter(batch__gte=low, batch__lte=high).order_by("-batch").values_list("batch", flat=True)
    )
    return next((batch & SEQ_MASK for batch in newest[:1]), 0)


def missing(stream: int, asked: Sequence[tuple[int, int]], *, most: int = 1000) -> list[tuple[int, int]]:
    """What of the asked closed ranges is not in the ledger, at most `most` ranges. However many ranges there are and
    however they overlap, the ledger is walked once."""
    wanted = [(first, min(last, SEQ_MASK)) for first, last in sorted(asked) if first <= SEQ_MASK]
    if not wanted:
        return []
    merged = [wanted[0]]
    for first, last in wanted[1:]:
        if first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    found: list[tuple[int, int]] = []
    at = 0
    for low, high in holes(stream, merged[0][0], merged[-1][1], most=10 * most):
        while at < len(merged) and merged[at][1] < low:
            at += 1
        for first, last in itertools.islice(merged, at, None):
            if first > high or len(found) == most:
                break
            found.append((max(first, low), min(last, high)))
    return found


def settled(batches: Iterable[int]) -> dict[int, tuple[str, int, int]]:
    """Of these batches the ones in the ledger: (state, rejected rows, checksum)."""
    rows = IngestBatch.objects.filter(batch__in=list(batches)).values_list("batch", "state", "rejected", "checksum")
    return {batch: (state, rejected, checksum) for batch, state, rejected, checksum in rows}


def checksums(batches: Iterable[int]) -> dict[int, int]:
    """Of these batches the ones in the ledger: the checksum of what was committed."""
    return dict(IngestBatch.objects.filter(batch__in=list(batches)).values_list("batch", "checksum"))


class Rows(NamedTuple):
    """Rows to insert into a table, in this order."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def claim(claims: Sequence[Claim]) -> None:
    """Write the claim rows, in key order so that two workers cannot deadlock. AlreadyClaimedError if any is there."""
    try:
        insert(_claims(claims))
    except IntegrityError as error:
        raise AlreadyClaimedError from error


def claim_days(days: Mapping[tuple[int, int], Figure]) -> None:
    """Note what batches stored of which trading dates: (batch, days since 1970) -> figure. With the claim rows, in one
    transaction. ClaimLostError if something is noted of them already."""
    try:
        insert(_days(days))
    except IntegrityError as error:
        raise ClaimLostError from error


def claim_together(claims: Sequence[Claim], days: Mapping[tuple[int, int], Figure], *others: Rows) -> None:
    """What `claim` and `claim_days` do and `others`, in one round trip to a server. AlreadyClaimedError if anything is
    there already of one of the batches: its claim row, or only what it stored by trading date."""
    try:
        insert(_claims(claims), _days(days), *others)
    except IntegrityError as error:
        raise AlreadyClaimedError from error


def _claims(claims: Sequence[Claim]) -> Rows:
    return Rows("ingest_batch", _CLAIM_COLUMNS, sorted(map(attrgetter(*_CLAIM_COLUMNS), claims)))


def _days(days: Mapping[tuple[int, int], Figure]) -> Rows:
    dates = {day: date_of(day) for _, day in days}
    rows = [(batch, dates[day], figure.rows, figure.checksum) for (batch, day), figure in sorted(days.items())]
    return Rows("ingest_batch_day", ("batch", "trade_date", "rows", "checksum"), rows)


def insert(*given: Rows) -> None:
    """Write rows with one statement a table; none at all takes none. For what every commit writes: the ORM takes
    several times as long to make such a statement, and a driver to fill in numbers."""
    storage().execute_together([_insertion(one) for one in given if one.rows])


def delete(table: str, column: str, numbers: Sequence[int]) -> None:
    """Delete the rows that have one of these numbers in a column; without numbers none. As for `insert`, the ORM takes
    too long."""
    if not numbers:
        return
    quote = connection.ops.quote_name
    chosen = ", ".join(str(int(number)) for number in numbers)
    storage().execute_together([(f"DELETE FROM {quote(table)} WHERE {quote(column)} IN ({chosen})", ())])


def _insertion(given: Rows) -> tuple[str, list[Any]]:
    quote, columns = connection.ops.quote_name, given.columns
    values = ", ".join([f"({', '.join(map(_written, row))})" for row in given.rows])
    filled_in = [one for row in given.rows for one in row if _written(one) == "%s"] if "%s" in values else []
    return f"INSERT INTO {quote(given.table)} ({', '.join(map(quote, columns))}) VALUES {values}", filled_in


def _written(value: Any) -> str:
    """A value as it stands in a statement, %s for one that the driver fills in: numbers, dates and plain words need no
    quoting, which takes a driver longer than the rest of the statement."""
    if type(value) is int:
        return str(value)
    if value is None:
        return "NULL"
    if type(value) is datetime.date or (type(value) is str and _PLAIN.fullmatch(value)):
        return f"'{value}'"
    return "%s"


_PLAIN = re.compile(r"[A-Za-z0-9_]*")


def unclaimed_days(batches: Iterable[int]) -> dict[int, dict[tuple[int, int], Figure]]:
    """Of these batches the ones without a claim row of which the ledger by trading date knows something: what, by
    (batch, days since 1970)."""
    rows = IngestBatchDay.objects.filter(batch__in=list(batches)).exclude(
        Exists(IngestBatch.objects.filter(batch=OuterRef("batch")))
    )
    found: dict[int, dict[tuple[int, int], Figure]] = {}
    for batch, date, count, checksum in rows.values_list("batch", "trade_date", "rows", "checksum"):
        found.setdefault(batch, {})[batch, day_of(date)] = Figure(count, checksum)
    return found


def adjust_days(changes: Mapping[tuple[int, int], Figure], sign: int) -> None:
    """Ticks were taken away (`sign` -1) or put back (+1): (batch, days since 1970) -> figure. In the transaction that
    does it. A batch that has nothing left of a date keeps a row that says so: it is how one whose claim row is lost is
    known to have been stored. StorageError if more is taken away than the ledger knows."""
    quote = connection.ops.quote_name
    dates = {day: date_of(day) for _, day in changes}
    rows = IngestBatchDay.objects.filter(batch__in={batch for batch, _ in changes}, trade_date__in=dates.values())
    there = set(rows.values_list("batch", "trade_date"))
    new = {(batch, day): figure for (batch, day), figure in changes.items() if (batch, dates[day]) not in there}
    if new and sign < 0:
        raise StorageError("the ledger does not know what is to be taken from it; nothing was changed")
    claim_days(new)
    known = [(key, figure) for key, figure in changes.items() if key not in new]
    with connection.cursor() as cursor:
        if known:
            cursor.executemany(
                f"UPDATE {quote('ingest_batch_day')} SET {quote('rows')} = {quote('rows')} + %s,"
                f" checksum = (checksum + %s) %% {PRIME} WHERE batch = %s AND trade_date = %s",
                [
                    (sign * figure.rows, sign * figure.checksum % PRIME, batch, dates[day])
                    for (batch, day), figure in known
                ],
            )
        cursor.executemany(
            f"UPDATE {quote('ingest_batch')} SET stored = stored + %s WHERE batch = %s",
            [(sign * figure.rows, batch) for (batch, _), figure in changes.items()],
        )


def day_figure(date: datetime.date) -> Figure:
    """What was acknowledged of a trading date: the sum over all batches."""
    found = IngestBatchDay.objects.filter(trade_date=date).aggregate(rows=Sum("rows"), checksum=Sum("checksum"))
    return Figure(int(found["rows"] or 0), int(found["checksum"] or 0) % PRIME)


def trading_dates(
    start: datetime.date, end: datetime.date, *, besides: Collection[datetime.date] = ()
) -> list[datetime.date]:
    """The trading dates with start <= date < end of which a batch stored anything, oldest first, but for `besides`."""
    return storage().ledger_dates(start, end, besides=besides)


def changed(known: int, checksum: int) -> bool:
    """Whether a batch with this checksum has other content than what its number was committed with (`known`)."""
    return known not in (checksum, GIVEN_UP)


def now_us() -> int:
    """Wall clock in microseconds, for committed_us."""
    return time.time_ns() // 1000
