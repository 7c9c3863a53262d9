"""Django's entry for the marketdata package."""

from django.apps import AppConfig


class MarketdataConfig(AppConfig):
    name = "marketdata"
    verbose_name = "시세 Market data"

    def ready(self) -> None:
        from django.db.backends.signals import connection_created

        from marketdata import connections  # only when Django's apps are ready

        connection_created.connect(connections.notice_silence)
