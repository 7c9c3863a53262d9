"""A Celery message's batches from bytes to rows ready to store: decoded, judged, grouped by feed and source. No
database writes."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from ingest import clocks, record_validation, validation
from ingest.clocks import Trust
from marketdata.reference.symbols import Rules
from marketdata.types import decoded_batches, decoding, records, reject_reasons, tick_arrays
from marketdata.types.decoded_batches import Decoded, WireBatch
from marketdata.types.minute_bars import Key
from marketdata.types.records import DecodedRecords
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import TICK_BITS, Int64, Mask, Ticks
from marketdata.types.units import MINUTE_US
from terminals import wire

KeyT = TypeVar("KeyT", bound=Hashable)


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
    refused_gaps: dict[int, str] = field(default_factory=dict)  # by their places: why its client may not report them
    checksum: int = field(init=False)  # equal for a batch sent again, which is byte-identical

    def __post_init__(self) -> None:
        self.checksum = wire.checksum(self.payload)

    @property
    def captured_us(self) -> int | None:
        """When it was closed, by the terminal's clock."""
        return self.decoded.header.captured_us if self.decoded else None

    @property
    def records(self) -> DecodedRecords | None:
        """What it holds, if that is order books or events."""
        return self.decoded if isinstance(self.decoded, DecodedRecords) else None

    @property
    def named(self) -> list[str]:
        """The symbols it names, of its rows or of its gaps."""
        if self.decoded is None:
            return []
        return self.decoded.symbols or sorted({gap.symbol for gap in self.decoded.gaps if gap.symbol is not None})

    @property
    def gaps(self) -> dict[int, wire.Gap]:
        """The gaps that its client may report, by their places in the batch."""
        told = self.decoded.gaps if self.decoded is not None else []
        return {place: gap for place, gap in enumerate(told) if place not in self.refused_gaps}

    def refuse_gaps(self, refused: Mapping[int, str]) -> None:
        """Note of which gaps its client may not report, and why; instead of what was noted before."""
        self.refused_gaps, self.rejected = dict(refused), len(refused)
        self.reasons, self.rejects = Counter(refused.values()), []
        if self.decoded is not None:
            record = records_of(self.decoded)
            self.rejects = [(self.number, place, why, record(place)) for place, why in sorted(refused.items())]

    @property
    def feed(self) -> str:
        return self.decoded.header.feed if self.decoded else ""


@dataclass(slots=True, kw_only=True)
class TickGroup:
    """Good ticks of one feed and source, of one or more batches. `number` is that of its row in `feed_pending`: by
    chance, and not a batch's, for one that the ledger lost and that is stored again, perhaps with others, must not take
    the place of a row that names others still."""

    batches: list[Batch]
    ticks: Ticks
    number: int = field(default_factory=partial(secrets.randbits, 63))


@dataclass(slots=True, kw_only=True)
class RecordGroup:
    """Good order books or events of one feed and source, of one or more batches; `ticks` are their symbols, times, ids
    and trading dates."""

    batches: list[Batch]
    ticks: Ticks
    content: records.Content


RightsJudge = Callable[[list[Batch], Ticks, validation.Faults], None]
"""Adds to the rows' faults what the client of their batches may not write."""


def records_of(decoded: Decoded) -> Callable[[int], str]:
    """How a refused row of a batch, or a refused gap, is kept: JSON by its place; a gap as the wire has it."""
    if not decoded.gaps:
        return decoded.record
    return lambda place: json.dumps(wire.gap_content(decoded.gaps[place]), ensure_ascii=False)


def decode(batches: Iterable[Batch]) -> None:
    """Read the payloads of all batches together; an unreadable one is marked refused."""
    living = [batch for batch in batches if batch.dead is None]
    found = decoding.decode_together([WireBatch(one.payload, one.source_id, one.number) for one in living])
    for batch, decoded in zip(living, found, strict=True):
        if isinstance(decoded, wire.BatchError):
            batch.refusal = decoded
        else:
            batch.decoded, batch.noise = decoded, decoded.noise


def group(
    batches: Iterable[Batch],
    *,
    find: Callable[[list[str]], Mapping[str, Rules]],
    recency: Callable[[int], validation.Recency],
    trust: Trust,
    rights: RightsJudge | None = None,
) -> list[TickGroup]:
    """Judge the decoded batches' rows, first by themselves, then by what their client may (`rights`); returns the good
    ones by feed and source, and notes the refused ones on their batch."""
    groups = []
    ticks_of = [batch for batch in batches if batch.decoded and not batch.decoded.gaps and batch.records is None]
    for (_, source_id), members in _together(ticks_of, lambda batch: (batch.feed, batch.source_id)).items():
        decoded = [batch.decoded for batch in members if batch.decoded is not None]
        ticks, faults = decoded_batches.joined(decoded)
        captured_us = _captured_us(members, trust)
        validation.judge(ticks, faults, rules=find(ticks.symbols), captured_us=captured_us, recency=recency(source_id))
        good = _settle(members, ticks, faults, rights)
        groups.append(TickGroup(batches=members, ticks=ticks if good is None else ticks.take(good)))
    return groups


