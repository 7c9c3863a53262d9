"""Django's entry for the analytics package."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

KEPT_SINCE = ("marketdata", "0057_index_close")
"""The migration from which on closes of indices are kept."""


class AnalyticsConfig(AppConfig):
    name = "analytics"

    def ready(self) -> None:
        # Django sends it of applications that have models.
        post_migrate.connect(fill_index_closes, sender=apps.get_app_config("marketdata"))


def fill_index_closes(*, plan: Sequence[tuple[Any, bool]] = (), **_: object) -> None:
    """Receives Django's signal after migrate, when all tables are as this version has them: once, closes of indices
    are made of the events that are there."""
    if not any((one.app_label, one.name) == KEPT_SINCE and not backwards for one, backwards in plan):
        return
    from analytics.series import index_closes  # its models are there only now
    from marketdata.storage import storage
    from marketdata.storage.base import EVENTS

    index_closes.fill(storage().dates(EVENTS))
