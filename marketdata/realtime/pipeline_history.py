"""The pipeline's numbers of the past hours, in Redis: a point every ten seconds for two hours, one a minute for a day.

`measurements` beside it takes them. Both series are streams whose ids are the moments of their points, so a
point is noted once, whoever else tries. A point takes some 0.4 KB, and 60 bytes more for each connected terminal:
1.3 MB in all with 4 terminals, 8 MB with MOST_TERMINALS. They are lost with Redis, and nothing else depends on them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import redis

KEY = "naru:history:"
COUNTED = "naru:history-counted"
"""The counters as they were at the newest point: rates are made of what came since."""
MOST_TERMINALS = 64
MOST_REASONS = 64
FORGET_S = 600
"""A rate is of two moments no further apart, and a point no later: one that is further behind the newest is of a clock
that was ahead."""
_BATCH = 512  # points read at a time

Number = int | float


@dataclass(frozen=True, slots=True)
class Resolution:
    """Points `step_s` seconds apart, of which the newest `points` are kept."""

    name: str
    step_s: int
    points: int

    @property
    def key(self) -> str:
        return KEY + self.name

    def start_ms(self, at_us: int) -> int:
        """The moment of the point that `at_us` belongs to."""
        step_ms = self.step_s * 1000
        return at_us // 1000 // step_ms * step_ms


FINE, COARSE = Resolution("10Sec", 10, 720), Resolution("1Min", 60, 1440)
RESOLUTIONS = {one.name: one for one in (FINE, COARSE)}


def _mean(values: Sequence[Number]) -> Number:
    return round(statistics.fmean(values), 2)


# What a minute tells of its points: of a rate the mean, of what hurts the worst.
FIGURES: Mapping[str, Callable[[Sequence[Number]], Number]] = {
    "ticks_per_s": _mean,
    "rejected_per_s": _mean,
    "commit_ms_p50": _mean,
    "commit_ms_p95": max,
    "commit_ms_p99": max,
    "feed_ms_p50": _mean,
    "feed_ms_p95": max,
    "feed_ms_p99": max,
    "inflight_batches": max,
    "terminals": min,
    "disk_free_bytes": min,
}
"""By name of a figure. `commit_ms_…`: from receiving a batch to its commit. `feed_ms_…`: from the event to its entry in
the feed, of entries of all live feeds. `disk_free_bytes`: of the disk with the least room."""
TERMINAL_FIGURES: Mapping[str, Callable[[Sequence[Number]], Number]] = {
    "rate": _mean,
    "clock_offset_ms": lambda values: max(values, key=abs),
    "waiting": max,
}


@dataclass(slots=True)
class Point:
    """What was measured at one moment; what could not be is left out. `queues`: depth by queue. `rejected`: rows a
    second by reason. `terminals`: the figures of each connected terminal by name."""

    figures: dict[str, Number] = field(default_factory=dict)
    queues: dict[str, Number] = field(default_factory=dict)
    rejected: dict[str, Number] = field(default_factory=dict)
    terminals: dict[str, dict[str, Number]] = field(default_factory=dict)

    def packed(self) -> bytes:
        """Names of a terminal's figures are left to their order."""
        terminals = {name: [told.get(one) for one in TERMINAL_FIGURES] for name, told in self.terminals.items()}
        packed: bytes = msgpack.packb([self.figures, self.queues, self.rejected, terminals])
        return packed

    @classmethod
    def unpacked(cls, text: bytes) -> Point:
        figures, queues, rejected, terminals = msgpack.unpackb(text)
        told = {
            name: {one: value for one, value in zip(TERMINAL_FIGURES, values, strict=False) if value is not None}
            for name, values in terminals.items()
        }
        return cls(figures, queues, rejected, told)


def folded(points: Sequence[Point]) -> Point:
    """One point of several: `FIGURES` says how; of queues the deepest, of rejects the mean."""
    names = sorted({name for point in points for name in point.terminals})[:MOST_TERMINALS]
    return Point(
        figures=_folded([point.figures for point in points], FIGURES),
        queues=_folded([point.queues for point in points], dict.fromkeys(_names(one.queues for one in points), max)),
        rejected={
            reason: round(sum(point.rejected.get(reason, 0) for point in points) / len(points), 2)
            for reason in _names(one.rejected for one in points)[:MOST_REASONS]
        },
        terminals={
            name: _folded([one.terminals[name] for one in points if name in one.terminals], TERMINAL_FIGURES)
            for name in names
        },
    )


def _names(parts: Iterable[Mapping[str, Number]]) -> list[str]:
    return sorted({name for part in parts for name in part})


