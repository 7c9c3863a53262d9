"""Which part of the system a line is about, by its logger: the database, what comes in, or all else."""

from __future__ import annotations

import logging
from functools import lru_cache

MAIN, DATABASE, COLLECTION = "main", "database", "collection"
AREAS = {
    DATABASE: (
        "django.db", "marketdata.storage", "marketdata.connections", "marketdata.ledger", "marketdata.maintenance",
        "marketdata.backups", "marketdata.archive",
    ),
    COLLECTION: ("ingest", "naru", "marketdata.vendors"),
}  # fmt: skip
"""The loggers of each, with all below them. `naru` are a terminal's, and the way of each batch."""


@lru_cache(maxsize=1024)
def area_of(logger: str) -> str:
    """The part that a logger's lines are about."""
    for area, names in AREAS.items():
        if any(logger == name or logger.startswith(name + ".") for name in names):
            return area
    return MAIN


def dataset_of(logger: str) -> str:
    """The same as ECS names it."""
    return f"naru.{area_of(logger)}"


class Of(logging.Filter):
    """Lets the lines of one part pass."""

    def __init__(self, area: str) -> None:
        super().__init__()
        self._area = area

    def filter(self, record: logging.LogRecord) -> bool:
        return area_of(record.name) == self._area
