"""What the conditions of alert rules may name that the running system gives: alarms and queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from analytics.alerts.judging.conditions import Kind
from api.remedies import REMEDIES
from celery_app import QUEUES
from marketdata.types import titles

GROUPS: Mapping[str, Promise] = MappingProxyType(
    {
        "rollover": _("rollover and trading days"), "backup": _("backups and archive"), "disk": _("disk and memory"),
        "other": _("everything else"),
    }
)  # fmt: skip
_GROUP: Mapping[str, str] = MappingProxyType(
    {
        "rollover_failed": "rollover", "rollover_late": "rollover", "history_changed": "rollover",
        "day_empty": "rollover", "daily_not_whole": "rollover", "partitions_short": "rollover",
        "drop_overdue": "rollover",
        "backup_failed": "backup", "backup_unverified": "backup", "backup_overdue": "backup",
        "backup_shrunk": "backup", "backup_copy_failed": "backup", "backup_copy_wrong": "backup",
        "archive_failed": "backup", "not_archived": "backup",
        "disk_low": "disk", "redis_full": "disk",
    }
)  # fmt: skip


def alarms() -> list[tuple[Promise, list[tuple[str, str]]]]:
    """The codes of alarms, each with what it is called, by what they are about and in the order in which a desk would
    look for them."""
    listed: dict[str, list[str]] = {name: [] for name in GROUPS}
    for code in (*_GROUP, *sorted(REMEDIES)):
        group = listed[_GROUP.get(code, "other")]
        if code not in group:
            group.append(code)
    return [(GROUPS[name], [(code, titles.alarm(code)) for code in codes]) for name, codes in listed.items()]


def queues() -> list[tuple[str, str]]:
    """The names of queues, each with what it is called."""
    return [(name, titles.queue(name)) for name in QUEUES]


def unknown(kind: str, parameters: object) -> dict[str, str]:
    """What is wrong with what a condition of this kind names, by field: nothing is told of an alarm or a queue that
    there is not."""
    names: dict[str, tuple[str, Sequence[str]]] = {
        Kind.ALARM: ("code", sorted(REMEDIES)), Kind.QUEUE: ("queue", QUEUES),
    }  # fmt: skip
    if kind not in names or not isinstance(parameters, dict):
        return {}
    field, known = names[kind]
    given = parameters.get(field)
    if not isinstance(given, str) or given.strip() in known:
        return {}
    return {field: gettext("is one of {names}").format(names=", ".join(known))}