def _folded(
    parts: Sequence[Mapping[str, Number]], by: Mapping[str, Callable[[Sequence[Number]], Number]]
) -> dict[str, Number]:
    found = {name: [part[name] for part in parts if part.get(name) is not None] for name in by}
    return {name: by[name](values) for name, values in found.items() if values}


@dataclass(frozen=True, slots=True)
class Counted:
    """Counters as they were at a moment."""

    at_us: int
    stored: int
    rejected: int
    refused: dict[str, int]

    def rates(self, before: Counted | None) -> tuple[dict[str, Number], dict[str, Number]]:
        """(figures, rows refused by reason) a second since then; nothing when there is no moment before, or the
        counters began anew."""
        if before is None or self.at_us <= before.at_us:
            return {}, {}
        if self.stored < before.stored or self.rejected < before.rejected:
            return {}, {}
        span_s = (self.at_us - before.at_us) / 1e6
        by_reason = {
            reason: round((rows - before.refused.get(reason, 0)) / span_s, 2)
            for reason, rows in sorted(self.refused.items())[:MOST_REASONS]
            if rows > before.refused.get(reason, 0)
        }
        figures: dict[str, Number] = {
            "ticks_per_s": round((self.stored - before.stored) / span_s, 1),
            "rejected_per_s": round((self.rejected - before.rejected) / span_s, 2),
        }
        return figures, dict(by_reason)


def last_counted(connection: redis.Redis) -> Counted | None:
    """The counters of the newest point."""
    text: Any = connection.get(COUNTED)
    return None if text is None else Counted(*msgpack.unpackb(text))


def note(connection: redis.Redis, at_us: int, point: Point, counted: Counted) -> bool:
    """Keep a point and make the minutes that are over of theirs. False: somebody noted this moment already.
    redis.RedisError: it is not kept."""
    if not _add(connection, FINE, FINE.start_ms(at_us), point):
        return False
    counters = [counted.at_us, counted.stored, counted.rejected, counted.refused]
    connection.set(COUNTED, msgpack.packb(counters), ex=FORGET_S)
    step_ms, begun_ms = COARSE.step_s * 1000, COARSE.start_ms(at_us)
    newest_ms = _newest_ms(connection, COARSE, begun_ms)
    minutes: dict[int, list[Point]] = {}
    for at_ms, one in _between(connection, FINE, 0 if newest_ms is None else newest_ms + step_ms, begun_ms):
        minutes.setdefault(at_ms // step_ms * step_ms, []).append(one)
    for minute_ms, points in sorted(minutes.items()):
        _add(connection, COARSE, minute_ms, folded(points))
    return True


def read(connection: redis.Redis, resolution: Resolution, since_us: int = 0) -> list[tuple[int, Point]]:
    """(moment in microseconds, point) of each point from `since_us` on, oldest first."""
    return [(at_ms * 1000, point) for at_ms, point in _between(connection, resolution, since_us // 1000, None)]


def _between(
    connection: redis.Redis, resolution: Resolution, start_ms: int, end_ms: int | None
) -> list[tuple[int, Point]]:
    found: list[tuple[int, Point]] = []
    first, last = f"{max(start_ms, 0)}-0", "+" if end_ms is None else f"({end_ms}-0"
    while True:
        rows: Any = connection.xrange(resolution.key, min=first, max=last, count=_BATCH)
        found += [(int(entry.split(b"-")[0]), Point.unpacked(values[b"p"])) for entry, values in rows]
        if len(rows) < _BATCH:
            return found
        first = f"({rows[-1][0].decode()}"


def _newest_ms(connection: redis.Redis, resolution: Resolution, at_ms: int) -> int | None:
    """The moment of the newest point. A history that is further ahead of `at_ms` than a measurement can last is given
    up: until it is reached nothing could be noted."""
    rows: Any = connection.xrevrange(resolution.key, count=1)
    newest_ms = int(rows[0][0].split(b"-")[0]) if rows else None
    if newest_ms is not None and newest_ms > at_ms + FORGET_S * 1000:
        connection.delete(resolution.key)
        return None
    return newest_ms


def _add(connection: redis.Redis, resolution: Resolution, at_ms: int, point: Point) -> bool:
    _newest_ms(connection, resolution, at_ms)
    try:
        connection.xadd(
            resolution.key, {"p": point.packed()}, id=f"{max(at_ms, 1)}-0", maxlen=resolution.points, approximate=False
        )
    except redis.ResponseError as error:
        if "equal or smaller" not in str(error):
            raise
        return False
    return True
