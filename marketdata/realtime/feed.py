"""The only way out to subscribers: one Redis stream a feed, one entry a commit, in the order of commits.

Offset `o` numbers the ticks of a feed from 1; an entry's id is the offset of its last tick. The epoch is the identity
of the Redis server process and of what it holds: after a restart, a failover or a FLUSHALL a subscriber must begin
anew,
because the newest entries may be gone. A batch appears once however often it is published: the script that appends
also notes the batch and its checksum, in one step. Not the number alone: a database put back to an older state gives
numbers again, and Redis remembers.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import redis
from django.conf import settings

from marketdata.realtime import alerts, stats
from marketdata.types import minute_bars, tick_arrays
from marketdata.types.minute_bars import Bars
from marketdata.types.tick_arrays import Ticks

STREAM = "naru:feed:"
CANCELLED = 200
"""The kind, in an entry alone, of a trade that was taken back."""
GENERATION = "naru:feed-generation"
ANNOUNCED = "naru:announced"
# Batches noted as announced. A batch asks for its note as long as its row is in `feed_pending`, which is for some 100
# batches of its worker at most; the rest is for a worker that was frozen on its way. Some 100 bytes each.
KEEP_ANNOUNCED = 200_000

# KEYS: stream, announced, feeds whose statistics are due, their symbols (`stats.mark`), symbols that alert rules watch.
# ARGV: ticks, oldest offset kept back, committed_us, notes kept, ticks blob, bars blob, the notes in msgpack, the feed,
# its symbols in msgpack, traces of its batches.
# Returns {last offset, whether one of its symbols is watched} or, when one of the notes is there already, {-1, note...}
# without doing anything. Notes
# are numbered as they come, so that the oldest can be let go whatever any clock says.
_PUBLISH = (
    stats.MARK
    + alerts.IS_WATCHED
    + """
local told = cmsgpack.unpack(ARGV[7])
local seen = redis.call('ZMSCORE', KEYS[2], unpack(told))
local old = {-1}
for i, score in ipairs(seen) do if score then old[#old + 1] = told[i] end end
if #old > 1 then return old end
local newest = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
local number = tonumber(newest[2] or 0)
local notes = {}
for _, note in ipairs(told) do number = number + 1; notes[#notes + 1] = number; notes[#notes + 1] = note end
redis.call('ZADD', KEYS[2], unpack(notes))
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[4]))
local count = tonumber(ARGV[1])
if count == 0 then return {0} end
local info = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local last = 0
if info[1] then last = tonumber(string.match(info[1][1], '^%d+')) end
last = last + count
local least = last - tonumber(ARGV[2])
if least < 0 then least = 0 end
redis.call('XADD', KEYS[1], 'MINID', '~', string.format('%.0f', least), string.format('%.0f-0', last),
  'n', ARGV[1], 'c', ARGV[3], 't', ARGV[5], 'b', ARGV[6], unpack(ARGV[10] == '' and {} or {'x', ARGV[10]}))
local symbols = cmsgpack.unpack(ARGV[9])
mark(KEYS[3], KEYS[4], ARGV[8], symbols)
return {last, is_watched(KEYS[5], symbols)}
"""
)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One commit as subscribers see it: ticks with offsets first, first + 1, …, and each touched candle as it now
    is. `packed` are the ticks as they lie in the feed."""

    feed: str
    first: int
    last: int
    committed_us: int
    ticks: Ticks
    packed: bytes
    bars: Bars
    traces: tuple[str, ...] = ()
    """Of its batches, where each batch's way is logged."""


def publish(
    pipeline: Any, ticks: Ticks, bars: Bars, *, notes: list[str], committed_us: int, traces: Sequence[str] = ()
) -> None:
    """Queue appending a commit to its feed on a Redis pipeline; `repeated` reads the answer. `notes` tell what it is
    made of: `batch_note` of each batch, `void_note` or `requeue_note`."""
    pipeline.eval(
        _PUBLISH,
        5,
        STREAM + ticks.feed,
        ANNOUNCED,
        stats.FEEDS,
        stats.MARKED + ticks.feed,
        alerts.WATCHED + ticks.feed,
        len(ticks),
        settings.FEED_MAX_TICKS,
        committed_us,
        KEEP_ANNOUNCED,
        tick_arrays.pack(ticks),
        minute_bars.pack(bars),
        msgpack.packb(notes, use_bin_type=False),
        ticks.feed,
        msgpack.packb(ticks.symbols, use_bin_type=False),
        " ".join(traces),
    )


def batch_note(batch: int, checksum: int) -> str:
    """What `publish` takes for a batch: its number and the checksum of its content."""
    return f"{batch}:{checksum}"


def void_note(notice: int, at_us: int) -> str:
    """What `publish` takes for a notice of voided ticks, decided at this moment."""
    return f"void:{notice}:{at_us}"


def requeue_note(requeued: int, at_us: int) -> str:
    """What `publish` takes for rows that were judged again at this moment."""
    return f"requeue:{requeued}:{at_us}"


def repeated(answer: Any) -> list[str]:
    """The notes for which `publish` appended nothing, because they were there already."""
    return [note.decode() for note in answer[1:]] if answer[0] == -1 else []


def is_watched(answer: Any) -> bool:
    """Whether `publish` appended something of which an alert rule watches a symbol."""
    return bool(answer[0] > 0 and answer[1])


def unpublished(connection: redis.Redis, notes: Sequence[str]) -> list[str]:
    """Which of these never reached the feed."""
    if not notes:
        return []
    scores: Any = connection.zmscore(ANNOUNCED, list(notes))
    return [note for note, score in zip(notes, scores, strict=True) if score is None]