def group_records(
    batches: Iterable[Batch],
    *,
    find: Callable[[list[str]], Mapping[str, Rules]],
    recency: Callable[[int], validation.Recency],
    trust: Trust,
    rights: RightsJudge,
) -> list[RecordGroup]:
    """As `group`, of the batches that hold order books or events; those of one feed, source and kind go together."""
    groups = []
    records_of = [batch for batch in batches if batch.records is not None]
    kinds = _together(records_of, lambda batch: (batch.feed, batch.source_id, batch.records and batch.records.holds))
    for (_, source_id, _), members in kinds.items():
        decoded = [batch.records for batch in members if batch.records is not None]
        ticks, content, faults = records.joined(decoded)
        captured_us = _captured_us(members, trust)
        record_validation.judge(
            ticks, content, faults, rules=find(ticks.symbols), captured_us=captured_us, recency=recency(source_id)
        )
        good = _settle(members, ticks, faults, rights)
        if good is not None:
            ticks, content = ticks.take(good), content.take(good)
        groups.append(RecordGroup(batches=members, ticks=ticks, content=content))
    return groups


def _together(batches: Iterable[Batch], key: Callable[[Batch], KeyT]) -> dict[KeyT, list[Batch]]:
    """The batches by what they have in common."""
    members: dict[KeyT, list[Batch]] = {}
    for batch in batches:
        members.setdefault(key(batch), []).append(batch)
    return members


def _captured_us(members: Sequence[Batch], trust: Trust) -> Int64:
    """When each row of these batches was captured, by the server's clock."""
    moments = [clocks.captured_at(b.captured_us or 0, b.offset_us, b.received_us, trust) for b in members]
    return np.repeat(np.array(moments, np.int64), [_rows(batch) for batch in members])


def _settle(members: list[Batch], ticks: Ticks, faults: validation.Faults, rights: RightsJudge | None) -> Mask | None:
    """Add what `rights` finds and note on each batch what is stored of it and what is not. Which rows are good; None if
    all are."""
    if rights is not None:
        rights(members, ticks, faults)
    good = faults == 0
    all_good, start = bool(good.all()), 0
    for batch in members:
        if batch.decoded is not None:
            end = start + _rows(batch)
            rejected = () if all_good else np.flatnonzero(~good[start:end]).tolist()
            batch.decoded.dated(ticks.trade_date[start:end])
            _note(batch, batch.decoded, end - start, {row: int(faults[start + row]) for row in rejected})
            start = end
    return None if all_good else good


def _rows(batch: Batch) -> int:
    return 0 if batch.decoded is None else len(batch.decoded.faults)


def times_of_batches(ticks: Ticks) -> dict[int, tuple[int, int]]:
    """The first and the last event time (UTC microseconds) of each batch, which lie one after the other in `ticks`."""
    if not len(ticks):
        return {}
    number = ticks.tick_id >> TICK_BITS
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    first, last = np.minimum.reduceat(ticks.time_us, starts), np.maximum.reduceat(ticks.time_us, starts)
    return dict(zip(number[starts].tolist(), zip(first.tolist(), last.tolist(), strict=True), strict=True))


def without_candles(groups: Iterable[TickGroup], feed: str, keys: Collection[Key]) -> list[TickGroup]:
    """The groups without the trades of these candles of a feed, which are noted on their batches as refused: their sums
    would leave what a candle can hold. ValueError if there is no such trade."""
    left, taken = [], 0
    for group in groups:
        ticks = group.ticks
        chosen = trades_of(ticks, feed, keys)
        taken += int(chosen.sum())
        _refuse(group.batches, ticks.tick_id[chosen].tolist(), Fault.SUM_OUT_OF_RANGE)
        left.append(TickGroup(batches=group.batches, ticks=ticks.take(~chosen)))
    if not taken:
        raise ValueError(f"no trade of {feed} is of these candles: {sorted(keys)[:5]}")
    return left


def trades_of(ticks: Ticks, feed: str, keys: Collection[Key]) -> tick_arrays.Mask:
    """Which of the ticks are trades of these candles of a feed."""
    codes = dict(enumerate(ticks.symbols))
    minutes = ticks.time_us // MINUTE_US * MINUTE_US
    named = zip(ticks.symbol.tolist(), minutes.tolist(), ticks.trade_date.tolist(), strict=True)
    chosen = np.array([(codes.get(index), minute, date) in keys for index, minute, date in named], np.bool_)
    return chosen & tick_arrays.trades(ticks) & (ticks.feed == feed)


def _refuse(batches: Iterable[Batch], tick_ids: Iterable[int], fault: Fault) -> None:
    members = {batch.number: batch for batch in batches}
    for tick_id in tick_ids:
        batch, row = members[tick_id >> TICK_BITS], tick_id & ((1 << TICK_BITS) - 1)
        if batch.decoded is not None:
            names = reject_reasons.names(int(fault))
            batch.stored -= 1
            batch.rejected += 1
            batch.reasons.update(names)
            batch.rejects.append((batch.number, row, " ".join(names), batch.decoded.record(row)))


def _note(batch: Batch, decoded: Decoded, rows: int, rejected: Mapping[int, int]) -> None:
    """How many rows are stored, and which are not: row -> faults."""
    if batch.rejects or batch.reasons:
        batch.rejects, batch.reasons = [], Counter()  # it is judged again, when the database failed meanwhile
    batch.rejected = len(rejected)
    batch.stored = rows - batch.rejected
    for row, faults in rejected.items():
        names = reject_reasons.names(faults)
        batch.reasons.update(names)
        batch.rejects.append((batch.number, row, " ".join(names), decoded.record(row)))
