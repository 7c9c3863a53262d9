"""Partitions of PostgreSQL tables by range of trading date. Knows names and statements; `days` runs them.

Partition <table>_pYYYYMMDD holds the period that starts then, <table>_rest whatever has no room. Each has a CHECK of
its bounds, so that attaching one elsewhere reads none of its rows.
"""

from __future__ import annotations

import datetime
import re
import time

from marketdata.storage.base import BOOKS, DAILY, EVENTS, HISTORY, MINUTES, PRICES, TEMP
from marketdata.storage.periods import Place

Bounds = tuple[datetime.date, datetime.date]

TICK_KEY = "symbol, event_time, tick_id, trade_date"
KEYS = {
    TEMP: TICK_KEY,
    HISTORY: TICK_KEY,
    MINUTES: "symbol, feed, minute_time, trade_date",
    DAILY: "symbol, feed, trade_date",
    BOOKS: TICK_KEY,
    EVENTS: "event_time, event_id, trade_date",
    PRICES: 'symbol, feed, "timestamp", tick_id, trade_date',
}
_FOR = re.compile(r"FROM \('(\d{4}-\d\d-\d\d)'\) TO \('(\d{4}-\d\d-\d\d)'\)")
REMEMBERED_S = 600.0
"""Another process may drop a partition: this one hears of it by asking again after so long."""
_known: dict[Place, tuple[float, set[datetime.date]]] = {}


def known(place: Place) -> set[datetime.date]:
    """The periods, by their start, that this process has seen lately."""
    now = time.monotonic()
    since, seen = _known.get(place, (now, set()))
    if now - since > REMEMBERED_S:
        since, seen = now, set()
    _known[place] = (since, seen)
    return seen


def forget(place: Place) -> None:
    """Ask the database again next time."""
    _known.pop(place, None)


def rest(table: str) -> str:
    """The partition for what has no room."""
    return f"{table}_rest"


def name(table: str, start: datetime.date) -> str:
    """The partition of the period that starts then."""
    return f"{table}_p{start:%Y%m%d}"


def bounds_of(text: str) -> Bounds | None:
    """The bounds out of what `pg_get_expr` says of a partition; None for the default one."""
    found = _FOR.search(text)
    return None if found is None else (datetime.date.fromisoformat(found[1]), datetime.date.fromisoformat(found[2]))


def parted(table: str) -> str:
    """What follows the columns of CREATE TABLE."""
    return (
        f", CONSTRAINT {table}_key PRIMARY KEY ({KEYS[table]})) PARTITION BY RANGE (trade_date);"
        f" CREATE TABLE IF NOT EXISTS {rest(table)} PARTITION OF {table} DEFAULT"
    )


def create(table: str, bounds: Bounds) -> str:
    """A table that can become a partition."""
    own = name(table, bounds[0])
    return (
        f"CREATE TABLE {own} (LIKE {table} INCLUDING DEFAULTS,"
        f" CONSTRAINT {own}_key PRIMARY KEY ({KEYS[table]}), CONSTRAINT {own}_range CHECK ({_inside(bounds)}))"
    )


def stray(table: str, bounds: Bounds) -> str:
    """Whether rows of that period have no room."""
    return f"SELECT 1 FROM {rest(table)} WHERE {_inside(bounds)} LIMIT 1"


def bring(table: str, bounds: Bounds) -> str:
    """Move rows that had no room there."""
    return (
        f"WITH gone AS (DELETE FROM {rest(table)} WHERE {_inside(bounds)} RETURNING *)"
        f" INSERT INTO {name(table, bounds[0])} SELECT * FROM gone"
    )


def attach(table: str, bounds: Bounds) -> str:
    return (
        f"ALTER TABLE {table} ATTACH PARTITION {name(table, bounds[0])}"
        f" FOR VALUES FROM ('{bounds[0]}') TO ('{bounds[1]}')"
    )


def exchange(one: str, other: str, bounds: Bounds) -> list[str]:
    """Two tables' partitions of one period change places, and names with their keys and checks."""
    ours, theirs, between = name(one, bounds[0]), name(other, bounds[0]), f"{one}_between"
    return [
        f"ALTER TABLE {one} DETACH PARTITION {ours}",
        f"ALTER TABLE {other} DETACH PARTITION {theirs}",
        *_rename(ours, between),
        *_rename(theirs, ours),
        *_rename(between, theirs),
        attach(one, bounds),
        attach(other, bounds),
    ]


def _rename(old: str, new: str) -> list[str]:
    return [
        f"ALTER TABLE {old} RENAME CONSTRAINT {old}_key TO {new}_key",
        f"ALTER TABLE {old} RENAME CONSTRAINT {old}_range TO {new}_range",
        f"ALTER TABLE {old} RENAME TO {new}",
    ]


def _inside(bounds: Bounds) -> str:
    return f"trade_date >= DATE '{bounds[0]}' AND trade_date < DATE '{bounds[1]}'"