def decode(feed: str, entry_id: bytes, values: dict[bytes, bytes]) -> FeedEntry:
    """An entry of a feed's stream as arrays."""
    last = int(entry_id.split(b"-")[0])
    return FeedEntry(
        feed=feed,
        first=last - int(values[b"n"]) + 1,
        last=last,
        committed_us=int(values[b"c"]),
        ticks=tick_arrays.unpack(values[b"t"]),
        packed=values[b"t"],
        bars=minute_bars.unpack(values[b"b"]),
        traces=tuple(values[b"x"].decode().split()) if b"x" in values else (),
    )


def newest(connection: redis.Redis, feeds: list[str]) -> dict[str, FeedEntry]:
    """The newest entry of each feed that has one."""
    pipeline = connection.pipeline(transaction=False)
    for feed in feeds:
        pipeline.xrevrange(STREAM + feed, count=1)
    answers: Any = pipeline.execute()
    return {feed: decode(feed, *rows[0]) for feed, rows in zip(feeds, answers, strict=True) if rows}


async def epoch(connection: Any) -> str:
    """The identity of the Redis server process behind an asyncio client and of what it holds, 16 characters."""
    info: dict[str, Any] = await connection.info("server")
    await connection.set(GENERATION, secrets.token_hex(4), nx=True)  # gone when somebody emptied Redis
    return _epoch(info, await connection.get(GENERATION))


def current_epoch(connection: redis.Redis) -> str:
    """As `epoch`, behind a client that waits."""
    info: Any = connection.info("server")
    connection.set(GENERATION, secrets.token_hex(4), nx=True)
    generation: Any = connection.get(GENERATION)
    return _epoch(info, generation)


def _epoch(info: dict[str, Any], generation: bytes | None) -> str:
    return str(info["run_id"])[:8] + (generation or b"").decode()


async def bounds(connection: Any, feed: str) -> tuple[int, int]:
    """(first offset that can be replayed, last offset) of a feed; (1, 0) when nothing was ever published."""
    oldest = await connection.xrange(STREAM + feed, count=1)
    newest = await connection.xrevrange(STREAM + feed, count=1)
    return _bounds(oldest, newest)


def _bounds(oldest: Any, newest: Any) -> tuple[int, int]:
    if not oldest or not newest:
        return 1, 0
    entry_id, values = oldest[0]
    return int(entry_id.split(b"-")[0]) - int(values[b"n"]) + 1, int(newest[0][0].split(b"-")[0])


async def newest_entries(connection: Any, feed: str, *, most: int, upto: int | None = None) -> list[FeedEntry]:
    """The newest entries of a feed, newest first, at most `most`: of all or of those that end at offset `upto` or
    before."""
    rows = await connection.xrevrange(STREAM + feed, max="+" if upto is None else f"{upto}-0", count=most)
    return [decode(feed, entry_id, values) for entry_id, values in rows]


def entries_upto(connection: redis.Redis, feed: str, upto: int | None, *, most: int) -> list[FeedEntry]:
    """As `newest_entries`, behind a client that waits."""
    rows: Any = connection.xrevrange(STREAM + feed, max="+" if upto is None else f"{upto}-0", count=most)
    return [decode(feed, entry_id, values) for entry_id, values in rows]


async def replay(connection: Any, feed: str, *, after: int, most: int = 100) -> list[FeedEntry]:
    """Entries that have a tick with an offset above `after`, oldest first, at most `most`."""
    rows = await connection.xrange(STREAM + feed, min=f"({after}-0", count=most)
    return [decode(feed, entry_id, values) for entry_id, values in rows]


def entries_after(connection: redis.Redis, feed: str, after: int, *, most: int) -> list[FeedEntry]:
    """As `replay`, behind a client that waits."""
    rows: Any = connection.xrange(STREAM + feed, min=f"({after}-0", count=most)
    return [decode(feed, entry_id, values) for entry_id, values in rows]


async def follow(connection: Any, positions: dict[str, int], *, block_ms: int) -> list[FeedEntry]:
    """Wait for entries behind the given last offsets of feeds (feed -> offset). Moves the positions on."""
    answer = await connection.xread(
        {STREAM + feed: f"{last}-0" for feed, last in positions.items()}, count=100, block=block_ms
    )
    return _followed(answer, positions)


def follow_waiting(connection: redis.Redis, positions: dict[str, int], *, most: int, block_ms: int) -> list[FeedEntry]:
    """As `follow`, behind a client that waits; at most so many entries of each feed."""
    streams: Any = {STREAM + feed: f"{last}-0" for feed, last in positions.items()}
    return _followed(connection.xread(streams, count=most, block=block_ms), positions)


def _followed(answer: Any, positions: dict[str, int]) -> list[FeedEntry]:
    entries = []
    for key, rows in answer.items() if isinstance(answer, dict) else answer:
        feed = key.decode().removeprefix(STREAM)
        for entry_id, values in rows[0] if isinstance(answer, dict) else rows:
            entries.append(decode(feed, entry_id, values))
            positions[feed] = entries[-1].last
    return entries


def current_bounds(connection: redis.Redis, feed: str) -> tuple[int, int]:
    """As `bounds`, behind a client that waits."""
    oldest: Any = connection.xrange(STREAM + feed, count=1)
    newest: Any = connection.xrevrange(STREAM + feed, count=1)
    return _bounds(oldest, newest)
