"""What rules on statuses look at: VI and halts as they were committed since the look before, and as they stand where
nobody knows how far the look before came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import redis

from analytics.alerts.judging import conditions
from analytics.alerts.judging.episodes import Measured
from analytics.alerts.judging.index import EVERY, Index
from analytics.alerts.judging.measures import LATE_US
from marketdata.realtime import records_feed
from marketdata.storage import storage
from marketdata.types.order_books import MarketEvent
from marketdata.types.units import DAY_US

STANDS_US = 4 * DAY_US
"""For so long a status is looked for: a halt may have begun before a long weekend."""
MOST_EVENTS = 20_000
ENTRIES = 200
"""Of statuses that are looked at together."""


@dataclass(frozen=True, slots=True)
class Status:
    """What was told of a status of a symbol at a moment: 1 that it is on, 0 that it is over."""

    kind: str
    symbol: str
    value: Measured
    time_us: int


def committed(connection: redis.Redis, feed: str, after: str) -> tuple[list[Status], str]:
    """What was committed behind an entry of the feed's statuses, in that order, and the last entry of it. One that
    began long before it was committed is history."""
    entries = records_feed.statuses_after(connection, feed, after, most=ENTRIES)
    events = [
        event for committed_us, _entry, told in entries for event in told
        if not (event.is_on and event.time_us < committed_us - LATE_US)
    ]  # fmt: skip
    return _told(events), entries[-1][1] if entries else after


def standing(index: Index, feed: str, symbols: Sequence[str] | None, now_us: int) -> list[Status]:
    """How statuses of these symbols stand by the database; of all that rules on statuses look at where None is given.
    Nothing of a symbol that had none."""
    watched = index.feeds[feed]["statuses"]
    if symbols is None:
        symbols = None if EVERY in watched else sorted(watched)
    start_us, end_us = now_us - STANDS_US, now_us + LATE_US
    codes = None if symbols is None else [(symbol, start_us, end_us) for symbol in symbols]
    if codes == []:
        return []
    events = storage().read_events(
        start_us, end_us, kinds=conditions.STATUSES, codes=codes, feeds=[feed], limit=MOST_EVENTS, newest=True
    )
    newest = {(one.kind, one.symbol): one for one in sorted(events, key=lambda one: (one.time_us, one.event_id))}
    return _told(newest.values())


def _told(events: Iterable[MarketEvent]) -> list[Status]:
    return [
        Status(one.kind, one.symbol, Measured(*[int(one.is_on)] * 3), one.time_us)
        for one in events if one.is_on is not None and one.symbol
    ]  # fmt: skip
