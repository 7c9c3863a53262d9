"""Which refused rows and dead letters are meant, and of which batches they are."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ingest import repeats
from marketdata.ledger import batch_ledger
from marketdata.models import DeadLetter, IngestReject, IngestStream
from marketdata.types import reject_reasons
from marketdata.types.tick_arrays import SEQ_BITS

CODES = reject_reasons.LETTERS_AGAIN
PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to judge again. Times are when it was refused; nothing given selects everything."""

    batches: tuple[int, ...] = ()
    client: str = ""
    reason: str = ""  # a reason of a row; then no dead letters
    code: str = ""  # a code of a dead letter; then no rows
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def __str__(self) -> str:
        said = {
            "batch": ",".join(f"{one >> SEQ_BITS}/{one & batch_ledger.SEQ_MASK}" for one in self.batches),
            "client": self.client,
            "reason": self.reason,
            "code": self.code,
            "from": self.since.isoformat() if self.since else "",
            "to": self.until.isoformat() if self.until else "",
        }
        return " ".join(f"{name}={value}" for name, value in said.items() if value) or "everything"

    def rejects(self) -> Any:
        """The refused rows. A repeated record is stored already: judged by itself it would count twice."""
        rows = self._narrowed(IngestReject.objects.exclude(reasons__contains=repeats.REASON))
        return rows.filter(reasons__contains=self.reason) if self.reason else (rows.none() if self.code else rows)

    def letters(self) -> Any:
        """The dead letters."""
        rows = self._narrowed(DeadLetter.objects.filter(code__in=CODES))
        return rows.filter(code=self.code) if self.code else (rows.none() if self.reason else rows)

    def _narrowed(self, rows: Any) -> Any:
        if self.batches:
            rows = rows.filter(batch__in=self.batches)
        if self.since:
            rows = rows.filter(created_at__gte=self.since)
        if self.until:
            rows = rows.filter(created_at__lt=self.until)
        if self.client:
            chosen = rows.none()
            for stream in IngestStream.objects.filter(client__name=self.client).values_list("pk", flat=True):
                chosen |= rows.filter(batch__gte=stream << SEQ_BITS, batch__lt=(stream + 1) << SEQ_BITS)
            rows = chosen
        return rows


def batches(selection: Selection) -> Iterator[int]:
    """The numbers of the batches that have some, ascending."""
    after = -1
    while True:
        page: set[int] = set()
        for rows in (selection.rejects(), selection.letters()):
            numbers = rows.filter(batch__gt=after).order_by("batch").values_list("batch", flat=True).distinct()
            page.update(numbers[:PAGE])
        if not page:
            return
        # Of each kind the first PAGE numbers: what lies behind the end of a full page comes with the next one.
        chosen = sorted(page)[:PAGE]
        yield from chosen
        after = chosen[-1]
