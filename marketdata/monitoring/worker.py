"""Celery's workers answer Prometheus, too. Imported by workers alone (`celery_app`)."""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import bootsteps

from marketdata.monitoring import disk_room, listener
from marketdata.monitoring.looks import Looks

BACKUPS = "backups"
"""The queue of the worker that makes backups and archive."""


class Metrics(bootsteps.StartStopStep):
    """Listens in the process that starts the others; where `runworkers` started this one, that one listens."""

    requires = ("celery.worker.components:Timer",)

    def start(self, worker: Any) -> None:
        """With the worker."""
        backups = BACKUPS in worker.app.amqp.queues.consume_from
        listener.start(looks=Looks({"disks": partial(disk_room.look, backups=backups)}))
