"""Today's state in Redis: the latest trade of every symbol, the pipeline's counters, which terminals are connected."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
import redis
from django.conf import settings

from marketdata.realtime import redis_clients
from marketdata.storage.base import Latest
from marketdata.types.tick_arrays import ABSENT, Ticks, packed_ratio
from marketdata.types.tick_arrays import trades as trades_of
from terminals import wire

COUNTERS = "naru:counters"
REFUSED = "naru:refused"
INGEST = "naru:ingest:"
LATEST = "naru:latest:"
SEEDED = "naru:latest-seeded"
"""The feed's epoch in which the latest trades were filled from the database. Without it they are of no account: all
that came before this Redis is missing, so a late trade may stand where a later one belongs."""

# A field is replaced only by a later event: the first 16 bytes are its time and tick_id, big-endian. They are compared
# as four numbers, which Lua holds exactly; its < on strings follows the locale Redis was started in. ARGV: [symbols,
# their values] in msgpack without its newer types, for a client takes longer to write an argument than Redis to unpack
# it.
_REMEMBER = """
local function later(new, old)
  local a, b, c, d = struct.unpack('>I4I4I4I4', new)
  local e, f, g, h = struct.unpack('>I4I4I4I4', old)
  if a ~= e then return a > e end
  if b ~= f then return b > f end
  if c ~= g then return c > g end
  return d > h
