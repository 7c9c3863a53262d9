"""The API as a Django application: everything that people and programs see."""

from importlib import import_module

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "API"

    def ready(self) -> None:
        """The schema's extensions register themselves when they are imported."""
        import_module("api.schema")
