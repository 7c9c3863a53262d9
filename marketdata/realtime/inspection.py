"""Questions to the ingest servers about what they hold in memory, and their answers: over Redis, so that they are
answered while the database is away, and from another machine.

A question is an entry of a short list of its server; the answer lies under a key of its own. Both fade by themselves
(docs/adr/0017).
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from decimal import Decimal
from typing import Any

import msgpack
import redis
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext

from marketdata.realtime import live_state
from marketdata.reference import owners
from marketdata.types import tick_arrays
from marketdata.types.tick_arrays import KIND_NAMES, SEQ_BITS, SIDE_NAMES, TICK_BITS, Ticks, decimal_text
from terminals import wire

log = logging.getLogger(__name__)

QUESTIONS = "naru:inspect:"
ANSWER = "naru:inspected:"
WAIT_S = 3
FADE_S = 10
MOST_WAITING = 32  # questions of a server; of more the oldest are dropped
MOST_ASKING = 2  # of a process at a time
MOST_ROWS = 1_000  # in an answer
MOST_NAMES = 50  # in a message
Timestamp = Callable[[int], object]
"""Writes a time (microseconds UTC) for whoever reads it."""

_asking = threading.BoundedSemaphore(MOST_ASKING)


class NotConnected(Exception):
    """No ingest server has a session of this client; the text names the clients that are connected."""

    def __init__(self, client: str, connected: Iterable[str]) -> None:
        self.client, names = client, sorted(connected)
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        self.connected = f"{', '.join(names[:MOST_NAMES]) or 'none'}{more}"
        super().__init__(f"{client} is not connected; connected are: {self.connected}")


class NoAnswer(Exception):
    """A server did not answer in time, or could not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What one client last sent of a symbol in a feed: the newest tick with a price, or where none has one the newest.
    Time in microseconds UTC, price in 1e-8, size in 1e-6, None where not given; `rows`: ticks in the window."""

    client: str
    feed: str
    symbol: str
    rows: int
    time_us: int | None
    kind: int
    price: int | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A tick of the window, in the units of `Series`."""

    client: str
    feed: str
    time_us: int | None
    kind: int
    side: int
    price: int | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The ticks of a batch, or some of them, and when the batch came (microseconds UTC)."""

    received_us: int
    ticks: Ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """`series` are at most as many as asked for of `total`; `rows` the newest ticks of the symbol, newest first, when
    one was asked for; `silent` the servers that did not answer."""

    series: list[Series]
    total: int
    rows: list[Row]
    silent: list[str]


# --- who asks ---------------------------------------------------------------------------------------------------------


def recent(client: str, *, rows: int, symbol: str | None = None) -> list[Received]:
    """The newest ticks (of a symbol) that a connected client sent, oldest first, not more than `rows` or MOST_ROWS.
    NotConnected, NoAnswer, redis.RedisError."""
    holders: dict[str, tuple[float, str]] = {}
    for server in live_state.status()["ingest"]:
        for one in server["clients"]:
            holders[one["client"]] = max(holders.get(one["client"], (0.0, "")), (one["since"], server["instance"]))
    if client not in holders:
        raise NotConnected(client, holders)
    answer = _ask(holders[client][1], ["recent", client, min(rows, MOST_ROWS), symbol])
    if answer is None:  # it has left since the server was last shown
        raise NotConnected(client, holders.keys() - {client})
    return [Received(received_us=received_us, ticks=tick_arrays.unpack(packed)) for received_us, packed in answer]


def latest(*, rows: int, symbol: str | None = None) -> Latest:
    """What each client last sent of each symbol (or of one), by symbol and feed and there the newest first, of all
    servers. NoAnswer when there are servers and none answers, redis.RedisError."""
    count = min(rows, MOST_ROWS)
    series: list[Series] = []
    newest: list[Row] = []
    total, silent = 0, []
    servers = [server["instance"] for server in live_state.status()["ingest"]]
    for server in servers:
        try:
            found, in_all, ticks = _ask(server, ["latest", count, symbol])
        except NoAnswer as error:
            silent.append(server)
            if len(silent) == len(servers):
                raise NoAnswer(str(error)) from error
            continue
        series += [Series(**_named(Series, one)) for one in found]
        newest += [Row(**_named(Row, one)) for one in ticks]
        total += in_all
    if len(servers) > 1:
        series.sort(key=lambda one: (one.symbol, one.feed, -(one.time_us or 0)))
        newest.sort(key=lambda one: -(one.time_us or 0))
    return Latest(series=series[:count], total=total, rows=newest[:count], silent=silent)


def owners_of(series: Iterable[Series]) -> dict[tuple[str, str], str] | None:
    """The client that owns each (feed, symbol); None while the database does not answer."""
    try:
        return owners.names({(one.feed, one.symbol) for one in series})
    except (OperationalError, InterfaceError) as error:
        log.warning("owners cannot be told error=%s", type(error).__name__)
        return None


def _named(kind: type[Series | Row], values: list[Any]) -> dict[str, Any]:
    """What a later version appends is let pass."""
    return dict(zip((field.name for field in fields(kind)), values, strict=False))


def _ask(server: str, question: list[Any]) -> Any:
    """The answer; at most MOST_ASKING wait for theirs in this process, for each keeps a thread waiting."""
    if not _asking.acquire(blocking=False):
        raise NoAnswer(gettext("{most} others are asking at this moment; ask again").format(most=MOST_ASKING))
    try:
        return _asked(server, question)
    finally:
        _asking.release()


def _asked(server: str, question: list[Any]) -> Any:
    token = secrets.token_hex(8)
    client = live_state.connection()
    pipeline = client.pipeline(transaction=True)
    pipeline.rpush(QUESTIONS + server, msgpack.packb([token, _now_s(client) + WAIT_S, *question]))
    pipeline.ltrim(QUESTIONS + server, -MOST_WAITING, -1)
    pipeline.expire(QUESTIONS + server, FADE_S)
    pipeline.execute()
    answer: Any = None
    for _ in range(WAIT_S):
        answer = answer or client.blpop([ANSWER + token], timeout=1)
    if answer is None:
        told = gettext("the ingest server {server} does not answer within {seconds} s")
        raise NoAnswer(told.format(server=server, seconds=WAIT_S))
    error, told = msgpack.unpackb(answer[1])
    if error:
        raise NoAnswer(gettext("the ingest server {server} cannot answer: {error}").format(server=server, error=error))
    return told


# --- who answers ------------------------------------------------------------------------------------------------------


def next_question(client: redis.Redis, server: str) -> list[Any] | None:
    """[token, "recent", client, rows, symbol] or [token, "latest", rows, symbol]; None after a second without one, and
    for one whose asker does not wait any more."""
    taken: Any = client.blpop([QUESTIONS + server], timeout=1)
    if taken is None:
        return None
    token, until_s, *question = msgpack.unpackb(taken[1])
    return [token, *question] if _now_s(client) <= until_s else None


def _now_s(client: redis.Redis) -> float:
    """The time of Redis, which is one for all who ask and answer."""
    seconds, micros = client.time()
    return seconds + micros / 1e6


def answer(client: redis.Redis, token: str, told: Any, error: str = "") -> None:
    """Answer a question: `told` in lists and numbers, or why it cannot be."""
    pipeline = client.pipeline(transaction=True)
    pipeline.rpush(ANSWER + token, msgpack.packb([error, told]))
    pipeline.expire(ANSWER + token, FADE_S)
    pipeline.execute()


def tell_recent(found: Iterable[tuple[int, Ticks]]) -> list[Any]:
    """The answer to "recent", from (received, ticks) of batches."""
    return [[received_us, tick_arrays.pack(ticks)] for received_us, ticks in found]


def tell_latest(series: Iterable[Series], total: int, rows: Iterable[Row]) -> list[Any]:
    """The answer to "latest"."""
    return [[astuple(one) for one in series], total, [astuple(one) for one in rows]]


# --- as it is shown ---------------------------------------------------------------------------------------------------


def shown_rows(found: Iterable[Received], moment: Timestamp) -> list[dict[str, Any]]:
    """Each tick as its terminal gave it, with the batch (STREAM/SEQ) it came in; prices and sizes are exact decimals,
    and what was not given is left out."""
    shown = []
    for part in found:
        for row, tick_id in enumerate(part.ticks.tick_id.tolist()):
            given: dict[str, Any] = part.ticks.record(row)
            time_us = given.pop("time_us")
            shown.append({
                "received": moment(part.received_us), "batch": _batch(tick_id), "feed": part.ticks.feed,
                "time": None if time_us is None else moment(time_us),
                **{name: Decimal(value) if name in _NUMBERS else value for name, value in given.items()},
            })  # fmt: skip
    return shown


def shown_series(
    series: Iterable[Series], owner: dict[tuple[str, str], str] | None, moment: Timestamp
) -> list[dict[str, Any]]:
    """Each series with the client that owns its symbol in its feed; None where nobody does, or nobody can tell."""
    return [
        {
            "symbol": one.symbol, "feed": one.feed, "client": one.client,
            "owner": (owner or {}).get((one.feed, one.symbol)), "rows": one.rows, **_event(one, moment),
        }
        for one in series
    ]  # fmt: skip


def shown_ticks(rows: Iterable[Row], moment: Timestamp) -> list[dict[str, Any]]:
    """Each tick of the window with the client that sent it."""
    return [
        {"client": one.client, "feed": one.feed, **_event(one, moment), "side": _name(SIDE_NAMES, one.side)}
        for one in rows
    ]


_NUMBERS = (*tick_arrays.PRICES, *tick_arrays.SIZES)


def _event(one: Series | Row, moment: Timestamp) -> dict[str, Any]:
    return {
        "time": None if one.time_us is None else moment(one.time_us),
        "kind": _name(KIND_NAMES, one.kind),
        "price": None if one.price is None else Decimal(decimal_text(one.price, wire.PRICE_SCALE)),
        "size": None if one.size is None else Decimal(decimal_text(one.size, wire.SIZE_SCALE)),
    }


def _name(names: tuple[str, ...], number: int) -> str | int:
    return names[number] if number < len(names) else number


def _batch(tick_id: int) -> str:
    return f"{tick_id >> TICK_BITS + SEQ_BITS}/{tick_id >> TICK_BITS & (1 << SEQ_BITS) - 1}"
