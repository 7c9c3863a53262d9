"""Whether what the promises rest on is so: flags of the database and of Redis, clocks, room, migrations, calendar, TLS,
and whether every process is there.

Asked by `manage.py doctor`, before the ingest server acknowledges anything, and every minute, as alarms.
"""

from __future__ import annotations

from marketdata.doctor.encryption import certificate_end, is_loopback
from marketdata.doctor.examination import UnsafeDatabase, examine, recheck, refuse_unsafe
from marketdata.doctor.findings import Finding, Level, status, table

__all__ = [
    "Finding",
    "Level",
    "UnsafeDatabase",
    "certificate_end",
    "examine",
    "is_loopback",
    "recheck",
    "refuse_unsafe",
    "status",
    "table",
]
