"""MariaDB's Event Scheduler: events that clean the cache tables daily and weekly. Two of one name may overlap, and a
node that was a replica has them switched off: so each takes a lease, and `keep` switches them on where we write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError

from marketdata.storage.tables import STATS_KEPT

Query = Callable[..., list[tuple[Any, ...]]]

# 04:30 and Sunday 05:00 in Seoul: every market Naru knows is quiet. The scheduler's clock is UTC.
SCHEDULES = {
    "naru_clean_caches_daily": (
        "EVERY 1 DAY STARTS '2026-01-01 19:30:00'",
        "DELETE FROM cache_chart_data WHERE updated_at < UTC_TIMESTAMP(6) - INTERVAL 1 DAY;",
    ),
    "naru_clean_caches_weekly": (
        "EVERY 1 WEEK STARTS '2026-01-03 20:00:00'",
        (
            f"DELETE FROM cache_stats_data WHERE updated_at < UTC_TIMESTAMP(6) - INTERVAL {STATS_KEPT.days} DAY;"
            " DELETE FROM cache_realtime_data WHERE updated_at < UTC_TIMESTAMP(6) - INTERVAL 7 DAY;"
        ),
    ),
}
_GUARD_S = 3600  # a body that hangs holds its lease no longer than this


def create(query: Query, name: str) -> None:
    """Make the event, unless it is there."""
    schedule, body = SCHEDULES[name]
    now = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
    query(
        f"CREATE EVENT IF NOT EXISTS {name} ON SCHEDULE {schedule} ON COMPLETION PRESERVE ENABLE"
        " COMMENT 'Naru: cleans the cache tables' DO BEGIN"
        f" INSERT IGNORE INTO job_lease (job, owner, fence, until_us) VALUES ('{name}', '', 0, 0);"
        f" UPDATE job_lease SET owner = CONCAT('event/', @@hostname), fence = fence + 1,"
        f" until_us = {now} + {_GUARD_S * 1_000_000} WHERE job = '{name}' AND until_us < {now};"
        f" IF ROW_COUNT() = 1 THEN {body}"
        f" UPDATE job_lease SET until_us = 0 WHERE job = '{name}'; END IF; END"
    )


def keep(query: Query) -> str:
    """Make what is missing and switch on what is off; what is still wrong, or "" if nothing is. Where all is well it
    only asks: CREATE EVENT IF NOT EXISTS holds up a cluster although the event exists."""
    try:
        rows = query(
            "SELECT EVENT_NAME, STATUS, EVENT_DEFINITION FROM information_schema.EVENTS"
            " WHERE EVENT_SCHEMA = DATABASE() AND EVENT_NAME LIKE 'naru\\_%%'"
        )
        known = {name: (status, str(body)) for name, status, body in rows}
        for name, (_schedule, wanted) in SCHEDULES.items():
            status, body = known.get(name, ("", ""))
            if wanted not in body:  # not there, or made by an older version
                query(f"DROP EVENT IF EXISTS {name}")
                create(query, name)
            elif status != "ENABLED":
                query(f"ALTER EVENT {name} ENABLE")  # this is the node we write to, so it is the one that cleans
    except DatabaseError as error:
        return (
            f"the events that clean the cache tables cannot be kept: {error.args[-1]}. The database user needs the"
            " EVENT privilege (GRANT EVENT ON the database); until then the rollover cleans the caches once a day."
        )
    scheduler = query("SELECT @@GLOBAL.event_scheduler")[0][0]
    if str(scheduler).upper() not in ("ON", "1"):
        return (
            f"event_scheduler is {scheduler}: set event_scheduler = ON under [mariadbd] (docker/mariadb/naru.cnf) or"
            " `SET GLOBAL event_scheduler = ON`; until then the rollover cleans the caches once a day."
        )
    return ""


def drop(query: Query) -> None:
    """Remove the events."""
    for name in SCHEDULES:
        query(f"DROP EVENT IF EXISTS {name}")
