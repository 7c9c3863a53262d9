"""A vendor's record that comes again, after a reconnect or from a file replayed twice: recognised where the client
declared how, set aside with the reason `repeated_record`, and counted. Two real equal trades stay two.

A client declares one of two things of its trades (`Client.unique_by`): that no two events of a symbol on a feed have
the same `seq`, or that the cumulative volume moves with each trade. Then a trade whose symbol, time, price, size, side
and that number are those of a stored one is that one. What is stored is the memory: the window is as long as ticks are
kept. It is asked in the transaction that stores, one of a client at a time, so that every attempt has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from ingest.batch_decoding import Batch, TickGroup
from marketdata.models import Client
from marketdata.storage import storage
from marketdata.types import reject_reasons
from marketdata.types.reject_reasons import Fault
from marketdata.types.tick_arrays import ABSENT, SEQ_BITS, TICK_BITS, Mask, Ticks
from terminals import wire

REASON = reject_reasons.names(int(Fault.REPEATED_RECORD))[0]
ROW_MASK = (1 << TICK_BITS) - 1
Key = tuple[int, int, int, int, int]
ClientOf = Callable[[int], Client | None]


def set_aside(groups: list[TickGroup], client_of: ClientOf) -> list[TickGroup]:
    """The groups without repeated records, which are noted on their batches. Inside the transaction, before anything is
    written; may be called again for the same groups when the transaction is."""
    streams = {batch.number >> SEQ_BITS for group in groups for batch in group.batches}
    declared = declarations(streams, client_of)
    if not declared:
        return groups
    lock(declared)
    return [_without_repeats(group, declared) for group in groups]


def declarations(streams: Iterable[int], client_of: ClientOf) -> dict[int, Client]:
    """The clients of these streams who declared something, by stream."""
    clients = {stream: client_of(stream) for stream in sorted(streams)}
    return {stream: client for stream, client in clients.items() if client is not None and client.unique_by}


def lock(declared: Mapping[int, Client]) -> None:
    """Inside the transaction, before anything is written: another one with records of the same clients waits here, and
    then sees what this one stored."""
    clients = {client.pk for client in declared.values()}
    list(Client.objects.select_for_update().filter(pk__in=clients).order_by("pk").values_list("pk"))


def among(ticks: Ticks, declared: Mapping[int, Client]) -> Mask:
    """Which of these ticks are repeated records: of stored ones, or of earlier ones among themselves."""
    repeated: Mask = np.zeros(len(ticks), bool)
    stream = ticks.tick_id >> (SEQ_BITS + TICK_BITS)
    for column in ("seq", "cum_volume"):
        mine = [one for one, client in declared.items() if client.unique_by == column]
        if mine:
            number = getattr(ticks, column)
            rows = np.isin(stream, mine) & (ticks.kind == wire.Kind.TRADE) & (number != ABSENT)
            repeated |= _repeated(ticks, rows, column)
    return repeated


def _without_repeats(group: TickGroup, declared: Mapping[int, Client]) -> TickGroup:
    repeated = among(group.ticks, declared)
    _note(group.batches, group.ticks.tick_id[repeated])
    return replace(group, ticks=group.ticks.take(~repeated)) if repeated.any() else group


def _repeated(ticks: Ticks, rows: Mask, column: str) -> Mask:
    """Which of these rows are stored already, or came earlier in the same message."""
    found: Mask = np.zeros(len(ticks), bool)
    for index in np.unique(ticks.symbol[rows]).tolist():
        places = np.flatnonzero(rows & (ticks.symbol == index))
        places = places[np.argsort(ticks.tick_id[places], kind="stable")]
        times = ticks.time_us[places]
        stored = storage().read_ticks(
            ticks.symbols[index], ticks.feed, int(times.min()), int(times.max()) + 1, kind=wire.Kind.TRADE
        )
        # Of a batch that lost its claim row the ticks are there: it does not repeat itself.
        stored = stored.take(~np.isin(stored.tick_id, ticks.tick_id[places]))
        seen = set(_keys(stored, column))
        for place, key in zip(places.tolist(), _keys(ticks.take(places), column), strict=True):
            found[place] = key in seen
            seen.add(key)
    return found


def _keys(ticks: Ticks, column: str) -> list[Key]:
    columns = (ticks.time_us, ticks.price, ticks.size, ticks.side, getattr(ticks, column))
    return list(zip(*(values.tolist() for values in columns), strict=True))


def _note(batches: Iterable[Batch], tick_ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
    """What was judged before stays; what an earlier attempt noted of repeats is noted anew."""
    for batch in batches:
        rows = (tick_ids[tick_ids >> TICK_BITS == batch.number] & ROW_MASK).tolist()
        before = [reject for reject in batch.rejects if reject[2] != REASON]
        batch.stored += len(batch.rejects) - len(before) - len(rows)
        batch.rejected = len(before) + len(rows)
        del batch.reasons[REASON]
        if rows and batch.decoded is not None:
            batch.reasons[REASON] = len(rows)
            before += [(batch.number, row, REASON, batch.decoded.record(row)) for row in rows]
        batch.rejects[:] = before
