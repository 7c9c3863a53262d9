"""`manage.py runweb`: the web server for REST, WebSocket, the admin and the page."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from marketdata.limits import open_files
from marketdata.monitoring import listener
from terminals import wire

LEAST_CONNECTIONS = 50  # without a request under way, however few files may be open


def share_of_files(connections: int, sockets: int) -> int:
    """How many connections may be open without a request under way: as many as are asked for, or what WebSockets leave
    of the files that the system allows. If they would leave nearly none, more sockets are allowed than there can be:
    then it is a share by what both ask for."""
    wanted = connections + sockets
    left = open_files.allow_most(wanted) - sockets
    return left if left >= LEAST_CONNECTIONS else max(connections * (left + sockets) // wanted, LEAST_CONNECTIONS)


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL; the first request does
    help = _("Serve REST, WebSocket, the admin and the page (docs/api/). SIGTERM closes the sockets and ends.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=wire.options.port, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        from daphne.access import AccessLogGenerator

        from api.asgi import application, proxies
        from api.web import garbage
        from api.web.webserver import Limits, Server, endpoints

        limits = Limits(
            connections=settings.WEB_MAX_CONNECTIONS,
            of_caller=settings.WEB_MAX_CONNECTIONS_OF_ADDRESS,
            body_bytes=settings.WEB_MAX_BODY_BYTES,
        )
        sockets = settings.WS_MAX_CONNECTIONS + settings.WS_MAX_UNAUTHENTICATED
        backlog = limits.connections + sockets
        limits = replace(limits, connections=share_of_files(limits.connections, sockets))
        server = Server(
            application,
            limits=limits,
            is_shared=proxies.trusted,
            deflate=settings.WS_DEFLATE,
            endpoints=endpoints(options["host"], options["port"], backlog=backlog),
            action_logger=AccessLogGenerator(sys.stdout),
            websocket_connect_timeout=5,
            server_name="naru",
        )
        listener.start()
        garbage.settle()
        garbage.collect_regularly()
        server.run()
        if server.abort_start:
            raise CommandError(f"cannot listen on {options['host']}:{options['port']}. Choose another --port.")
