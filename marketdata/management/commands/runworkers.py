"""`manage.py runworkers`: the workers that store what terminals send, each a process that fetches its own messages."""

from __future__ import annotations

import functools
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from marketdata import metrics
from marketdata.launcher.worker_processes import WorkerProcesses
from marketdata.monitoring import listener
from marketdata.realtime import worker_pool
from terminals import wire


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL; this process serves none
    help = _(
        "Store what terminals send, in processes that fetch their own messages. SIGTERM ends them with their task."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "-n", "--name", default="ticks@%h", help=_("Celery's node name; each process adds its number")
        )
        parser.add_argument("-c", "--processes", type=wire.options.between(1, 1000), default=2)
        parser.add_argument("-Q", "--queues", default="raw_market_data,processed-data", help=_("separated by commas"))
        parser.add_argument("-l", "--loglevel", default="WARNING")

    def handle(self, *args: Any, **options: Any) -> None:
        current_app.loader.import_default_modules()  # once, and shared by the processes
        current_app.finalize()
        serve = functools.partial(
            worker_pool.serve,
            current_app,
            name=options["name"],
            queues=options["queues"].split(","),
            loglevel=options["loglevel"],
        )
        listener.start()
        failures = metrics.PROGRAM_EXITS.labels("worker-process")  # there from the start: the first is an increase, too
        WorkerProcesses(
            options["processes"],
            lambda number, deadline: serve(number=number, deadline=deadline),
            failed=failures.inc,
        ).run()
