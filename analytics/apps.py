"""Django's entry for the analytics package."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    name = "analytics"
