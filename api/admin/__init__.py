"""The administration pages: reference data to edit, clients and their keys, the ledger and the upkeep to read."""

from api.admin import (
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
