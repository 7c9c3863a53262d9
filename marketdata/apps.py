"""Django's entry for the marketdata package."""

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils.translation import gettext_lazy as _


class MarketdataConfig(AppConfig):
    name = "marketdata"
    verbose_name = _("Market data")

    def ready(self) -> None:
        connection_created.connect(notice_silence)


def notice_silence(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Receives Django's signal of a new connection: every one fails when its server falls silent."""
    from marketdata.storage import storage_of  # only whoever makes a connection waits for it

    storage_of(connection).notice_silence()
