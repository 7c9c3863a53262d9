"""What subscribers are told beside ticks: which symbols have a newer order book, statuses, which minute candles were
made anew, which symbols have newer statistics, and the alerts of people's rules.

One Redis stream a feed, bounded, whose ids are Redis' own times. It tells what to read, so books and candles
are named only.
Nothing is published again that found Redis away: the next book tells of itself, and the events are in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import msgpack
import redis

from marketdata.realtime import stats
from marketdata.types.order_books import MarketEvent

STREAM = "naru:records:"
STATUS_STREAM = "naru:statuses:"
"""VI and halts alone, for who has to see each of them: they are few, and other records do not push them out."""
STATUSES = frozenset({"market_status", "vi", "halt"})
"""Events that tell the status of a symbol or of the market."""
KEEP = 1_000  # entries of a feed
MOST_CANDLES = 1_000  # of an entry
MOST_TOGETHER = 20  # statuses of an entry, each of some 100 bytes and at most 4 kB
KEEP_STATUSES = 2_000  # entries of a feed
BEGIN = "0-0"


@dataclass(frozen=True, slots=True)
class Notice:
    """Symbols that have a newer order book, and statuses, of one commit; the (symbol, minute) of candles that are
    others now; symbols that have newer statistics ("" for the market's); or alerts, whole, each for its `owner`."""

    feed: str
    books: list[str]
    statuses: list[MarketEvent]
    candles: list[tuple[str, int]] = field(default_factory=list)
    stats: list[str] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)


def publish(pipeline: Any, feed: str, books: Iterable[str], events: Iterable[MarketEvent]) -> None:
    """Queue telling of what was committed to a feed on a Redis pipeline; of the events those that are statuses."""
    named, events = sorted(set(books)), list(events)
    statuses = [astuple(event) for event in events if event.kind in STATUSES]
    for start in range(0, max(len(statuses), min(len(named), 1)), MOST_TOGETHER):
        content: tuple[Any, ...] = (named if start == 0 else [], statuses[start : start + MOST_TOGETHER], [])
        _add(pipeline, feed, content)
    switched = [astuple(event) for event in events if event.is_on is not None]
    for start in range(0, len(switched), MOST_TOGETHER):
        values = {b"e": msgpack.packb(switched[start : start + MOST_TOGETHER])}
        pipeline.xadd(STATUS_STREAM + feed, values, maxlen=KEEP_STATUSES, approximate=True)
    stats.mark(pipeline, feed, named)


def publish_candles(pipeline: Any, feed: str, keys: Sequence[tuple[str, int]]) -> None:
    """Queue telling which candles, by symbol and minute, are others than before on a Redis pipeline."""
    for start in range(0, len(keys), MOST_CANDLES):
        _add(pipeline, feed, ([], [], keys[start : start + MOST_CANDLES]))
    stats.mark(pipeline, feed, {symbol for symbol, _ in keys})


def publish_stats(pipeline: Any, feed: str, symbols: Sequence[str]) -> None:
    """Queue telling which symbols have newer statistics on a Redis pipeline."""
    _add(pipeline, feed, ([], [], []), symbols)


def publish_alerts(pipeline: Any, feed: str, alerts: Sequence[Mapping[str, Any]]) -> None:
    """Queue telling of alerts on a Redis pipeline; each has its `owner`, who beside operators may be told."""
    for start in range(0, len(alerts), MOST_TOGETHER):
        _add(pipeline, feed, ([], [], []), alerts=alerts[start : start + MOST_TOGETHER])


def _add(
    pipeline: Any,
    feed: str,
    content: tuple[Any, ...],
    newer: Sequence[str] = (),
    alerts: Sequence[Mapping[str, Any]] = (),
) -> None:
    values = {b"r": msgpack.packb(content)} | ({b"s": msgpack.packb(list(newer))} if newer else {})
    if alerts:
        values[b"a"] = msgpack.packb(list(alerts))
    pipeline.xadd(STREAM + feed, values, maxlen=KEEP, approximate=True)


def decode(feed: str, values: dict[bytes, bytes]) -> Notice:
    """An entry of a feed's stream."""
    books, statuses, candles = msgpack.unpackb(values[b"r"])
    events = _events(statuses)
    newer = msgpack.unpackb(values[b"s"]) if b"s" in values else []
    alerts = msgpack.unpackb(values[b"a"]) if b"a" in values else []
    return Notice(feed, books, events, [(symbol, minute) for symbol, minute in candles], newer, alerts)


def _events(rows: Iterable[Sequence[Any]]) -> list[MarketEvent]:
    names = [one.name for one in fields(MarketEvent)]
    return [MarketEvent(**dict(zip(names, row, strict=True))) for row in rows]


def statuses_after(
    connection: redis.Redis, feed: str, after: str, *, most: int
) -> list[tuple[int, str, list[MarketEvent]]]:
    """(when it was published in microseconds, its id, VI and halts) of entries behind an id, oldest first."""
    rows: Any = connection.xrange(STATUS_STREAM + feed, min=f"({after}", count=most)
    return [
        (int(entry.partition(b"-")[0]) * 1000, entry.decode(), _events(msgpack.unpackb(values[b"e"])))
        for entry, values in rows
    ]


def newest_status(connection: redis.Redis, feed: str) -> str:
    """The id of the newest entry of VI and halts."""
    rows: Any = connection.xrevrange(STATUS_STREAM + feed, count=1)
    return rows[0][0].decode() if rows else BEGIN


async def newest(connection: Any, feed: str) -> str:
    """The id of a feed's newest entry, to follow what comes behind it."""
    rows = await connection.xrevrange(STREAM + feed, count=1)
    return rows[0][0].decode() if rows else BEGIN


async def follow(connection: Any, positions: dict[str, str], *, block_ms: int) -> Sequence[Notice]:
    """Wait for entries behind the given ids of feeds (feed -> id). Moves the positions on."""
    answer = await connection.xread({STREAM + feed: at for feed, at in positions.items()}, count=100, block=block_ms)
    notices = []
    for key, rows in answer.items() if isinstance(answer, dict) else answer:
        feed = key.decode().removeprefix(STREAM)
        for entry_id, values in rows[0] if isinstance(answer, dict) else rows:
            positions[feed] = entry_id.decode()
            notices.append(decode(feed, values))
    return notices
