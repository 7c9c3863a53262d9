"""The timetable's scheduler: django-celery-beat's, beginning each look into the database with a usable connection."""

from __future__ import annotations

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from marketdata import connections


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # untyped upstream
    """Its commit before each look would otherwise be the first to notice a lost connection, too late to renew it."""

    def schedule_changed(self) -> bool:
        connections.refresh()
        return bool(super().schedule_changed())

    def sync(self) -> None:
        """Write down when entries ran last."""
        connections.refresh()
        super().sync()

    def all_as_schedule(self) -> dict[str, Any]:
        """All entries by name; asked again when the database fails for a moment, for here beat would end."""
        found: dict[str, Any] = connections.steadily(super().all_as_schedule)
        return found
