"""Ticks of a series of one day out of the tables of ticks and back into them: each call is one transaction of ticks,
ledger, candles, and what subscribers are to be told."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable

import numpy as np

from analytics.integrity import consistency
from analytics.voids.selection import Chosen
from marketdata.ledger import batch_ledger, voided
from marketdata.models import FeedChange, FeedNotice, RolloverRun, VoidedTick, VoidOrder
from marketdata.realtime import feed as feeds
from marketdata.storage import NotWholeError, StorageError, storage
from marketdata.storage.base import HISTORY, TEMP
from marketdata.types import checksums, feed_changes, tick_arrays
from marketdata.types.checksums import Figure
from marketdata.types.feed_changes import What
from marketdata.types.tick_arrays import TICK_BITS, Ticks
from terminals import wire

State = RolloverRun.State
MOVED = (State.MOVED, State.AGGREGATED, State.CLEANED, State.DONE)


def _refuse_remainder(date: datetime.date, symbol: str, feed: str) -> None:
    """NotWholeError if a minute candle has more trades than the ticks that are stored make: made anew from them it
    would lose what they do not know. Inside `own_minutes`."""
    made = consistency.from_ticks(date, symbol, feed)
    trades = dict(zip(made.time_us.tolist(), made.n.tolist(), strict=True))
    stored = storage().read_day_minutes(date, feed, symbol)
    if more := sum(n > trades.get(at, 0) for at, n in zip(stored.time_us.tolist(), stored.n.tolist(), strict=True)):
        raise NotWholeError(
            f"{date} {feed} {symbol}: {more:,} minute candles have more trades than the ticks that are stored, so"
            f" nothing of this series was changed. `manage.py verify_day {date}` names what is missing"
        )


def void(order: VoidOrder, chosen: Chosen, date: datetime.date, symbol: str, feed: str) -> int:
    """What is chosen of a series goes; how many ticks. NotWholeError, StorageError: nothing of it went."""
    store = storage()
    with store.own_minutes(date, feed, [symbol]):
        ticks = chosen.ticks(date, symbol, feed)
        if not len(ticks):
            return 0
        _refuse_remainder(date, symbol, feed)
        wanted = set(ticks.tick_id.tolist())
        places = store.tick_places(date, symbol, feed)
        sources = {tick_id: source for place in places.values() for tick_id, source in place.items()}
        for place, known in places.items():
            mine = ticks.take(np.array([tick_id in known for tick_id in ticks.tick_id.tolist()], bool))
            if len(mine) and store.delete_ticks(place, mine) != len(mine):
                raise StorageError("ticks went while they were voided; nothing was changed")
            if place == HISTORY:
                _adjust_run(date, _figure(voided.by_source(mine, sources)))
        days = _take_prices(ticks)
        VoidedTick.objects.bulk_create(
            [
                VoidedTick(
                    tick_id=tick_id, order=order, symbol=symbol, feed=feed, source_id=sources[tick_id],
                    trade_date=date, time_us=int(ticks.time_us[row]),
                    record=json.dumps(ticks.record(row) | days.get(tick_id, {})),
                )
                for row, tick_id in enumerate(ticks.tick_id.tolist())
            ],
            batch_size=500,
        )  # fmt: skip
        _adjust_ledger(voided.by_source(ticks, sources), -1)
        store.replace_minutes(date, consistency.from_ticks(date, symbol, feed))
        cancels = ticks.take(ticks.kind == wire.Kind.TRADE)
        cancels.kind[:] = feeds.CANCELLED
        _note(cancels)
        # As late as can be: until the transaction ends readers see the candles that have these ticks.
        taken = VoidedTick.objects.filter(order=order, trade_date=date, symbol=symbol, feed=feed, gone_us=None)
        taken.update(gone_us=batch_ledger.now_us())
        return len(wanted)


def _take_prices(ticks: Ticks) -> dict[int, dict[str, str]]:
    """Remove what these snapshots of a series told of their day: by tick_id, as a record has it."""
    snapshots = ticks.take(ticks.kind == wire.Kind.SNAPSHOT)
    if not len(snapshots):
        return {}
    first_us, last_us = int(snapshots.time_us.min()), int(snapshots.time_us.max())
    wanted = set(snapshots.tick_id.tolist())
    symbol = snapshots.symbols[int(snapshots.symbol[0])]
    told = storage().read_prices(symbol, snapshots.feed, first_us, last_us + 1)
    days = {one.tick_id: one.day_record() for one in told if one.tick_id in wanted}
    if storage().delete_prices(snapshots) != len(days):
        raise StorageError("prices went while their snapshots were voided; nothing was changed")
    return days


def _figure(parts: Iterable[Ticks]) -> Figure:
    return checksums.total(figure for part in parts for figure in checksums.of_ticks(part).values())


def _adjust_run(date: datetime.date, gone: Figure) -> None:
    """What the rollover noted of a day in history follows, so that the next comparison finds what it expects; and its
    archive has ticks that do not count any more, so it is made anew."""
    run = RolloverRun.objects.filter(trade_date=date, state__in=MOVED).first()
    if run is not None and gone.rows:
        now = Figure(run.rows or 0, run.checksum or 0) - gone
        RolloverRun.objects.filter(pk=run.pk).update(rows=now.rows, checksum=now.checksum, archived_at=None)


def _adjust_ledger(parts: Iterable[Ticks], sign: int) -> None:
    changes: dict[tuple[int, int], Figure] = {}
    for part in parts:
        for key, figure in checksums.by_batch(part, part.tick_id >> TICK_BITS).items():
            changes[key] = changes.get(key, Figure()) + figure
    batch_ledger.adjust_days(changes, sign)


def _note_return(date: datetime.date, symbol: str, feed: str, parts: Iterable[Ticks]) -> None:
    """Trades that are back, for who reads the database where the feed has no more of it."""
    now_us = batch_ledger.now_us()
    for part in parts:
        trades = part.take(part.kind == wire.Kind.TRADE)
        for start in range(0, len(trades), feed_changes.MOST_TICKS):
            some = trades.take(np.arange(start, min(start + feed_changes.MOST_TICKS, len(trades))))
            first_us, last_us = int(some.time_us.min()), int(some.time_us.max())
            content = feed_changes.ticks(date.isoformat(), first_us, last_us, some.tick_id.tolist())
            FeedChange.objects.create(what=What.TICKS, feed=feed, symbol=symbol, content=content, changed_us=now_us)


def _note(ticks: Ticks) -> None:
    """Subscribers are to hear of it, a thousand ticks at a time."""
    for start in range(0, len(ticks), 1000):
        part = ticks.take(np.arange(start, min(start + 1000, len(ticks))))
        FeedNotice.objects.create(payload=tick_arrays.pack(part), committed_us=batch_ledger.now_us())


def restore(order: VoidOrder, date: datetime.date, symbol: str, feed: str) -> None:
    """What an order took of a series is back. NotWholeError, StorageError: nothing of it is."""
    store = storage()
    with store.own_minutes(date, feed, [symbol]):
        _refuse_remainder(date, symbol, feed)
        rows = VoidedTick.objects.filter(order=order, trade_date=date, symbol=symbol, feed=feed)
        kept = list(rows.order_by("time_us", "tick_id"))
        parts, categories = voided.parts(kept), voided.categories(kept)
        for part in parts:
            told = tick_arrays.with_day(part)
            if store.load(TEMP, part) != len(part) or (
                told is not None and store.load_prices(told, categories) != len(told)
            ):
                raise StorageError("a voided tick is stored as well; nothing was changed")
        _adjust_ledger(parts, +1)
        rows.delete()
        store.replace_minutes(date, consistency.from_ticks(date, symbol, feed))
        # Before subscribers are to be told: whoever has passed that has passed this.
        _note_return(date, symbol, feed, parts)
        for part in parts:
            _note(part.take(part.kind == wire.Kind.TRADE))
