"""Django's entry for the ingest package; loads the Celery application so that tasks find their broker."""

from django.apps import AppConfig


class IngestConfig(AppConfig):
    name = "ingest"

    def ready(self) -> None:
        import celery_app  # noqa: F401 - only when Django's apps are ready may Celery be configured from its settings
