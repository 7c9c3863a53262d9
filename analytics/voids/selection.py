"""Which ticks an order names, and which of them there are."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from marketdata.ledger import batch_ledger
from marketdata.maintenance import dropped
from marketdata.models import Client, IngestBatch, IngestBatchDay, IngestStream
from marketdata.storage import storage
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS, Mask, Ticks
from marketdata.types.units import moment_of

NEAR = datetime.timedelta(days=8)  # a trading date differs from its event's own date by no more


class NothingChosen(Exception):
    """A selection that names nothing, or something that there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Ticks that fit everything that is given. start_us <= time < end_us. At least one of batches, client and symbols
    is given: nobody voids a whole market by leaving a word out."""

    batches: tuple[int, ...] = ()
    client: str = ""
    symbols: tuple[str, ...] = ()
    feed: str = ""
    start_us: int | None = None
    end_us: int | None = None

    def as_json(self) -> str:
        """As an order keeps it."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in ("", (), None)})

    @classmethod
    def of_json(cls, text: str) -> Selection:
        """The inverse of `as_json`."""
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
        found: Any = given
        return cls(**found)


def check(selection: Selection) -> None:
    """NothingChosen if it names nothing, or something that there is not."""
    if not (selection.batches or selection.client or selection.symbols):
        raise NothingChosen(_("name a batch, a client or a symbol"))
    if selection.client and not Client.objects.filter(name=selection.client).exists():
        raise NothingChosen(_("{client}: no such client").format(client=selection.client))
    missing = set(selection.batches) - set(batch_ledger.checksums(selection.batches))
    if missing:
        names = ", ".join(f"{number >> SEQ_BITS}/{number & batch_ledger.SEQ_MASK}" for number in sorted(missing))
        raise NothingChosen(_("{names}: no such batch in the ledger").format(names=names))


class Chosen:
    """A selection, looked up."""

    def __init__(self, selection: Selection) -> None:
        self._given = selection
        streams = IngestStream.objects.filter(client__name=selection.client).values_list("pk", flat=True)
        self._streams = list(streams) if selection.client else None

    def dates(self) -> tuple[list[datetime.date], list[datetime.date]]:
        """The trading dates that may have some; and those of them that stay as they are, for their ticks or candles
        were dropped: what is left of such a day is not the whole of it, and nothing is made of it."""
        given, days = self._given, IngestBatchDay.objects.order_by()
        if given.batches:
            days = days.filter(batch__in=given.batches)
        if given.start_us is not None:
            days = days.filter(trade_date__gte=_date(given.start_us) - NEAR)
        if given.end_us is not None:
            days = days.filter(trade_date__lte=_date(given.end_us) + NEAR)
        found: set[datetime.date] = set()
        if self._streams is None:
            found |= set(days.values_list("trade_date", flat=True).distinct())
        for stream in self._streams or ():
            low = stream << SEQ_BITS
            mine = days.filter(batch__gte=low, batch__lte=low | batch_ledger.SEQ_MASK)
            found |= set(mine.values_list("trade_date", flat=True).distinct())
        gone = {date for date in found if dropped.kinds(date)}
        return sorted(found - gone), sorted(gone)

    def series(self, date: datetime.date) -> list[tuple[str, str]]:
        """The (symbol, feed) pairs of the date that may have some."""
        given = self._given
        return [
            (symbol, feed)
            for symbol, feed in storage().day_series(date)
            if (not given.symbols or symbol in given.symbols) and given.feed in ("", feed)
        ]

    def ticks(self, date: datetime.date, symbol: str, feed: str) -> Ticks:
        """The chosen ticks of a series."""
        found = storage().read_day_ticks(date, symbol, feed)
        chosen: Mask = np.ones(len(found), bool)
        if self._given.batches:
            chosen &= np.isin(found.tick_id >> TICK_BITS, np.array(self._given.batches, np.int64))
        if self._streams is not None:
            chosen &= np.isin(found.tick_id >> (TICK_BITS + SEQ_BITS), np.array(self._streams, np.int64))
        if self._given.start_us is not None:
            chosen &= found.time_us >= self._given.start_us
        if self._given.end_us is not None:
            chosen &= found.time_us < self._given.end_us
        return found.take(chosen)


def _date(time_us: int) -> datetime.date:
    return moment_of(time_us).date()


def of_batches(rows: Iterable[IngestBatch]) -> Selection:
    """The selection of these batches."""
    return Selection(batches=tuple(sorted(row.batch for row in rows)))
