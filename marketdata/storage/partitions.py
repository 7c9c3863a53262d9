"""Partitions of MariaDB tables by range of trading date: makes the missing ones by splitting empty ranges only, so it
never copies.

Partition pYYYYMMDD holds the period that starts then, gYYYYMMDD is an empty range before that date, pmax an empty one
at the end.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError

from marketdata.storage.periods import Period

Query = Callable[..., list[tuple[Any, ...]]]
Place = tuple[str, str, str, str]  # host, port, database, table

_known: dict[Place, set[datetime.date]] = {}
_CONCURRENT = {1493, 1517, 1507, 1205, 1213}  # somebody else made it in the meantime, or holds the table for a moment


def forget(place: Place) -> None:
    """Ask the database again next time."""
    _known.pop(place, None)


def ensure(query: Query, place: Place, dates: Iterable[datetime.date], period: Period) -> None:
    """See that every date has its partition. What was seen once is remembered for the life of the process."""
    known = _known.setdefault(place, set())
    for start, end in sorted({period(date) for date in dates}):
        if start in known:
            continue
        for attempt in range(8):
            bounds = _bounds(query, place)
            statement = split(place[3], bounds, start, end)
            if statement is None:
                break
            try:
                query("SET SESSION lock_wait_timeout = 10")
                query(statement)
                break
            except DatabaseError as error:
                if attempt == 7 or not error.args or error.args[0] not in _CONCURRENT:
                    raise
        known.add(start)


def _bounds(query: Query, place: Place) -> list[tuple[datetime.date | None, str]]:
    rows = query(
        "SELECT PARTITION_DESCRIPTION, PARTITION_NAME FROM information_schema.PARTITIONS"
        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY PARTITION_ORDINAL_POSITION",
        [place[3]],
    )
    return [
        (None if text == "MAXVALUE" else datetime.date.fromisoformat(str(text).strip("'")), str(name))
        for text, name in rows
    ]


def split(
    table: str, bounds: list[tuple[datetime.date | None, str]], start: datetime.date, end: datetime.date
) -> str | None:
    """The statement that gives [start, end) a partition of its own, or None when it has one. `bounds`: (upper bound,
    name)."""
    uppers = {bound for bound, _ in bounds}
    bound, name = next((bound, name) for bound, name in bounds if bound is None or bound > start)
    if name == f"p{start:%Y%m%d}":
        return None
    pieces = []
    if start not in uppers:
        pieces.append(f"PARTITION g{start:%Y%m%d} VALUES LESS THAN ('{start}')")
    pieces.append(f"PARTITION p{start:%Y%m%d} VALUES LESS THAN ('{end}')")
    if bound is None:
        pieces.append("PARTITION pmax VALUES LESS THAN (MAXVALUE)")
    elif bound != end:
        pieces.append(f"PARTITION {name} VALUES LESS THAN ('{bound}')")
    return f"ALTER TABLE {table} REORGANIZE PARTITION {name} INTO ({', '.join(pieces)})"