end
local symbols, values = unpack(cmsgpack.unpack(ARGV[1]))
local kept = redis.call('HMGET', KEYS[1], unpack(symbols))
local put = {}
for i, new in ipairs(values) do
  if not kept[i] or later(new, kept[i]) then put[#put + 1] = symbols[i]; put[#put + 1] = new end
end
if #put > 0 then redis.call('HSET', KEYS[1], unpack(put)) end
return #put / 2
"""


_FORGET = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
"""


@lru_cache(maxsize=1)
def connection() -> redis.Redis:
    """This process' client for short commands. Times out rather than waits: nothing here may hold up a commit."""
    return redis_clients.client(
        settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=3, socket_keepalive=True, health_check_interval=5
    )


def remember(pipeline: Any, ticks: Ticks) -> None:
    """Queue the latest trade of each symbol on a pipeline, 2,000 symbols a command."""
    trades = np.flatnonzero(trades_of(ticks) & (ticks.symbol >= 0))
    if not len(trades):
        return
    order = trades[np.lexsort((ticks.tick_id[trades], ticks.time_us[trades], ticks.symbol[trades]))]
    last = order[np.append(ticks.symbol[order][1:] != ticks.symbol[order][:-1], True)]
    symbols = [ticks.symbols[index] for index in ticks.symbol[last].tolist()]
    if (ticks.size[last] != ABSENT).all():
        _queue_latest(pipeline, ticks.feed, symbols, _latest_values(ticks, last))
        return
    rows = zip(
        symbols,
        ticks.time_us[last].tolist(),
        ticks.tick_id[last].tolist(),
        ticks.price[last].tolist(),
        ticks.size[last].tolist(),
        strict=True,
    )
    remember_trades(
        pipeline,
        [
            Latest(symbol=symbol, feed=ticks.feed, time_us=at, tick_id=tick_id, price=price, size=size)
            for symbol, at, tick_id, price, size in ((*row[:4], None if row[4] == ABSENT else row[4]) for row in rows)
        ],
    )


_LATEST_ROW = np.dtype(
    {
        "names": ("time", "id", "array", "p", "price", "s", "size", "scale"),
        "formats": (">u8", ">u8", "S1", "S1", ">i8", "S1", ">i8", "u1"),
    }
)
"""A value of the latest trades, of which all are equally long: msgpack takes numbers in their longest form as well."""


def _latest_values(ticks: Ticks, rows: npt.NDArray[np.int64]) -> list[bytes]:
    """What `remember_trades` writes of these rows, which all have a size."""
    values = np.empty(len(rows), _LATEST_ROW)
    values["time"] = ticks.time_us[rows].astype(np.uint64) + np.uint64(1 << 63)
    values["id"] = ticks.tick_id[rows]
    values["array"], values["p"], values["s"], values["scale"] = b"\x93", b"\xd3", b"\xd3", wire.SIZE_SCALE
    values["price"], values["size"] = ticks.price[rows], ticks.size[rows]
    text, width = values.tobytes(), _LATEST_ROW.itemsize
    return [text[at : at + width] for at in range(0, len(text), width)]


def remember_trades(pipeline: Any, trades: Iterable[Latest]) -> None:
    """Queue these trades as the latest of their symbols and feeds, where nothing later is known."""
    for feed, part in groupby(sorted(trades, key=lambda one: (one.feed, one.symbol)), key=lambda one: one.feed):
        rows = list(part)
        values = [
            struct.pack(">QQ", one.time_us + (1 << 63), one.tick_id)
            + msgpack.packb([one.price, one.size, wire.SIZE_SCALE])
            for one in rows
        ]
        _queue_latest(pipeline, feed, [one.symbol for one in rows], values)


def _queue_latest(pipeline: Any, feed: str, symbols: list[str], values: list[bytes]) -> None:
    for start in range(0, len(symbols), 2000):
        some = [symbols[start : start + 2000], values[start : start + 2000]]
        pipeline.eval(_REMEMBER, 1, LATEST + feed, msgpack.packb(some, use_bin_type=False))


def replace(feed: str, symbol: str, tick_id: int, valid: Ticks) -> None:
    """Put the last trade of `valid` (nothing, if it has none) in place of the latest trade of this tick_id, unless that
    was overtaken meanwhile."""
    old: Any = connection().hget(LATEST + feed, symbol)
    if old is None or struct.unpack_from(">QQ", old)[1] != tick_id:
        return
    pipeline = connection().pipeline(transaction=True)
    pipeline.eval(_FORGET, 1, LATEST + feed, symbol, old)
    remember(pipeline, valid)
    pipeline.execute()


def latest(feed: str, symbols: list[str] | None = None) -> dict[str, dict[str, int | None]]:
    """The latest trade of symbols (all of the feed by default): time_us, tick_id, price (1e-8), size (1e-6). A symbol
    that is not in the answer has to be asked of the database: it has no trade, or this Redis is not seeded yet."""
    if symbols == []:
        return {}
    pipeline = connection().pipeline(transaction=False)
    pipeline.exists(SEEDED)
    if symbols is None:
        pipeline.hgetall(LATEST + feed)
    else:
        pipeline.hmget(LATEST + feed, symbols)
    seeded, kept = pipeline.execute()
    if not seeded:
        return {}
    found = kept if symbols is None else dict(zip((s.encode() for s in symbols), kept, strict=True))
    result: dict[str, dict[str, int | None]] = {}
    for symbol, value in found.items():
        if value is not None:
            time_us, tick_id = struct.unpack_from(">QQ", value)
            price, size, *scale = msgpack.unpackb(value[16:])
            size = None if size is None else size * packed_ratio(*scale)
            result[symbol.decode()] = {"time_us": time_us - (1 << 63), "tick_id": tick_id, "price": price, "size": size}
    return result


def seeded() -> bool:
    """Whether the latest trades are all there are."""
    return bool(connection().exists(SEEDED))


def feeds() -> list[str]:
    """The feeds of which a latest trade is known, sorted."""
    keys = connection().scan_iter(LATEST + "*", count=1000)
    return sorted(key.decode().removeprefix(LATEST) for key in keys)


def symbols(feed: str) -> list[str]:
    """The symbols of which a latest trade of a feed is known, sorted."""
    kept: Any = connection().hkeys(LATEST + feed)
    return sorted(code.decode() for code in kept)


def count(pipeline: Any, **increments: int) -> None:
    """Queue increments of the pipeline's counters (stored, books, events, rejected, float_noise, batches, commits,
    repeated, refused, dead); `stored` is of ticks."""
    for name, by in increments.items():
        if by:
            pipeline.hincrby(COUNTERS, name, by)


def count_refused(pipeline: Any, reasons: Mapping[str, int]) -> None:
    """Queue increments of the rows refused, by reason; a row with several reasons counts for each."""
    for reason, rows in sorted(reasons.items()):
        pipeline.hincrby(REFUSED, reason, rows)


def show_ingest(instance: str, state: dict[str, Any], *, ttl_s: int = 10) -> None:
    """Mirror what an ingest server knows; it fades by itself when the server is gone."""
    connection().set(INGEST + instance, json.dumps(state), ex=ttl_s)


def status() -> dict[str, Any]:
    """Counters, rows refused by reason and every living ingest server's state, for the dashboard."""
    from_redis: Any = connection()
    counters, refused = (
        {name.decode(): int(value) for name, value in from_redis.hgetall(key).items()} for key in (COUNTERS, REFUSED)
    )
    servers = []
    for key in sorted(from_redis.scan_iter(INGEST + "*", count=1000)):
        text = from_redis.get(key)
        if text:
            servers.append(json.loads(text))
    return {"counters": counters, "refused": refused, "ingest": servers}
