"""What is kept beside the ledger, not stored: refused rows, gaps, and batches as dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from marketdata import alarms, metrics
from marketdata.ledger import batch_ledger
from marketdata.models import DeadLetter, Gap, IngestReject, IngestStream
from marketdata.types.tick_arrays import SEQ_BITS
from marketdata.types.units import date_of
from terminals import wire

ToldGaps = tuple[int, str, Mapping[int, wire.Gap]]
"""Batch, feed, and what is missing by its place in the batch."""


def keep_rejects(rows: Iterable[tuple[int, int, str, str]]) -> None:
    """Store refused rows: (batch, index, reasons, record); instead of what was kept of these batches before, which is
    something where a batch has lost its claim row and comes again."""
    rows = list(rows)
    batch_ledger.delete("ingest_reject", "batch", sorted({batch for batch, *_ in rows}))
    IngestReject.objects.bulk_create(
        [
            IngestReject(batch=batch, idx=idx, reasons=reasons[:200], record=record)
            for batch, idx, reasons, record in rows
        ],
        batch_size=500,
    )


def keep_gaps(told: Iterable[ToldGaps]) -> None:
    """Store what terminals say is missing, of many batches together; instead of what was noted under the batches'
    numbers before."""
    told = list(told)
    batch_ledger.delete("gap", "batch", sorted(batch for batch, *_ in told))
    add_gaps(told)


def add_gaps(told: Iterable[ToldGaps]) -> None:
    """As `keep_gaps`, beside what is noted there."""
    Gap.objects.bulk_create(
        [
            Gap(
                batch=batch,
                idx=idx,
                feed=feed,
                symbol=gap.symbol or "",
                from_us=gap.from_us,
                to_us=gap.to_us,
                rows=gap.rows,
                missing=gap.missing,
                trade_date=None if gap.trade_date is None else date_of(gap.trade_date),
                reason=_text(gap.reason, 200),
            )
            for batch, feed, gaps in told
            for idx, gap in gaps.items()
        ],
        batch_size=500,
    )


def add_dead_letter(batch: int, *, checksum: int, code: str, error: str, payload: bytes) -> None:
    """Keep a whole batch that cannot be stored, once however often it comes."""
    DeadLetter.objects.get_or_create(
        batch=batch, checksum=checksum, code=code, defaults={"error": _text(error, 2000), "payload": payload}
    )


def keep_aside(batch: int, *, checksum: int, payload: bytes) -> None:
    """Keep the content of a batch whose number was committed with other content, and raise an alarm: two spools send
    under one name, or one was put back."""
    add_dead_letter(
        batch,
        checksum=checksum,
        code="checksum_mismatch",
        error="the ledger holds this seq with another checksum",
        payload=payload,
    )
    metrics.REFUSED_BATCHES.labels("checksum_mismatch").inc()
    owner = IngestStream.objects.select_related("client").filter(pk=batch >> SEQ_BITS).first()
    name, epoch = (owner.client.name, owner.epoch) if owner else ("?", "?")
    alarms.raise_alarm(
        "checksum_mismatch",
        format_lazy(
            _(
                "batch {seq} of epoch {epoch} of client {client} came with other content than was committed; it is"
                " kept as a dead letter and not stored"
            ),
            seq=batch & batch_ledger.SEQ_MASK,
            epoch=epoch,
            client=name,
        ),
        subject=name,
    )


def _text(text: str, most: int) -> str:
    """What a column of text takes: PostgreSQL has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:most]
