"""Partitions of MariaDB tables by range of trading date: makes the missing ones by splitting empty ranges only, so it
never copies.

Partition pYYYYMMDD holds the period that starts then, gYYYYMMDD is an empty range before that date, pmax an empty one
at the end.
"""

from __future__ import annotations

import datetime
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError

from marketdata.storage.mariadb import cluster
from marketdata.storage.periods import Period, Place

Query = Callable[..., list[tuple[Any, ...]]]

_known: dict[Place, set[datetime.date]] = {}
# Somebody else made it in the meantime, or holds the table for a moment.
_CONCURRENT = {1493, 1517, 1507, 1205, 1213, 1969}
BRIEF_S = 0.15
BRIEFLY = f"max_statement_time = {BRIEF_S}, lock_wait_timeout = 1"
PATIENCE_S = 10.0
log = logging.getLogger(__name__)


def forget(place: Place) -> None:
    """Ask the database again next time."""
    _known.pop(place, None)


def ensure(query: Query, place: Place, dates: Iterable[datetime.date], period: Period) -> None:
    """See that every date has its partition. What was seen once is remembered for the life of the process.

    A change waits for whoever uses the table, and everybody else waits behind it: so it tries for BRIEF_S at a time,
    and gives up after PATIENCE_S (on a node of a cluster it ends those who are in its way). Rows then lie in the empty
    range for the time being, which `default_partition_rows` counts.
    """
    known = _known.setdefault(place, set())
    for start, end in sorted({period(date) for date in dates}):
        if start in known:
            continue
        if _make(query, place, start, end):
            known.add(start)


def _make(query: Query, place: Place, start: datetime.date, end: datetime.date) -> bool:
    until = time.monotonic() + PATIENCE_S
    while True:
        there = bounds(query, place)
        statement = split(place[3], there, start, end)
        if statement is None:
            return True
        name = next(name for bound, name in there if bound is None or bound > start)
        if query(f"SELECT 1 FROM {place[3]} PARTITION ({name}) LIMIT 1"):
            log.warning("no partition made, its range has rows table=%s start=%s", place[3], start)
            return False  # copying them would keep writers out; they are moved in pieces like others
        try:
            cluster.alter(query, statement, BRIEFLY)
            return True
        except DatabaseError as error:
            if not error.args or error.args[0] not in _CONCURRENT:
                raise
            if time.monotonic() > until:
                log.warning("no partition made table=%s start=%s error=%s", place[3], start, error.args[0])
                return False
        time.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - jitter, not a secret


def bounds(query: Query, place: Place) -> list[tuple[datetime.date | None, str]]:
    """Upper bounds (None: none) and names of a table's partitions, in order."""
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
