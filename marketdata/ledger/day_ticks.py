"""The ticks of a finished series as arrays that add up to what the database counted, whichever sources sent them.

Arrays have one source and a series may have several: a day of a live terminal whose gap was filled by a replay. The
ledger knows who sent which batch, and the database's own figure says whether that explains everything.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from marketdata.models import IngestStream
from marketdata.storage import storage
from marketdata.types import checksums
from marketdata.types.checksums import Figure
from marketdata.types.tick_arrays import SEQ_BITS, TICK_BITS, Ticks
from marketdata.types.units import day_of


class SourceUnclear(Exception):
    """Rows have another source than the client that sent them; `ticks` has them as they are, `explained` what the
    ledger makes of them."""

    def __init__(self, ticks: Ticks, explained: Figure) -> None:
        super().__init__("rows whose source is not that of their client")
        self.ticks, self.explained = ticks, explained


def sources() -> dict[int, int]:
    """The source of each ingest stream's client."""
    return dict(IngestStream.objects.values_list("id", "client__source_id"))


def read(date: datetime.date, symbol: str, feed: str, *, figure: Figure, sources: Mapping[int, int]) -> list[Ticks]:
    """All ticks of a series, a part for each source. `figure` is the database's own of the same moment; SourceUnclear
    when no source that is known explains it."""
    ticks = storage().read_day_ticks(date, symbol, feed)
    if not len(ticks) or of_day(ticks, date) == figure:
        return [ticks] if len(ticks) else []
    stream = ticks.tick_id >> (SEQ_BITS + TICK_BITS)
    known = {number: sources.get(number, ticks.source_id) for number in np.unique(stream).tolist()}
    senders = np.array([known[number] for number in stream.tolist()], np.int64)
    parts = [replace(ticks.take(senders == sender), source_id=sender) for sender in sorted(set(known.values()))]
    explained = checksums.total(of_day(part, date) for part in parts)
    if explained != figure:
        raise SourceUnclear(ticks, explained)
    return parts


def of_day(ticks: Ticks, date: datetime.date) -> Figure:
    """The figure of these ticks on one trading date."""
    return checksums.of_ticks(ticks).get(day_of(date), Figure())
