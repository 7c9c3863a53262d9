"""The administration pages: reference data to edit, clients and their keys, the ledger and the upkeep to read."""

from api.admin import (
    alert_rules,
    alerts,
    api_keys,
    audit,
    clients,
    corporate_actions,
    ledger,
    maintenance,
    people,
    quality,
    reference,
    set_aside,
    timetable,
    vendors,
)

__all__ = [
    "alert_rules",
    "alerts",
    "api_keys",
    "audit",
    "clients",
    "corporate_actions",
    "ledger",
    "maintenance",
    "people",
    "quality",
    "reference",
    "set_aside",
    "timetable",
    "vendors",
]
