"""Django's entry for the marketdata package."""

from django.apps import AppConfig


class MarketdataConfig(AppConfig):
    name = "marketdata"
    verbose_name = "시세 Market data"
