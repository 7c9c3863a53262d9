"""What became of batches by the ledger, for when the worker's own word was lost: the same as the worker would have
said. Runs in a thread, never on the event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import cast

from ingest import notifications
from ingest.in_flight import InFlightBatch
from ingest.notifications import Outcome
from marketdata import connections
from marketdata.ledger import batch_ledger, set_aside
from marketdata.models import DeadLetter, IngestBatch, IngestReject
from marketdata.types import reject_reasons

PIECE = 500
# Only where what was kept of a batch is gone again, after an operator took it out.
_CODES: Mapping[str, notifications.Code] = {
    str(IngestBatch.State.REFUSED): "bad_batch",
    str(IngestBatch.State.DEAD): "dead_letter",
}


def look_up(entries: Sequence[InFlightBatch]) -> list[Outcome]:
    """The outcomes of those batches that the ledger has. The number alone proves nothing: content other than the
    ledger's is kept aside, and said to be."""
    connections.refresh()
    return [outcome for piece in _pieces(entries) for outcome in _look_up(piece)]


def _look_up(entries: Sequence[InFlightBatch]) -> Iterator[Outcome]:
    known = batch_ledger.settled(entry.number for entry in entries)
    reasons = _reasons([batch for batch, (_, rejected, _) in known.items() if rejected])
    letters = _letters([batch for batch, (state, _, _) in known.items() if state in _CODES])
    for entry in entries:
        if entry.number not in known:
            continue
        state, rejected, checksum = known[entry.number]
        if batch_ledger.changed(checksum, entry.checksum):
            set_aside.keep_aside(entry.number, checksum=entry.checksum, payload=entry.payload)
        code: notifications.Code
        code, message = notifications.known_already(checksum, entry.checksum)
        counted: Mapping[str, int] = {}
        if not code and state in _CODES:
            code, message = letters.get((entry.number, checksum), (_CODES[state], ""))
        elif not code and rejected:
            code, counted = "rows", reasons.get(entry.number, {})
        yield Outcome(
            batch=entry.number,
            code=code,
            rejected=rejected if code == "rows" else 0,
            reasons=counted,
            message=message,
            checksum=entry.checksum,
        )


def _reasons(batches: Collection[int]) -> dict[int, Counter[str]]:
    """How many rows were refused for which reason, by batch."""
    counted: dict[int, Counter[str]] = {}
    if batches:
        names = {str(fault.name).lower() for fault in reject_reasons.Fault}  # the last of very many may be cut short
        for batch, text in IngestReject.objects.filter(batch__in=batches).values_list("batch", "reasons"):
            counted.setdefault(batch, Counter()).update(name for name in text.split() if name in names)
    return counted


def _letters(batches: Collection[int]) -> dict[tuple[int, int], tuple[notifications.Code, str]]:
    """(batch, checksum) -> code and message of batches that were refused as a whole."""
    if not batches:
        return {}
    rows = DeadLetter.objects.filter(batch__in=batches).exclude(code="checksum_mismatch")
    return {
        (batch, checksum): (cast(notifications.Code, code), error)  # written from one
        for batch, checksum, code, error in rows.values_list("batch", "checksum", "code", "error")
    }


def _pieces(entries: Sequence[InFlightBatch]) -> Iterable[Sequence[InFlightBatch]]:
    return (entries[start : start + PIECE] for start in range(0, len(entries), PIECE))
