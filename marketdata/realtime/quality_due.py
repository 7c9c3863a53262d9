"""Which series have their quality computed again while the day is going on, and when: in Redis, and lost without harm,
for what a day is in the end is computed anew once it was rolled over.

A series that changed is due some minutes later, once for all that changes until then; one that does not change, too,
for silence is what is looked for. Whoever takes series has them for `due_times.LEASE_US`.
"""

from __future__ import annotations

from typing import Any

import redis

from marketdata.realtime.due_times import KEEP_S, DueTimes

DUE, TAKEN, DAY = "naru:quality-due", "naru:quality-taken", "naru:quality-day"
GAPS = "naru:quality-gaps"
"""The newest gap whose series were made due."""
_TIMES = DueTimes(DUE, TAKEN)
mark, take, settle = _TIMES.mark, _TIMES.take, _TIMES.settle


def begin(connection: redis.Redis, day: str) -> bool:
    """Whether a day has not begun in this Redis yet; it has then."""
    before: Any = connection.set(DAY, day, get=True, ex=KEEP_S)
    return before is None or before.decode() != day


def gaps_seen(connection: redis.Redis) -> int | None:
    """Up to which gap the series were made due; None in a Redis that knows of none."""
    seen: Any = connection.get(GAPS)
    return None if seen is None else int(seen)


def note_gaps(connection: redis.Redis, newest: int) -> None:
    """Note up to which gap the series were made due."""
    connection.set(GAPS, newest, ex=KEEP_S)
