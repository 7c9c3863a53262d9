"""What alarms and queues are called, in a few words for who reads pages and messages. Their codes are public
(docs/operations.md) and stand beside them; what to do about an alarm is in `api.remedies`."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

ALARMS: dict[str, Promise] = {
    "rollover_failed": _("rollover held up"),
    "rollover_late": _("rollover overdue"),
    "history_changed": _("history changed"),
    "spool_differs": _("spool differs from the ledger"),
    "checksum_mismatch": _("other content under a stored number"),
    "ledger_lost": _("committed batches lost"),
    "ledger_hole": _("hole in the ledger"),
    "claim_restored": _("ledger rows put back"),
    "day_empty": _("trading day without a tick"),
    "partitions_short": _("room for coming days runs out"),
    "drop_overdue": _("old partitions not dropped"),
    "late_after_drop": _("late ticks of a dropped day"),
    "daily_not_whole": _("daily candles not whole"),
    "rows_without_room": _("rows of a day without a partition"),
    "nodes_differ": _("database nodes differ"),
    "not_archived": _("day not archived"),
    "archive_failed": _("archiving failed"),
    "storage_failing": _("database does not store"),
    "void_failed": _("voiding failed"),
    "clock_offset": _("terminal clock off"),
    "server_clock": _("server clock off"),
    "mass_refusal": _("many rows refused"),
    "dead_letters": _("batches not stored"),
    "unsafe_setting": _("unsafe setting"),
    "disk_low": _("disk almost full"),
    "broker_failing": _("broker does not take messages"),
    "feed_refused": _("client sends a feed that it may not"),
    "scope_refused": _("client sends what it may not"),
    "quota_near": _("quota almost reached"),
    "quota_reached": _("quota reached"),
    "limit_reached": _("limit of a setting reached"),
    "events_off": _("database events off"),
    "calendar_differs": _("calendar differs from the exchange"),
    "holidays_failed": _("holidays could not be asked"),
    "masters_failed": _("symbol files could not be loaded"),
    "limits_failed": _("price limits could not be loaded"),
    "outside_limits": _("prices outside of the limits"),
    "masters_refused": _("symbol file refused"),
    "repair_failed": _("minutes of a gap could not be fetched"),
    "repair_disagrees": _("KIS tells other minutes than ours"),
    "kis_keys": _("keys for KIS wrong"),
    "calendar_ends": _("calendar ends soon"),
    "fanout_behind": _("Kafka topics behind"),
    "redis_away": _("Redis away"),
    "redis_full": _("Redis almost full"),
    "redis_slow": _("Redis slow"),
    "report_failed": _("quality report not sent"),
    "alert_delivery_failed": _("alerts do not arrive"),
    "backup_failed": _("backup failed"),
    "backup_unverified": _("backup differs from the original"),
    "backup_overdue": _("backup overdue"),
    "backup_copy_failed": _("backup not copied elsewhere"),
    "backup_copy_wrong": _("backup copy elsewhere is wrong"),
    "backup_shrunk": _("backup has less than before"),
}
"""By code of the alarm."""
QUEUES: dict[str, Promise] = {
    "raw_market_data": _("batches to store"),
    "processed-data": _("after commits"),
    "feed-recovery": _("feed recovery"),
    "chart-data": _("caches and quality"),
    "statistics-data": _("statistics"),
    "alert-deliveries": _("alert messages"),
    "maintenance": _("rollover and upkeep"),
    "backups": _("backups"),
}
"""By name of the queue."""


def alarm(code: str) -> str:
    """Title and code in the language in force; of a code that has no title itself."""
    return _named(ALARMS, code)


def queue(name: str) -> str:
    """Title and name in the language in force."""
    return _named(QUEUES, name)


def _named(titles: dict[str, Promise], code: str) -> str:
    title = titles.get(code)
    return code if title is None else f"{title} · {code}"
