"""What a client's spool and the ledger have of each other: compared by checksum, never by number alone.

A batch is what (stream, seq, checksum) says. A client names what it keeps, the ledger answers what it lacks and what it
has with other content; what the ledger lacks and no spool has any more is told as a gap.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms
from marketdata.ledger import batch_ledger, gap_reasons
from marketdata.models import Client, FeedOwner, Gap, IngestBatch, IngestStream
from marketdata.types.tick_arrays import SEQ_BITS

PIECE = 500
MOST_HOLES = 100
FEEDS_OF = 10_000  # batches around a hole whose feeds it may have been of


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the batches asked about: those the ledger lacks and those it has with other content, as closed ranges."""

    missing: list[tuple[int, int]]
    differs: list[tuple[int, int]]


def compare(stream: int, asked: Mapping[int, int]) -> Difference:
    """Compare seq -> checksum with the ledger. A checksum of 0 is unknown to the client, and differs from nothing."""
    numbers = {stream << SEQ_BITS | seq: seq for seq in asked}
    known: dict[int, int] = {}
    for piece in _pieces(sorted(numbers)):
        known.update(batch_ledger.checksums(piece))
    missing = [seq for number, seq in numbers.items() if number not in known]
    differs = [
        seq
        for number, seq in numbers.items()
        if number in known and (known[number] == batch_ledger.GIVEN_UP or known[number] != asked[seq] != 0)
    ]
    return Difference(as_ranges(missing), as_ranges(differs))


def give_up(stream: int, seqs: Iterable[int]) -> None:
    """See to it that those of these batches which are not in the ledger never enter it: a late message of theirs finds
    a claim row that no content has. Those that are there stay."""
    now_us = batch_ledger.now_us()
    for piece in _pieces(sorted(seqs)):
        IngestBatch.objects.bulk_create(
            [
                IngestBatch(
                    batch=stream << SEQ_BITS | seq,
                    state=IngestBatch.State.GIVEN_UP,
                    feed="",
                    rows=0,
                    stored=0,
                    rejected=0,
                    checksum=batch_ledger.GIVEN_UP,
                    received_us=now_us,
                    committed_us=now_us,
                )
                for seq in piece
            ],
            ignore_conflicts=True,
        )


def tell(client_id: int, epoch: str, found: Difference) -> None:
    """Raise the alarms that belong to what a comparison found."""
    if not found.differs and not found.missing:
        return
    client = Client.objects.get(pk=client_id)
    if found.differs:
        why = format_lazy(_("batch {seq} has other content in the ledger"), seq=found.differs[0][0])
        tell_differs(client, epoch, why)
    if found.missing:
        lost = sum(last - first + 1 for first, last in found.missing)
        alarms.raise_alarm(
            "ledger_lost",
            format_lazy(
                _(
                    "client {client}, epoch {epoch}: the ledger lacks {lost} acknowledged batches from {first} to"
                    " {last}; the client sends them again"
                ),
                client=client.name,
                epoch=epoch,
                lost=lost,
                first=found.missing[0][0],
                last=found.missing[-1][1],
            ),
            subject=client.name,
        )


def tell_differs(client: Client, epoch: str, why: Promise) -> None:
    """Raise the alarm that a client's spool and the ledger are not of one mind: it begins a new epoch."""
    alarms.raise_alarm(
        "spool_differs",
        format_lazy(
            _(
                "client {client}, epoch {epoch}: {why}. The spool was restored or copied; what the ledger does not have"
                " is stored under a new epoch, what was committed before stays as it is"
            ),
            client=client.name,
            epoch=epoch,
            why=why,
        ),
        subject=client.name,
    )


