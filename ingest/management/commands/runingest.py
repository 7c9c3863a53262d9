"""`manage.py runingest`: the socket server for terminals."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from ingest import limits
from ingest.connection import tls_context
from ingest.server import Server
from marketdata import doctor, metrics
from marketdata.launcher import liveness
from marketdata.limits import open_files
from marketdata.monitoring import listener
from terminals import wire

log = logging.getLogger(__name__)


class Command(BaseCommand):
    requires_system_checks = ()  # they load every URL; this process serves none
    help = _("Collect what terminals send (TCP, docs/protocol.md) and hand it to the workers. SIGTERM drains and ends.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default=settings.INGEST_HOST)
        parser.add_argument("--port", type=wire.options.port, default=settings.INGEST_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if not settings.INGEST_TLS_CERT and not settings.INGEST_ALLOW_PLAIN and not doctor.is_loopback(host):
            raise CommandError(
                _(
                    "INGEST_HOST={host} is not loopback: set INGEST_TLS_CERT and INGEST_TLS_KEY, or "
                    "INGEST_ALLOW_PLAIN=1 to send prices unencrypted."
                ).format(host=host)
            )
        try:
            doctor.refuse_unsafe()
        except doctor.UnsafeDatabase as error:
            raise CommandError(
                _(
                    "what would be acknowledged could be lost or wrong:\n{error}\n"
                    "`manage.py doctor` shows everything; ALLOW_UNSAFE_DATABASE=1 starts all the same."
                ).format(error=error)
            ) from error
        cert, key, tls, binding = settings.INGEST_TLS_CERT, settings.INGEST_TLS_KEY, None, ""
        try:
            if cert:
                tls, binding = tls_context(cert, key)
                metrics.CERTIFICATE_END.set(doctor.certificate_end().timestamp())
        except (OSError, ValueError) as error:
            raise CommandError(
                _(
                    "INGEST_TLS_CERT={cert!r} with INGEST_TLS_KEY={key!r} cannot be used ({error}): they must be "
                    "PEM files of a certificate and of its key."
                ).format(cert=cert, key=key, error=error)
            ) from error
        try:
            asyncio.run(serve(host, port, tls, binding))
        except OSError as error:
            raise CommandError(
                _("cannot listen on {host}:{port}: {reason}. Choose another INGEST_PORT.").format(
                    host=host, port=port, reason=error.strerror
                )
            ) from error


async def _renew() -> None:
    """Say that the loop turns."""
    while True:
        liveness.renew(settings.ALIVE_FILE)
        await asyncio.sleep(liveness.EVERY_S)


async def serve(host: str, port: int, tls: ssl.SSLContext | None, binding: str) -> None:
    """Run until SIGTERM or SIGINT, then drain. CommandError when a part of the server ended by itself."""
    held = limits.from_settings()
    open_files.allow_most(held.max_clients + 2 * held.max_unauthenticated)
    server = Server(held, channel_binding=binding)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    port = await server.start(host, port, tls)
    server.jobs.spawn(_renew())
    listener.start(server.terminals)
    log.info("listening host=%s port=%d tls=%s", host, port, tls is not None)
    waits = [asyncio.ensure_future(event.wait()) for event in (stopped, server.jobs.broken)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    log.info("draining")
    await server.stop()
    if not stopped.is_set():
        raise CommandError(_("a vital job ended; the log above says why"))
