"""Celery's workers answer Prometheus, too. Imported by workers alone (`celery_app`)."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from marketdata.monitoring import listener


class Metrics(bootsteps.StartStopStep):
    """Listens in the process that starts the others; where `runworkers` started this one, that one listens."""

    requires = ("celery.worker.components:Timer",)

    def start(self, worker: Any) -> None:
        """With the worker."""
        listener.start()
