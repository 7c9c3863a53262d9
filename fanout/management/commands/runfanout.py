"""`manage.py runfanout`: what was committed, to another broker."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.monitoring import listener

log = logging.getLogger(__name__)


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL; this process serves none
    help = _(
        "Publish what was committed to Kafka topics (EVENT_BUS=kafka, docs/kafka.md). A second one waits until the "
        "first is gone. SIGTERM ends it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_given: stopped.set())
        if settings.EVENT_BUS != "kafka":
            raise CommandError(_("EVENT_BUS is not kafka: there is nothing to publish to."))
        try:
            from fanout import delivery, service
        except ModuleNotFoundError as error:
            if error.name != "confluent_kafka":
                raise
            raise CommandError(
                _("EVENT_BUS=kafka needs a package: pip install --require-hashes -r requirements/kafka.lock")
            ) from error
        listener.start()
        try:
            service.run(stopped)
        except delivery.OptionsError as error:
            raise CommandError(str(error)) from error
