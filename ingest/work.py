"""A Celery message's batches from bytes to rows ready to store: decoded, judged, grouped by feed and source. No
database writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ingest import clocks, validation
from ingest.clocks import Trust
from marketdata import faults as faults_module
from marketdata import ticks as ticks_module
from marketdata.symbols import Rules
from marketdata.ticks import Decoded, Ticks
from terminals import wire


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch as the ingest server hands it over, and what is learned of it on the way."""

    number: int
    payload: bytes
    received_us: int
    source_id: int
    register_market: str | None = None
    dead: str | None = None  # why it is given up, when it failed too often
    offset_us: int | None = None  # the terminal's clock minus the ingest server's, as measured when it came

    decoded: Decoded | None = None
    refusal: wire.BatchError | None = None
    stored: int = 0
    rejected: int = 0
    noise: int = 0  # rows in which float noise was taken off a number
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: list[tuple[int, int, str, str]] = field(default_factory=list)
    over_quota: set[str] = field(default_factory=set)  # symbols its client may not register any more

    @property
    def checksum(self) -> int:
        """Equal for a batch sent again, which is byte-identical."""
        return wire.checksum(self.payload)

    @property
    def captured_us(self) -> int | None:
        """When it was closed, by the terminal's clock."""
        return self.decoded.header.captured_us if self.decoded else None

    @property
    def feed(self) -> str:
        return self.decoded.header.feed if self.decoded else ""


@dataclass(slots=True, kw_only=True)
class Group:
    """Good ticks of one feed and source, of one or more batches."""

    batches: list[Batch]
    ticks: Ticks


def decode(batches: Iterable[Batch]) -> None:
    """Read each payload; an unreadable one is marked refused."""
    for batch in batches:
        if batch.dead is None:
            try:
                batch.decoded = ticks_module.from_wire(batch.payload, source_id=batch.source_id, batch=batch.number)
                batch.noise = batch.decoded.noise
            except wire.BatchError as error:
                batch.refusal = error


def group(
    batches: Iterable[Batch],
    *,
    find: Callable[[list[str]], Mapping[str, Rules]],
    recency: Callable[[int], validation.Recency],
    trust: Trust,
    rights: Callable[[list[Batch], Ticks, validation.Faults], None] | None = None,
) -> list[Group]:
    """Judge the decoded batches' rows, first by themselves, then by what their client may (`rights`); returns the good
    ones by feed and source, and notes the refused ones on their batch."""
    by_kind: dict[tuple[str, int], list[Batch]] = {}
    for batch in batches:
        if batch.decoded is not None and batch.decoded.gap is None:
            by_kind.setdefault((batch.feed, batch.source_id), []).append(batch)
    groups = []
    for (_, source_id), members in by_kind.items():
        decoded = [batch.decoded for batch in members if batch.decoded is not None]
        ticks = ticks_module.concatenate([part.ticks for part in decoded])
        faults = np.concatenate([part.faults for part in decoded])
        lengths = [len(part.ticks) for part in decoded]
        moments = [clocks.captured_at(b.captured_us or 0, b.offset_us, b.received_us, trust) for b in members]
        captured_us = np.repeat(np.array(moments, np.int64), lengths)
        good = validation.judge(
            ticks, faults, rules=find(ticks.symbols), captured_us=captured_us, recency=recency(source_id)
        )
        if rights is not None:
            rights(members, ticks, faults)
            good = faults == 0
        start = 0
        for batch, part, rows in zip(members, decoded, lengths, strict=True):
            _note(batch, part, faults[start : start + rows], good[start : start + rows])
            start += rows
        groups.append(Group(batches=members, ticks=ticks if good.all() else ticks.take(good)))
    return groups


def _note(batch: Batch, decoded: Decoded, faults: validation.Faults, good: ticks_module.Mask) -> None:
    batch.rejects, batch.reasons = [], Counter()  # judged once more after a lost connection
    batch.stored = int(good.sum())
    batch.rejected = len(good) - batch.stored
    batch.reasons.clear()  # judged again, when the database failed while another feed's symbols were read
    batch.rejects.clear()
    for row in np.flatnonzero(~good).tolist():
        names = faults_module.names(int(faults[row]))
        batch.reasons.update(names)
        batch.rejects.append((batch.number, row, " ".join(names), decoded.record(row)))