def tell_holes(client: Client, stream: int, upto: int) -> int:
    """What the ledger lacks up to `upto`, which the client's spool does not keep any more, becomes gaps and an alarm;
    once. Nobody knows whose ticks a lost batch held, so each feed that the spool carried has the gap. Returns how many
    holes there were."""
    whole = _told_upto(stream)
    if upto <= whole:
        return 0
    found = batch_ledger.holes(stream, whole + 1, upto, most=MOST_HOLES)
    if len(found) == MOST_HOLES:  # a sieve is told as one
        found[-1] = (found[-1][0], upto)
    with transaction.atomic():
        owner = IngestStream.objects.select_for_update().get(pk=stream)
        told = _told_upto(stream)  # by another one, at the same moment
        if upto <= told:
            return 0
        found = [(max(first, told + 1), last) for first, last in found if last > told]
        feeds = _feeds(owner, upto) if found else []
        for first, last in found:
            _keep_hole(owner, first, last, feeds)
        IngestStream.objects.filter(pk=stream).update(whole_upto=upto)
    if found:
        lost = sum(last - first + 1 for first, last in found)
        alarms.raise_alarm(
            "ledger_hole",
            format_lazy(
                _(
                    "client {client}, epoch {epoch}: the ledger lacks {lost} batches from {first} to {last}, and the"
                    " spool does not keep them any more; they are told as gaps of {feeds}"
                ),
                client=client.name,
                epoch=owner.epoch,
                lost=lost,
                first=found[0][0],
                last=found[-1][1],
                feeds=", ".join(feeds) or _("no feed, for none is known"),
            ),
            subject=client.name,
        )
    return len(found)


def _told_upto(stream: int) -> int:
    """Up to which seq the ledger was whole or what it lacks was told. A ledger that has since lost its end (and was not
    told of) is looked at again."""
    whole, top = batch_ledger.whole_upto(stream), batch_ledger.highest(stream)
    if whole <= top:
        return whole
    above = Gap.objects.filter(batch__gt=stream << SEQ_BITS | top, batch__lte=stream << SEQ_BITS | whole)
    return whole if above.exists() else top


def _feeds(owner: IngestStream, upto: int) -> list[str]:
    """What the batches of a spool up to `upto` may have been of: the feeds of the newest of those in the ledger and of
    the first behind them, and those that belong to its client. Not of all, for which a terminal would wait minutes."""
    low, high = owner.pk << SEQ_BITS, owner.pk << SEQ_BITS | batch_ledger.SEQ_MASK
    end = owner.pk << SEQ_BITS | upto
    before = IngestBatch.objects.filter(batch__gte=low, batch__lte=end).order_by("-batch")
    behind = IngestBatch.objects.filter(batch__gt=end, batch__lte=high).order_by("batch")
    owned = FeedOwner.objects.filter(client=owner.client_id).order_by().values_list("feed", flat=True).distinct()
    carried = [rows.values_list("feed", flat=True)[:FEEDS_OF] for rows in (before, behind)]
    return sorted({feed for rows in (*carried, owned) for feed in rows if feed})


def _keep_hole(owner: IngestStream, first: int, last: int, feeds: Iterable[str]) -> None:
    """A gap of each feed under the number of the first lost batch, beside what is noted there already."""
    number = owner.pk << SEQ_BITS | first
    told = dict(Gap.objects.filter(batch=number, symbol="").values_list("feed", "idx"))
    taken = Gap.objects.filter(batch=number).aggregate(idx=Max("idx"))["idx"]
    new = [feed for feed in feeds or [""] if feed not in told]
    for idx, feed in enumerate(new, start=0 if taken is None else taken + 1):
        Gap.objects.create(batch=number, idx=idx, feed=feed, **_bounds(owner, first, last))


def _bounds(owner: IngestStream, first: int, last: int) -> dict[str, Any]:
    rows = IngestBatch.objects.filter(batch__in=[owner.pk << SEQ_BITS | seq for seq in (first - 1, last + 1)])
    around = {row.batch & batch_ledger.SEQ_MASK: row for row in rows}
    before, behind = around.get(first - 1), around.get(last + 1)
    since, now = int(owner.created_at.timestamp() * 1e6), int(datetime.datetime.now(datetime.UTC).timestamp() * 1e6)
    from_us = next((us for us in (before and before.last_us, before and before.received_us) if us), since)
    to_us = next((us for us in (behind and behind.first_us, behind and behind.received_us) if us), now)
    return {
        "from_us": from_us,
        "to_us": max(from_us, to_us),
        "rows": 0,
        "reason": gap_reasons.of_ledger(first, last, owner.epoch),
    }


def as_ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as closed ranges, in order."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if ranges and ranges[-1][1] == seq - 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def _pieces(numbers: list[int]) -> Iterable[list[int]]:
    for start in range(0, len(numbers), PIECE):
        yield numbers[start : start + PIECE]
